# SPDX-License-Identifier: Apache-2.0
"""What transfers remember: where blobs can be found, uploads that were broken off, and how layers were compressed.

::

    origins   (digest, registry, repository)      a blob was seen there: candidates for mounting, and for fetching again
    uploads   (place, digest) -> location         an unfinished upload at a registry
    packed    (diff_id, method) -> digest, size   what a plain layer becomes when it is compressed

Losing any of it costs time, never correctness.
"""

from __future__ import annotations

import time

from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.distribution.pushing import UploadMemory
    from scow.oci.digest import DiffID

SCHEMA = """
CREATE TABLE origins (
  digest TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (digest, registry, repository)
) WITHOUT ROWID;
CREATE TABLE uploads (
  place TEXT NOT NULL, digest TEXT NOT NULL, location TEXT NOT NULL, started REAL NOT NULL, PRIMARY KEY (place, digest)
) WITHOUT ROWID;
CREATE TABLE packed (
  diff_id TEXT NOT NULL, method TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (diff_id, method)
) WITHOUT ROWID;
"""
_UPLOAD_LIFE = 7 * 86400.0


class TransferRecords:
    """The tables of transfers; safe for any number of threads and processes.

    Args:
        db: The store's database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        db.ensure("transfer", 1, SCHEMA)

    # ------------------------------------------------------------------ where blobs are

    def seen(self, digests: Iterable[Digest], registry: str, repository: str) -> None:
        """Note that a repository has blobs.

        Args:
            digests: The blobs.
            registry: Its host.
            repository: Its path there.
        """
        now = time.time()
        rows = [(digest, registry, repository, now) for digest in digests]
        with self._db.write() as connection:
            connection.executemany("INSERT OR REPLACE INTO origins VALUES (?, ?, ?, ?)", rows)

    def candidates(self, digest: Digest, registry: str, besides: str) -> list[str]:
        """Repositories of a registry that may have a blob, the latest first.

        Args:
            digest: The blob.
            registry: The host.
            besides: A repository to leave out: the one that is pushed to.
        """
        sql = """SELECT repository FROM origins WHERE digest = ? AND registry = ? AND repository != ?
                 ORDER BY seen DESC LIMIT 3"""
        with self._db.read() as connection:
            return [row[0] for row in connection.execute(sql, (digest, registry, besides)).fetchall()]

    def origins(self, digest: Digest) -> list[tuple[str, str]]:
        """Registry and repository of every place that had a blob, the latest first."""
        sql = "SELECT registry, repository FROM origins WHERE digest = ? ORDER BY seen DESC LIMIT 10"
        with self._db.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(sql, (digest,)).fetchall()]

    # ------------------------------------------------------------------ distribution.pushing.UploadMemory

    def recall(self, repository: str, digest: str) -> str:
        """The address of an unfinished upload, or ``""``."""
        sql = "SELECT location FROM uploads WHERE place = ? AND digest = ? AND started > ?"
        with self._db.read() as connection:
            row = connection.execute(sql, (repository, digest, time.time() - _UPLOAD_LIFE)).fetchone()
        return str(row[0]) if row else ""

    def remember(self, repository: str, digest: str, location: str) -> None:
        """Keep the address of an upload."""
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (repository, digest, location, time.time())
            )

    def forget(self, repository: str, digest: str) -> None:
        """The upload is over."""
        with self._db.write() as connection:
            connection.execute(
                "DELETE FROM uploads WHERE (place = ? AND digest = ?) OR started < ?",
                (repository, digest, time.time() - _UPLOAD_LIFE),
            )

    def of(self, lease: Lease, leases: Leases) -> UploadMemory:
        """The memory of one push.

        Args:
            lease: Held as long as it goes on.
            leases: Tells which pushes live.
        """
        return _Uploads(self, lease, leases)

    # ------------------------------------------------------------------ compressed forms

    def packed(self, diff_id: DiffID, method: str) -> tuple[Digest, int] | None:
        """What a layer became when it was compressed: digest and size in bytes.

        Args:
            diff_id: The layer.
            method: Compression, level and engine, which together decide the bytes.
        """
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT digest, size FROM packed WHERE diff_id = ? AND method = ?", (diff_id, method)
            ).fetchone()
        return (Digest(row[0]), int(row[1])) if row else None

    def pack(self, diff_id: DiffID, method: str, digest: Digest, size: int) -> None:
        """Remember what a layer became."""
        with self._db.write() as connection:
            connection.execute("INSERT OR REPLACE INTO packed VALUES (?, ?, ?, ?)", (diff_id, method, digest, size))


class _Uploads:
    """Unfinished uploads, as one push may go on with them: not with those that another push is at."""

    def __init__(self, records: TransferRecords, lease: Lease, leases: Leases) -> None:
        self._lease = lease
        self._leases = leases
        self._records = records
        self.remember = records.remember
        self.forget = records.forget

    def recall(self, repository: str, digest: str) -> str:
        """The address of an unfinished upload, or ``""``; from now on it is this push's."""
        key = f"{repository}@{digest}"
        with self._leases.db.write():
            self._leases.reap()
            others = set(self._leases.owners("upload", key)) - {self._lease.owner}
            self._lease.add("upload", key)
        return "" if others else self._records.recall(repository, digest)
