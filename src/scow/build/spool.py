# SPDX-License-Identifier: Apache-2.0
"""Writing a large layer while its bytes are made: the disk, and the hash if wanted, have a thread of their own."""

from __future__ import annotations

import hashlib
import os
import queue
import threading

from scow.base.files import storage_error
from scow.base.tasks import start_thread
from scow.errors import UnavailableError
from scow.linux.writeback import Writeback
from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_BATCH = 1 << 18
"""Bytes that are collected before the thread is woken."""
_WAITING = 32
"""Batches that may wait for the disk; a piece that comes at once has at most 256 KiB too."""


class Spool:
    """A new file that is written behind the caller's back; durable when the block is left without an error.

    Args:
        path: The file.
        hashing: Compute its digest too; else whoever makes the bytes does.

    Raises:
        NoSpaceError: The disk is full; by ``write`` or on leaving.
    """

    def __init__(self, path: str, *, hashing: bool = False) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256() if hashing else None
        self._batch: list[bytes] = []
        self._batched = 0
        self._queue: queue.Queue[list[bytes] | None] = queue.Queue(_WAITING)
        self._error: OSError | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def digest(self) -> Digest:
        """The digest of all bytes; known when the block has been left."""
        if self._hash is None:
            raise ValueError("this spool does not hash")
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def __enter__(self) -> Self:
        try:
            start_thread(self._thread)
        except UnavailableError:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._hand_over()
        self._queue.put(None)
        self._thread.join()
        try:
            if kind is None and self._error is None:
                os.fchmod(self._fd, 0o444)
                os.fdatasync(self._fd)
        except OSError as failure:
            self._error = failure
        finally:
            os.close(self._fd)
        if kind is None and self._error is not None:
            raise storage_error(self._error, self.path) from self._error

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes; they are written later."""
        if self._error is not None:
            raise storage_error(self._error, self.path) from self._error
        self._batch.append(bytes(data))
        self._batched += len(data)
        if self._batched >= _BATCH:
            self._hand_over()
        self.size += len(data)
        return len(data)

    def _hand_over(self) -> None:
        if self._batch:
            self._queue.put(self._batch)
            self._batch, self._batched = [], 0

    def _work(self) -> None:
        writeback, done = Writeback(self._fd), 0
        while (batch := self._queue.get()) is not None:
            if self._error is not None:
                continue  # the caller must not wait for a queue that nobody empties
            try:
                for data in batch:
                    if self._hash is not None:
                        self._hash.update(data)
                    view = memoryview(data)
                    while view:
                        view = view[os.write(self._fd, view) :]
                    done += len(data)
                writeback.reached(done)
            except OSError as error:
                self._error = error
