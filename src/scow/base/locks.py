# SPDX-License-Identifier: Apache-2.0
"""Locks between processes on one host, kept by the kernel (flock): a dead process holds none."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager

from scow.errors import UnavailableError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_SECONDS = 0.02


class HeldError(UnavailableError):
    """Somebody else holds a lock, and for longer than one wanted to wait."""

    code = "lock-held"


class FileLock:
    """A lock named by a file; many may share it or one may have it alone.

    Every acquisition opens the file anew, so threads of one process exclude each other too. Not re-entrant.

    Args:
        path: The lock file; made when missing. Only who holds it alone may remove it, or move its directory away: who
            waited for it meanwhile notices that it is another file now, and begins again.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def shared(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock together with others.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever, 0 tries once.

        Raises:
            HeldError: Another process held it for too long.
        """
        with self._held(fcntl.LOCK_SH, timeout):
            yield

    @contextmanager
    def exclusive(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock alone.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever, 0 tries once.

        Raises:
            HeldError: Another process held it for too long.
        """
        with self._held(fcntl.LOCK_EX, timeout):
            yield

    @contextmanager
    def _held(self, kind: int, timeout: float | None) -> Iterator[None]:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            fd = self._open()
            try:
                self._acquire(fd, kind, end)
                if self._is_current(fd):
                    yield
                    return
            finally:
                os.close(fd)

    def _open(self) -> int:
        while True:
            try:
                return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)

    def _is_current(self, fd: int) -> bool:
        """Whether the file that was opened still is the one of that name."""
        try:
            return os.path.samestat(os.stat(self.path, follow_symlinks=False), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _acquire(self, fd: int, kind: int, end: float | None) -> None:
        if end is None:
            fcntl.flock(fd, kind)
            return
        while True:
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise HeldError(f"another process holds the lock {self.path!r}", hint="try again") from None
                time.sleep(_POLL_SECONDS)
