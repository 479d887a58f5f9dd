# SPDX-License-Identifier: Apache-2.0
"""A file that one thread fills while another reads behind it.

A layer is downloaded into its ingest as fast as the network gives it, and unpacked by a reader that follows through
the page cache. The reader meets the end of the file only after the writer has verified the whole: nothing that
depends on reading to the end can succeed with wrong bytes.
"""

from __future__ import annotations

import errno
import os
import threading

from scow.errors import CancelledError

_READ = 1 << 20


class RestartedError(CancelledError):
    """The writer had to begin again; so must the reader."""


class GrowingFile:
    """What writer and readers share."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._path = ""
        self._identity = (0, 0)
        self._reached = 0
        self._round = 0
        self._state = "open"

    # ------------------------------------------------------------------ the writer's side

    def begin(self, path: str, reached: int) -> None:
        """The file is there.

        Args:
            path: Where; nobody else makes a file of this name before it has become a blob.
            reached: Bytes it holds already.
        """
        with self._condition:
            self._path, self._identity, self._reached = path, _identity(os.stat(path)), reached
            self._condition.notify_all()

    def advance(self, reached: int) -> None:
        """More bytes are there; fewer than before mean that the writer began again."""
        with self._condition:
            if reached < self._reached:
                self._round += 1
            self._reached = reached
            self._condition.notify_all()

    def verified(self) -> None:
        """All bytes are there and right."""
        with self._condition:
            self._state = "verified"
            self._condition.notify_all()

    def failed(self) -> None:
        """No more bytes will come."""
        with self._condition:
            if self._state == "open":
                self._state = "failed"
            self._condition.notify_all()

    # ------------------------------------------------------------------ the reader's side

    @property
    def round(self) -> int:
        """How often the writer has begun again."""
        with self._condition:
            return self._round

    def settled(self, round_: int) -> bool:
        """Wait until it is known whether the bytes read in a round were the right ones.

        Args:
            round_: The round.

        Returns:
            True when they were; False when the writer began again or failed.
        """
        with self._condition:
            while self._state == "open" and self._round == round_:
                self._condition.wait()
            return self._state == "verified" and self._round == round_

    def open(self) -> GrowingReader:
        """A reader from the start; the file must have begun.

        Raises:
            FileNotFoundError: It is a blob by now; what has its name, if anything, is another process's attempt.
        """
        with self._condition:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if _identity(os.fstat(fd)) != self._identity:
                os.close(fd)
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path)
            return GrowingReader(self, fd, self._round)

    def wait_beyond(self, position: int, round_: int) -> int:
        """Wait for bytes after ``position``.

        Returns:
            How far the file reaches; ``position`` at its verified end.

        Raises:
            RestartedError: The writer began again.
            CancelledError: The writer failed.
        """
        with self._condition:
            while True:
                if self._round != round_:
                    raise RestartedError("the download began again")
                if self._reached > position or self._state == "verified":
                    return self._reached
                if self._state == "failed":
                    raise CancelledError("the download failed")
                self._condition.wait()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


class GrowingReader:
    """Reads a growing file from its start to its verified end.

    Args:
        file: The file.
        fd: A descriptor of it, which is closed with this.
        round_: The writer's round.
    """

    def __init__(self, file: GrowingFile, fd: int, round_: int) -> None:
        self._file = file
        self.round = round_
        self._fd = fd
        self._reached = 0
        self.position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; none only at the verified end.

        Raises:
            RestartedError: The writer began again.
            CancelledError: The writer failed.
        """
        if self.position >= self._reached:
            self._reached = self._file.wait_beyond(self.position, self.round)
        count = min(_READ if size < 0 else size, self._reached - self.position)
        data = os.pread(self._fd, count, self.position) if count else b""
        self.position += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
