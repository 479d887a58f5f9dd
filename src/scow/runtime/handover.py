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
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeVar

    T = TypeVar("T")

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


class Begun(NamedTuple):
    """A runtime that is getting going.

    Attributes:
        child: The process to wait for.
        ended: Descriptor that is readable once the runtime has ended; whoever has this closes it.
    """

    child: int
    ended: int


def launch(
    bundle: str, begin: Callable[[], Begun], make: Callable[[], tuple[str, T]], *, early: bool
) -> tuple[Begun, T]:
    """Start a runtime, and make the rest of its bundle while it gets going.

    Args:
        bundle: The bundle's directory.
        begin: Starts the runtime.
        make: Makes the rest of the bundle; returns the document, and something for the caller.
        early: Whether this runtime may be started first; otherwise it is started last.
    """
    if not early:
        text, made = make()
        write_config(bundle, text)
        return begin(), made
    with Handover(bundle) as handover:
        begun = begin()
        try:
            text, made = make()
            handover.give(text, begun.ended)
        except BaseException:
            handover.withhold()
            _wait(begun.ended)
            os.close(begun.ended)
            raise
    return begun, made


def _wait(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()


class Handover:
    """A bundle's ``config.json`` that is still to come; use it in a ``with`` block around all of the waiting.

    Args:
        bundle: The bundle's directory.

    Raises:
        UnavailableError: The pipe cannot be made.
    """

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
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
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def withhold(self) -> None:
        """There will be no document: the runtime finds an empty one, and ends."""
        release(self._bundle)
        self._close()

    def give(self, text: str, ended: int) -> None:
        """Hand the document over; returns when the runtime has it, or has ended.

        Args:
            text: The document.
            ended: Descriptor that is readable once the runtime has ended, such as its pidfd.
        """
        import select

        data = memoryview(text.encode())
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        while data or self._unread():
            if data:
                try:
                    data = data[os.write(self._fd, data) :]
                    continue
                except BlockingIOError:
                    pass
            if poll.poll(_CHECK_MILLISECONDS):
                break
        self._close()
        write_config(self._bundle, text)

    def _unread(self) -> int:
        """Bytes that nobody has read yet."""
        import fcntl

        return int.from_bytes(fcntl.ioctl(self._fd, _FIONREAD, bytes(4)), "little")
