# SPDX-License-Identifier: Apache-2.0
"""One unfinished write of the store on disk: a file that is hashed while it grows and becomes a blob as a whole."""

from __future__ import annotations

import fcntl
import os

from scow.base.files import storage_error
from scow.errors import ConflictError, NotFoundError
from scow.linux.writeback import Writeback
from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from scow.base.leases import Lease
    from scow.content.local import LocalContentStore
    from scow.content.store import BlobInfo

_CHUNK = 1 << 20
_LARGE = 8 << 20
"""Files that reach this size are written to the disk while they grow."""


class LocalIngest:
    """One unfinished write in a file of its own; see ``content.store.Ingest`` for the contract.

    Args:
        store: Where the blob goes.
        key: The name to resume under, or ``""``.
        algorithm: The digest algorithm.
        known: The ``state`` that an earlier write under this key ended with, which spares hashing its bytes again.
        fresh: Whether a write that nobody began is begun; else it must be there, and nobody may be at it.
    """

    def __init__(
        self,
        store: LocalContentStore,
        key: str,
        algorithm: str = "sha256",
        *,
        known: tuple[int, Any] | None = None,
        fresh: bool = True,
    ) -> None:
        import hashlib

        self._store = store
        self._fresh = fresh
        self._named = bool(key)
        name = key.replace("/", "_").replace(":", "-")[:200] if key else f"once-{os.urandom(16).hex()}"
        self.path = os.path.join(store.root, "ingest", name)
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._fd = self._open_locked()
        self._writeback: Writeback | None = None
        self.offset = 0
        try:
            if known is not None and known[0] == os.fstat(self._fd).st_size and known[1].name == algorithm:
                self.offset, self._hash = os.lseek(self._fd, 0, os.SEEK_END), known[1].copy()
            else:
                self._catch_up()
        except BaseException:
            os.close(self._fd)
            raise

    def _open_locked(self) -> int:
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if self._fresh else 0), 0o600)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and not self._fresh:
                    raise NotFoundError(f"nobody began to write {os.path.basename(self.path)!r}") from None
                raise storage_error(error, self.path) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if self._fresh else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(fd)
                raise ConflictError(f"somebody else is writing {os.path.basename(self.path)!r}") from None
            # Whoever held it may have committed or discarded it while we waited; then the name is gone or another's.
            try:
                there = os.stat(self.path)
            except FileNotFoundError:
                os.close(fd)
                continue
            mine = os.fstat(fd)
            if (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev):
                return fd
            os.close(fd)

    def _catch_up(self) -> None:
        """Hash what an earlier attempt left."""
        while data := os.read(self._fd, _CHUNK):
            self._hash.update(data)
            self.offset += len(data)

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append bytes.

        Raises:
            NoSpaceError: The disk is full.
        """
        view = memoryview(data)
        try:
            count = os.write(self._fd, view)
            while count < len(view):
                count += os.write(self._fd, view[count:])
        except OSError as error:
            raise storage_error(error, self.path) from error
        self._hash.update(view)
        self.offset += count
        if self.offset >= _LARGE:
            self._write_back()
        return count

    def _write_back(self) -> None:
        if self._writeback is None:
            self._writeback = Writeback(self._fd)
        self._writeback.reached(self.offset)

    @property
    def state(self) -> tuple[int, Any]:
        """How far it is and the hash of what is there, for the ``known`` of the next one under this key."""
        return self.offset, self._hash.copy()

    def cut(self, known: tuple[int, Any]) -> None:
        """Go back to a ``state`` that this write was in.

        Args:
            known: The state.
        """
        os.ftruncate(self._fd, known[0])
        self.offset, self._hash = os.lseek(self._fd, 0, os.SEEK_END), known[1].copy()
        self._writeback = None

    def rewind(self) -> None:
        """Forget the bytes, for a source that cannot resume."""
        import hashlib

        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.new(self._algorithm)
        self._writeback = None
        self.offset = 0

    @property
    def digest(self) -> Digest:
        """The digest of the bytes written so far."""
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")

    def commit(
        self, expected_digest: Digest | None = None, expected_size: int | None = None, *, lease: Lease | None
    ) -> BlobInfo:
        """Make the bytes a durable blob and give it to ``lease``.

        Raises:
            BlobMismatchError: Other bytes than expected; they are dropped.
            NoSpaceError: The disk is full.
        """
        from scow.base.streams import BlobMismatchError

        found = self.digest
        expected = expected_digest or found
        if expected_size is not None and self.offset != expected_size:
            self.discard()
            raise BlobMismatchError(f"content of {expected} has {self.offset} bytes instead of {expected_size}")
        if expected != found:
            self.discard()
            raise BlobMismatchError(f"content of {expected} has the digest {found}")
        try:
            os.fchmod(self._fd, 0o444)
            os.fdatasync(self._fd)
        except OSError as error:
            raise storage_error(error, self.path) from error
        info = self._store.adopt(self.path, found, self.offset, lease)
        self._close()
        return info

    def discard(self) -> None:
        """Drop the bytes; harmless after ``commit`` and when called twice."""
        if self._fd >= 0:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._named:
            self._close()
        else:
            self.discard()
