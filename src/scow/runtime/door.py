# SPDX-License-Identifier: Apache-2.0
"""The socket at which others attach to a container that this process watches itself.

It speaks as conmon does (``runtime.attach`` is the other side): packets of output with one byte before them that says
which stream, packets of input the other way.
"""

from __future__ import annotations

import _socket
import os

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

NAME = "attach"
_MAX_PATH = 100
_PACKET = 1 << 13
_WAITING = 16


def reach(bundle: str, act: Callable[[str], T]) -> T:
    """Call something with the path of a container's socket, which may be longer than the kernel takes.

    Args:
        bundle: The container's directory.
        act: Gets a path.
    """
    path = f"{bundle}/{NAME}"
    if len(path) <= _MAX_PATH:
        return act(path)
    directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return act(f"/proc/self/fd/{directory}/{NAME}")
    finally:
        os.close(directory)


class Door:
    """Lets others in, tells them what the container says, and hears what they say.

    Args:
        bundle: The container's directory; only its owner can attach.

    Attributes:
        listener: Descriptor that is ready when somebody is there.
    """

    __slots__ = ("_bundle", "_guests", "_socket", "listener")

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
        self._guests: dict[int, _socket.socket] = {}
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        self._unlink()  # of a run that was killed
        reach(bundle, self._socket.bind)
        os.chmod(f"{bundle}/{NAME}", 0o600)
        self._socket.listen(_WAITING)  # only now can anybody connect
        self._socket.setblocking(False)
        self.listener = self._socket.fileno()

    def __contains__(self, fd: int) -> bool:
        return fd in self._guests

    def admit(self) -> int | None:
        """Let the next one in; its descriptor, ``None`` when it has gone again."""
        try:
            fd: int = self._socket._accept()[0]  # type: ignore[attr-defined]  # noqa: SLF001 - what socket.accept calls
        except OSError:
            return None
        self._guests[fd] = _socket.socket(fileno=fd)
        return fd

    def tell(self, stream: int, data: bytes) -> None:
        """Tell everybody what the container has said.

        Args:
            stream: 1 or 2.
            data: What it said.
        """
        for guest in self._guests.values():
            try:
                for begin in range(0, len(data), _PACKET):
                    guest.send(bytes((stream + 1,)) + data[begin : begin + _PACKET])
            except OSError:
                continue  # it has left, which :meth:`hear` finds out

    def hear(self, fd: int, *, gone: bool) -> bytes | None:
        """Take what somebody says.

        Args:
            fd: Who.
            gone: Whether the connection is at its end.

        Returns:
            Input; ``b""`` when it is over, ``None`` when there will be none because the other one has left.
        """
        try:
            data = self._guests[fd].recv(_PACKET)
        except OSError:
            data, gone = b"", True
        if data or not gone:
            return data
        self._guests.pop(fd).close()
        return None

    def close(self) -> None:
        """Show everybody out."""
        for guest in self._guests.values():
            guest.close()
        self._guests.clear()
        self._socket.close()
        self._unlink()

    def _unlink(self) -> None:
        try:
            os.unlink(f"{self._bundle}/{NAME}")
        except OSError:
            return
