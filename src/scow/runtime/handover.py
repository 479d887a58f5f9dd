# SPDX-License-Identifier: Apache-2.0
"""Starting the OCI runtime before its bundle is finished, so that both are at work at once.

The runtime's own start takes as long as making a bundle. So ``config.json`` is a named pipe at first: the runtime waits
in it until the document is there (docs/measurements.md has what that saves). The pipe is held open from the
beginning, so that a runtime whose starter was killed reads an end of file and gives up.
"""

from __future__ import annotations

import os
import stat

from scow.errors import UnavailableError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_NAME = "config.json"
_CHECK_MILLISECONDS = 1
_FIONREAD = 0x541B


def write_config(bundle: str, text: str) -> None:
    """Put a bundle's ``config.json`` in its place, whatever is there: perhaps a pipe whose reader was killed.

    Args:
        bundle: The bundle's directory.
        text: The document.
    """
    path = os.path.join(bundle, _NAME)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def release(bundle: str) -> None:
    """Let a runtime go that waits for a document nobody is going to give it: it finds it empty, and ends.

    Before a bundle is removed or used again: a pipe that is only unlinked would keep its reader for ever.

    Args:
        bundle: The bundle's directory.
    """
    path = os.path.join(bundle, _NAME)
    try:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            return
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        write_config(bundle, "")  # for a runtime that comes to it only now
    finally:
        os.close(pipe)


class Handover:
    """A bundle's ``config.json`` that is still to come; use it in a ``with`` block around all of the waiting.

    Args:
        bundle: The bundle's directory.

    Raises:
        UnavailableError: The pipe cannot be made.
    """

    def __init__(self, bundle: str) -> None:
        self._path = os.path.join(bundle, _NAME)
        try:
            release(bundle)
            if os.path.lexists(self._path):
                os.unlink(self._path)
            os.mkfifo(self._path, 0o600)
            self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UnavailableError(f"cannot prepare {self._path!r}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def give(self, text: str, runtime: int) -> None:
        """Hand the document over; returns when the runtime has it, or has ended.

        Args:
            text: The document.
            runtime: Process descriptor (pidfd) of the runtime.
        """
        import select

        data = memoryview(text.encode())
        poll = select.poll()
        poll.register(runtime, select.POLLIN)
        while data or self._unread():
            if data:
                try:
                    data = data[os.write(self._fd, data) :]
                    continue
                except BlockingIOError:
                    pass
            if poll.poll(_CHECK_MILLISECONDS):
                break
        os.close(self._fd)
        self._fd = -1
        write_config(os.path.dirname(self._path), text)

    def _unread(self) -> int:
        """Bytes that nobody has read yet."""
        import fcntl

        return int.from_bytes(fcntl.ioctl(self._fd, _FIONREAD, bytes(4)), "little")
