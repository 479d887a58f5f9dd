# SPDX-License-Identifier: Apache-2.0
"""The build cache: results of steps by key, bounded in size, the least recently used going first.

A *record* is a whole stack of layers that some step made; keys point to it. A record owns its blobs and its snapshot
(``cache:<id>``), so that the collector keeps them; when the record goes, they go with the next collection. The size of
a record is that of its own layer, the topmost. The bound is kept by every write: what is new comes in first, then the
oldest leave until all fit.
"""

from __future__ import annotations

import json
import time

from scow.build.graph import as_json, as_solved, digest_of
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.build.graph import Solved
    from scow.content.store import ContentStore

SCHEMA = """
CREATE TABLE build_records (
  id TEXT PRIMARY KEY, value TEXT NOT NULL, size INTEGER NOT NULL, created REAL NOT NULL, used REAL NOT NULL,
  uses INTEGER NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX build_records_by_use ON build_records (used);
CREATE TABLE build_keys (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX build_keys_by_record ON build_keys (record);
CREATE TABLE build_steps (
  place TEXT PRIMARY KEY, used REAL NOT NULL, key TEXT NOT NULL, detail TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE build_images (image TEXT PRIMARY KEY, used REAL NOT NULL, steps TEXT NOT NULL) WITHOUT ROWID;
"""
_STEPS_KEPT = 2000
_IMAGES_KEPT = 200


class CacheRecord(NamedTuple):
    """One record, as ``builder df`` shows it.

    Attributes:
        id: Its id.
        kind: Of the step that made it.
        title: Of the step that made it.
        size: Bytes of its own layer.
        created: Seconds since the epoch.
        used: Seconds since the epoch.
        uses: How often a build took it.
        shared: An image needs its layer too.
    """

    id: str
    kind: str
    title: str
    size: int
    created: float
    used: float
    uses: int
    shared: bool


class BuildCache:
    """Results by key; safe for any number of threads and processes.

    Args:
        db: The store's database.
        content: Its blobs.
        leases: Its references.
        limit: Most bytes; 0 keeps nothing.
    """

    def __init__(self, db: Database, content: ContentStore, leases: Leases, limit: int) -> None:
        self._db = db
        self._content = content
        self._leases = leases
        self._limit = limit
        self.evicted = False
        """Whether something had to leave since this object was made: a collection would free space."""
        db.ensure("build", 1, SCHEMA)

    # ------------------------------------------------------------------ looking up

    def get(self, key: str) -> Solved | None:
        """Find a result whose blobs are all there."""
        with self._db.read() as connection:
            sql = "SELECT value FROM build_keys JOIN build_records ON id = record WHERE key = ?"
            row = connection.execute(sql, (key,)).fetchone()
            if row is None:
                return None
            solved = as_solved(json.loads(row[0]))
            for layer in solved.layers:
                if connection.execute("SELECT 1 FROM blobs WHERE digest = ?", (layer.diff_id,)).fetchone() is None:
                    return None
        return solved

    def take(self, key: str, lease: Lease) -> Solved | None:
        """Find a result, keep its blobs alive and note its use, all in one transaction."""
        if self.get(key) is None:
            return None
        with self._db.write() as connection:
            solved = self.get(key)
            if solved is None:  # it went in between
                return None
            connection.execute(
                "UPDATE build_records SET used = ?, uses = uses + 1 WHERE id = ?", (time.time(), record_id(solved))
            )
            for layer in solved.layers:
                lease.add("blob", layer.diff_id)
        return solved

    def keys_of(self, solved: Solved) -> list[str]:
        """All keys that a result is found by."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT key FROM build_keys WHERE record = ? ORDER BY key", (record_id(solved),))
            return [row[0] for row in rows]

    # ------------------------------------------------------------------ entering

    def put(self, keys: Sequence[str], solved: Solved, kind: str, title: str) -> None:
        """Enter a result whose blobs and snapshot a lease holds.

        Args:
            keys: All keys it can be found by.
            solved: The result.
            kind: Of the step.
            title: Of the step.
        """
        size = solved.layers[-1].size if solved.layers else 0
        if size > self._limit:
            return
        identity = record_id(solved)
        now = time.time()
        chain = solved.chain
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO build_records VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
                (identity, json.dumps(as_json(solved)), size, now, now, kind, title[:400]),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO build_keys VALUES (?, ?)", [(key, identity) for key in keys if key]
            )
            owner = f"cache:{identity}"
            for layer in solved.layers:
                self._leases.link(owner, "blob", layer.diff_id)
            if chain is not None:
                self._leases.link(owner, "snapshot", chain)
            self.evicted |= bool(self._evict(connection, self._limit))

    def _evict(self, connection: sqlite3.Connection, limit: int) -> list[tuple[str, int]]:
        """Drop the least recently used records until the rest fit."""
        total = connection.execute("SELECT COALESCE(SUM(size), 0) FROM build_records").fetchone()[0]
        gone: list[tuple[str, int]] = []
        if total <= limit:
            return gone
        for identity, size in connection.execute("SELECT id, size FROM build_records ORDER BY used, id").fetchall():
            if total <= limit:
                break
            gone.append((identity, size))
            total -= size
        self._drop(connection, [identity for identity, _ in gone])
        return gone

    def _drop(self, connection: sqlite3.Connection, records: Sequence[str]) -> None:
        for identity in records:
            connection.execute("DELETE FROM build_keys WHERE record = ?", (identity,))
            connection.execute("DELETE FROM build_records WHERE id = ?", (identity,))
            self._leases.unlink(f"cache:{identity}")

    # ------------------------------------------------------------------ listing and pruning

    def records(self) -> list[CacheRecord]:
        """All records, the least recently used first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id, kind, title, size, created, used, uses, value FROM build_records ORDER BY used, id"
            ).fetchall()
            images = {row[0] for row in connection.execute("SELECT key FROM links WHERE owner GLOB 'image:*'")}
        out: list[CacheRecord] = []
        for identity, kind, title, size, created, used, uses, value in rows:
            layers = as_solved(json.loads(value)).layers
            shared = bool(layers) and layers[-1].diff_id in images
            out.append(CacheRecord(identity, kind, title, size, created, used, uses, shared))
        return out

    def total(self) -> int:
        """Bytes of all records' own layers."""
        with self._db.read() as connection:
            return int(connection.execute("SELECT COALESCE(SUM(size), 0) FROM build_records").fetchone()[0])

    def prune(self, wanted: Callable[[CacheRecord], bool], keep: int | None = None) -> list[CacheRecord]:
        """Remove records.

        Args:
            wanted: Which may go.
            keep: Stop when this many bytes are left; ``None`` removes all that may go.

        Returns:
            Those that went; blobs and snapshots go with the next collection.
        """
        with self._db.write() as connection:
            total = self.total()
            gone: list[CacheRecord] = []
            for record in self.records():
                if keep is not None and total <= keep:
                    break
                if wanted(record):
                    gone.append(record)
                    total -= record.size
            self._drop(connection, [record.id for record in gone])
        return gone

    # ------------------------------------------------------------------ what was built before, for explanations

    def last_step(self, place: str) -> tuple[str, str] | None:
        """The key and the detail that a place of a Dockerfile had the last time it was built."""
        with self._db.read() as connection:
            row = connection.execute("SELECT key, detail FROM build_steps WHERE place = ?", (place,)).fetchone()
        return (row[0], row[1]) if row else None

    def note_steps(self, rows: Iterable[tuple[str, str, str]], image: str = "", story: str = "") -> None:
        """Remember places, keys and details, and how an image was built.

        Args:
            rows: Place, key and detail of each step.
            image: The image's ID, or ``""``.
            story: How each of its steps came about, as JSON.
        """
        now = time.time()
        with self._db.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO build_steps VALUES (?, ?, ?, ?)",
                [(place, now, key, detail) for place, key, detail in rows],
            )
            connection.execute(
                "DELETE FROM build_steps WHERE place IN "
                "(SELECT place FROM build_steps ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (_STEPS_KEPT,),
            )
            if image:
                connection.execute("INSERT OR REPLACE INTO build_images VALUES (?, ?, ?)", (image, now, story))
                connection.execute(
                    "DELETE FROM build_images WHERE image IN "
                    "(SELECT image FROM build_images ORDER BY used DESC LIMIT -1 OFFSET ?)",
                    (_IMAGES_KEPT,),
                )

    def story(self, image: str) -> str | None:
        """How an image was built, as ``note_steps`` was told."""
        with self._db.read() as connection:
            row = connection.execute("SELECT steps FROM build_images WHERE image = ?", (image,)).fetchone()
        return str(row[0]) if row else None


def record_id(solved: Solved) -> str:
    """The id of a result's record."""
    return digest_of(as_json(solved))
