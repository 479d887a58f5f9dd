# SPDX-License-Identifier: Apache-2.0
"""Who needs what: the references that keep stored objects from being collected.

An *object* is a kind ("blob", "image", "snapshot", "cache") and a key. An *owner* is a string; owners are durable
("container:<id>", "image:<id>", "snapshot:<name>", "cache:<key>") or are leases ("lease:<id>"), which end with the
process that holds them::

    lease:7f..  ──>  blob sha256:aa   (being pulled)
    image:sha256:cc  ──>  blob sha256:cc, blob sha256:aa, snapshot sha256:ee
    container:42..   ──>  image sha256:cc, snapshot 42..
    snapshot:sha256:ee  ──>  snapshot sha256:dd, blob sha256:aa

Invariant: an object is linked to something alive in the same write transaction in which it appears or is found
present. The collector (``images.prune``) removes rows that nothing alive reaches, in one write transaction, and the
files afterwards. So nothing is ever taken from under a process that holds it.
"""

from __future__ import annotations

import os
import time

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE leases (
  id TEXT PRIMARY KEY, label TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, boot TEXT NOT NULL,
  namespace TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE links (
  owner TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (owner, kind, key)
) WITHOUT ROWID;
CREATE INDEX links_by_object ON links (kind, key, owner);
"""
_FOREIGN_SECONDS = 7 * 86400.0
"""A lease from another PID namespace cannot be checked; it counts as dead after this long."""


class Edge(NamedTuple):
    """One reference: an owner keeps an object.

    Args:
        owner: Such as ``image:sha256:...``.
        kind: Such as ``blob``.
        key: Such as a digest.
    """

    owner: str
    kind: str
    key: str


def _process_start(pid: int) -> str:
    """Tell a process from a later one with the same number; ``""`` when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command may hold blanks and brackets; the fields after the last bracket are safe to split.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


class Lease:
    """Keeps objects alive while one process works on them; void when the process is dead.

    Usable from any thread of the process. Releasing twice is harmless.

    Args:
        leases: Where it is written.
        identity: Its id.
    """

    __slots__ = ("_leases", "id", "owner")

    def __init__(self, leases: Leases, identity: str) -> None:
        self._leases = leases
        self.id = identity
        self.owner = f"lease:{identity}"

    def add(self, kind: str, key: str) -> None:
        """Keep one object alive until the release.

        Args:
            kind: The object's kind.
            key: The object's key.
        """
        self._leases.link(self.owner, kind, key)

    def release(self) -> None:
        """End the lease; its objects live on only when something else owns them."""
        with self._leases.db.write() as connection:
            connection.execute("DELETE FROM links WHERE owner = ?", (self.owner,))
            connection.execute("DELETE FROM leases WHERE id = ?", (self.id,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Leases:
    """The table of references.

    Args:
        db: The store's database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        db.ensure("leases", 1, SCHEMA)

    def hold(self, label: str) -> Lease:
        """Begin a lease in the name of this process.

        Args:
            label: What for, shown by ``system df -v`` and fsck.

        Returns:
            The lease; use it in a ``with`` block.
        """
        pid = os.getpid()
        identity = os.urandom(8).hex()
        row = (identity, label, pid, _process_start(pid), _boot_id(), _pid_namespace(), time.time())
        with self.db.write() as connection:
            connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return Lease(self, identity)

    def link(self, owner: str, kind: str, key: str) -> None:
        """Let an owner keep an object; doing so again changes nothing.

        Args:
            owner: Such as ``container:<id>``.
            kind: The object's kind.
            key: The object's key.
        """
        with self.db.write() as connection:
            connection.execute("INSERT OR IGNORE INTO links VALUES (?, ?, ?)", (owner, kind, key))

    def unlink(self, owner: str, kind: str = "", key: str = "") -> None:
        """Drop what an owner keeps.

        Args:
            owner: The owner.
            kind: Only objects of this kind; ``""`` for all.
            key: Only this object; needs ``kind``.
        """
        sql, values = "DELETE FROM links WHERE owner = ?", [owner]
        if kind:
            sql, values = sql + " AND kind = ?", [*values, kind]
        if key:
            sql, values = sql + " AND key = ?", [*values, key]
        with self.db.write() as connection:
            connection.execute(sql, values)

    def owners(self, kind: str, key: str, prefix: str = "") -> list[str]:
        """List who keeps an object.

        Args:
            kind: The object's kind.
            key: The object's key.
            prefix: Only owners that begin so, such as ``container:``.

        Returns:
            The owners, sorted; dead leases may be among them.
        """
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT owner FROM links WHERE kind = ? AND key = ? ORDER BY owner", (kind, key)
            ).fetchall()
        return [owner for (owner,) in rows if owner.startswith(prefix)]

    def owned(self, owner: str, kind: str = "") -> list[tuple[str, str]]:
        """List what an owner keeps.

        Args:
            owner: The owner.
            kind: Only objects of this kind; ``""`` for all.

        Returns:
            Kinds and keys, sorted.
        """
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT kind, key FROM links WHERE owner = ? ORDER BY kind, key", (owner,)
            ).fetchall()
        return [(found, key) for found, key in rows if kind in ("", found)]

    def graph(self) -> list[Edge]:
        """Read every reference, for the mark phase; call it inside a write transaction for one consistent state.

        Returns:
            All edges, those of dead leases included: ``reap`` first.
        """
        with self.db.read() as connection:
            return [Edge(*row) for row in connection.execute("SELECT owner, kind, key FROM links").fetchall()]

    def reap(self) -> int:
        """Drop the leases of processes that are gone.

        Returns:
            How many were dropped.
        """
        boot, namespace, at = _boot_id(), _pid_namespace(), time.time()
        with self.db.write() as connection:
            rows = connection.execute("SELECT id, pid, started, boot, namespace, created FROM leases").fetchall()
            dead = [
                identity
                for identity, pid, started, its_boot, its_namespace, created in rows
                if its_boot != boot
                or (its_namespace == namespace and _process_start(pid) != started)
                or (its_namespace != namespace and at - created > _FOREIGN_SECONDS)
            ]
            for identity in dead:
                connection.execute("DELETE FROM links WHERE owner = ?", (f"lease:{identity}",))
                connection.execute("DELETE FROM leases WHERE id = ?", (identity,))
            # Links without their lease row: a release was cut between versions, or a hand edited the file.
            connection.execute(
                "DELETE FROM links WHERE owner GLOB 'lease:*' AND substr(owner, 7) NOT IN (SELECT id FROM leases)"
            )
        return len(dead)
