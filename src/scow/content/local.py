# SPDX-License-Identifier: Apache-2.0
"""Blobs on disk, in this tree.

::

    <root>/
    ├── blobs/<algorithm>/<hex>      one file for each blob, read-only, durable before its row
    ├── ingest/<key>                 unfinished writes; locked (flock) while a process writes
    └── scow.db: blobs               a row for each blob that exists

A file without a row is garbage: a process died between the two. Bytes are hashed while they are written. Removing
takes the row first and then, in a transaction that makes sure no writer has brought the blob back, the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from scow.base.files import fsync_dir, make_dir, storage_error
from scow.content.store import BlobInfo, BlobNotFoundError
from scow.errors import UnavailableError
from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, BinaryIO

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.content.ingest import LocalIngest
    from scow.oci.model import Descriptor

SCHEMA = "CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, created REAL NOT NULL) WITHOUT ROWID;"
DOCUMENT_LIMIT = 8 << 20
"""The most bytes ``read`` takes into memory unless told otherwise."""
_STALE_SECONDS = 24 * 3600.0
_FEW = 16
"""Up to so many blobs are synced one by one: waiting for the whole file system may mean waiting for neighbours."""


class LocalContentStore:
    """The blobs of one store root; see ``content.store.ContentStore`` for the contract.

    Args:
        root: The store's directory.
        db: Its database.
        leases: Its references.
    """

    def __init__(self, root: str, db: Database, leases: Leases) -> None:
        self.root = root
        self.db = db
        self.leases = leases
        db.ensure("content", 1, SCHEMA)

    def path(self, digest: Digest) -> str:
        """Name the file of a blob, which may not exist.

        Args:
            digest: The blob.

        Returns:
            An absolute path.
        """
        return os.path.join(self.root, "blobs", digest.algorithm, digest.encoded)

    def open(self, target: Descriptor | Digest) -> BinaryIO:
        """Open a blob for reading; the caller closes it.

        Raises:
            BlobNotFoundError: It is not there.
        """
        digest = target if isinstance(target, Digest) else target.digest
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError:
            raise BlobNotFoundError(f"the store has no blob {digest}") from None

    def read(self, target: Descriptor | Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """Read a small blob whole and verify it.

        Raises:
            BlobNotFoundError: It is not there.
            BlobMismatchError: The stored bytes are damaged.
            LimitError: It is larger than ``limit`` bytes.
        """
        from scow.base.streams import BlobMismatchError
        from scow.errors import LimitError
        from scow.oci.digest import sha256_digest

        digest = target if isinstance(target, Digest) else target.digest
        with self.open(digest) as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise LimitError(f"blob {digest} is larger than {limit} bytes")
            data = file.read()
        if digest.algorithm != "sha256":
            import hashlib

            found = f"{digest.algorithm}:{hashlib.new(digest.algorithm, data).hexdigest()}"
        else:
            found = sha256_digest(data)
        if found != digest:
            raise BlobMismatchError(
                f"the stored blob {digest} is damaged", hint="run 'scow system fsck' to see what else is"
            )
        return data

    def ingest(self, key: str = "", algorithm: str = "sha256") -> LocalIngest:
        """Begin or resume a write, waiting while another process has the same key.

        Args:
            key: Names the write so that it can be resumed; ``""`` for a nameless one.
            algorithm: The digest algorithm.
        """
        from scow.content.ingest import LocalIngest

        try:
            return LocalIngest(self, key, algorithm)
        except UnavailableError:
            # The first write of a new store, perhaps several at once: then another has just made the directory.
            make_dir(os.path.join(self.root, "ingest"), 0o700)
            return LocalIngest(self, key, algorithm)

    def resume(self, key: str, algorithm: str = "sha256", known: tuple[int, Any] | None = None) -> LocalIngest:
        """Go on with a write that was begun, without waiting.

        Args:
            key: What it was begun under.
            algorithm: The digest algorithm.
            known: The ``state`` it was left in, if that is still known.

        Raises:
            NotFoundError: It was not begun, or has ended.
            ConflictError: Somebody is writing now.
        """
        from scow.content.ingest import LocalIngest

        return LocalIngest(self, key, algorithm, known=known, fresh=False)

    def put(self, data: bytes, lease: Lease | None) -> Digest:
        """Store a small blob at once.

        Args:
            data: The bytes.
            lease: Keeps the blob alive.

        Returns:
            Its digest.
        """
        from scow.oci.digest import sha256_digest

        digest = sha256_digest(data)
        if lease is not None and self.hold(digest, lease):
            return digest
        with self.ingest() as ingest:
            ingest.write(data)
            return ingest.commit(digest, len(data), lease=lease).digest

    def put_many(self, documents: Sequence[bytes], lease: Lease) -> list[Digest]:
        """Store many small blobs with few waits for the disk.

        Args:
            documents: The blobs.
            lease: Keeps them alive.

        Returns:
            Their digests, in order.

        Raises:
            NoSpaceError: The disk is full.
        """
        from scow.oci.digest import sha256_digest

        digests = [sha256_digest(data) for data in documents]
        fresh = dict(zip(digests, documents, strict=True))
        with self.db.write():
            missing = [digest for digest in fresh if not self.hold(digest, lease)]
        if len(missing) <= _FEW:
            for digest in missing:
                self.put(fresh[digest], lease)
            return digests
        from scow.base.files import temporary_directory

        with temporary_directory(os.path.join(self.root, "tmp"), "blobs-") as top:
            try:
                self._write_all(top, [(digest, fresh[digest]) for digest in missing])
                self._enter_all(top, [(digest, len(fresh[digest])) for digest in missing], lease)
            except OSError as error:
                raise storage_error(error, self.root) from error
        return digests

    def _write_all(self, top: str, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        """Write files below a directory and give them their final names too; all are durable on return."""
        from scow.linux.kernel import syncfs

        for digest, data in blobs:
            path = os.path.join(top, digest.encoded)
            with open(path, "xb", buffering=0) as file:
                os.fchmod(file.fileno(), 0o444)
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._replace(path, self.path(digest))
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syncfs(fd)  # one wait for the journal instead of two for each file
        finally:
            os.close(fd)

    def _enter_all(self, top: str, blobs: Sequence[tuple[Digest, int]], lease: Lease) -> None:
        created = time.time()
        with self.db.write() as connection:
            for digest, size in blobs:
                if not os.path.exists(self.path(digest)):  # swept by a collector, see adopt
                    self._replace(os.path.join(top, digest.encoded), self.path(digest))
                connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)", (digest, size, created))
                lease.add("blob", digest)

    def adopt(self, path: str, digest: Digest, size: int, lease: Lease | None) -> BlobInfo:
        """Take a durable file of this file system, already verified, as a blob; the old name goes.

        Args:
            path: The file, synced, below the store's root.
            digest: Its digest.
            size: Its size in bytes.
            lease: Keeps the blob alive.

        Returns:
            The blob, which may have been there before.

        Raises:
            NoSpaceError: The disk is full.
        """
        final = self.path(digest)
        created = time.time()
        try:
            if digest not in self:
                self._replace(path, final)
                fsync_dir(os.path.dirname(final))
            with self.db.write() as connection:
                if not os.path.exists(final):  # a collector may have swept the rowless file in between
                    self._replace(path, final)
                    fsync_dir(os.path.dirname(final))
                connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)", (digest, size, created))
                row = connection.execute("SELECT size, created FROM blobs WHERE digest = ?", (digest,)).fetchone()
                if lease is not None:
                    lease.add("blob", digest)
            os.unlink(path)
        except OSError as error:
            raise storage_error(error, final) from error
        return BlobInfo(digest, row[0], row[1])

    def _replace(self, path: str, final: str) -> None:
        """Give the file its final name too; a file that is there without a row may be anything a crash left."""
        spare = f"{path}.{os.urandom(4).hex()}"
        os.link(path, spare)
        try:
            os.rename(spare, final)
        except FileNotFoundError:
            make_dir(os.path.dirname(final), 0o711)
            os.rename(spare, final)

    def hold(self, digest: Digest, lease: Lease) -> bool:
        """Find a blob and keep it alive, in one transaction.

        Returns:
            False when it is not there.
        """
        with self.db.write() as connection:
            if connection.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone() is None:
                return False
            lease.add("blob", digest)
        return True

    def stat(self, digest: Digest) -> BlobInfo:
        """Describe a blob.

        Raises:
            BlobNotFoundError: It is not there.
        """
        with self.db.read() as connection:
            row = connection.execute("SELECT size, created FROM blobs WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise BlobNotFoundError(f"the store has no blob {digest}")
        return BlobInfo(digest, row[0], row[1])

    def __contains__(self, digest: object, /) -> bool:
        with self.db.read() as connection:
            return connection.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone() is not None

    def __iter__(self) -> Iterator[BlobInfo]:
        with self.db.read() as connection:
            rows = connection.execute("SELECT digest, size, created FROM blobs ORDER BY digest").fetchall()
        return (BlobInfo(Digest(digest), size, created) for digest, size, created in rows)

    def delete(self, digest: Digest) -> None:
        """Remove a blob, whoever needs it; absent is not an error."""
        with self.db.write() as connection:
            connection.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
        self.remove_files([digest])

    def remove_files(self, digests: Iterable[Digest]) -> None:
        """Remove the files of blobs whose rows are gone; those that came back in between stay.

        Args:
            digests: The blobs.
        """
        for digest in digests:
            with self.db.write() as connection:
                if connection.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone() is None:
                    try:
                        os.unlink(self.path(digest))
                    except FileNotFoundError:
                        pass

    def strays(self) -> list[Digest]:
        """List blob files without a row: garbage, or a commit of another process that is about to add the row.

        Returns:
            Their digests; ``remove_files`` is safe to call with them only when they are old enough.
        """
        with self.db.read() as connection:
            known = {row[0] for row in connection.execute("SELECT digest FROM blobs")}
        found = []
        top = os.path.join(self.root, "blobs")
        for algorithm in _listing(top):
            for name in _listing(os.path.join(top, algorithm)):
                try:
                    digest = Digest(f"{algorithm}:{name}")
                except Exception:  # noqa: S112
                    continue
                if digest not in known:
                    found.append(digest)
        return found

    def sweep_ingests(self, older_than: float = _STALE_SECONDS) -> int:
        """Remove unfinished writes that nobody is working on.

        Args:
            older_than: Seconds since the last write; 0 for all.

        Returns:
            How many bytes were freed.
        """
        freed = 0
        top = os.path.join(self.root, "ingest")
        for name in _listing(top):
            path = os.path.join(top, name)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                info = os.fstat(fd)
                if time.time() - info.st_mtime >= older_than:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # it may have become a blob since it was opened, and its name another write's
                    if os.path.samestat(os.stat(path), info):
                        os.unlink(path)
                        freed += info.st_size
            except OSError:  # in use, or gone
                pass
            finally:
                os.close(fd)
        return freed


def _listing(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
