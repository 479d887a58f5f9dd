# SPDX-License-Identifier: Apache-2.0
"""Writing a growing file to the disk while it grows, so that the sync at its end has little left to wait for."""

from __future__ import annotations

import ctypes

_SYNC_FILE_RANGE_WRITE = 2
_STEP = 8 << 20


class Writeback:
    """Asks the kernel to begin writing what has been added to a file; waits for nothing and promises nothing.

    Args:
        fd: The file; a file system that cannot do it is not asked again.
        offset: Bytes that need no asking.
    """

    __slots__ = ("_asked", "_call", "_fd")

    def __init__(self, fd: int, offset: int = 0) -> None:
        self._fd = fd
        self._asked = offset
        libc = ctypes.CDLL(None)
        self._call = getattr(libc, "sync_file_range", None)

    def reached(self, size: int) -> None:
        """Say how long the file is now.

        Args:
            size: In bytes.
        """
        length = size - self._asked
        if length < _STEP or self._call is None:
            return
        start, self._asked = self._asked, size
        if self._call(self._fd, ctypes.c_int64(start), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE) != 0:
            self._call = None
