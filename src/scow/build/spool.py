# SPDX-License-Identifier: Apache-2.0
"""Writing a large layer while its bytes are being read and hashed: the disk has a thread of its own."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Self

from scow.base.files import storage_error
from scow.linux.writeback import Writeback

if TYPE_CHECKING:
    from types import TracebackType

_WAITING = 64
"""Pieces that may wait for the disk; a piece has at most 256 KiB."""


class Spool:
    """A new file that is written behind the caller's back; durable when the block is left without an error.

    Args:
        path: The file.

    Raises:
        NoSpaceError: The disk is full; by ``write`` or on leaving.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self._queue: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._error: OSError | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        self._queue.put(bytes(data))
        self.size += len(data)
        return len(data)

    def _work(self) -> None:
        writeback, done = Writeback(self._fd), 0
        while (data := self._queue.get()) is not None:
            if self._error is not None:
                continue  # the caller must not wait for a queue that nobody empties
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._fd, view) :]
                done += len(data)
                writeback.reached(done)
            except OSError as error:
                self._error = error
