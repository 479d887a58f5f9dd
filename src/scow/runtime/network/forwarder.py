# SPDX-License-Identifier: Apache-2.0
"""A program that passes connections from ports of the host on to a container, for users who cannot tell the kernel to.

It is started in the network namespace that the container can be reached from, with sockets that already listen in the
host's; it accepts on those and connects from here. It ends when its standard input does.

``python -I -m scow.runtime.network.forwarder ADDRESS FD:PROTOCOL:PORT...``

One thread, no time limits on connections: who is slow makes only the own connection slow, because nothing is read that
could not be passed on. Datagrams of one sender go out of one socket for as long as they keep coming.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
import sys
import time

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 18
_IDLE_SECONDS = 90.0
_MOST_SENDERS = 1024
_MOST_CONNECTIONS = 4096
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT


class Loop:
    """Calls back whoever waits for a descriptor."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Wait for events of a descriptor; replaces what was asked before."""
        if fd in self._calls:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """No longer wait for a descriptor; call it before the descriptor is closed."""
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def once(self, seconds: float) -> None:
        """Wait for events, and call."""
        for fd, events in self._poll.poll(seconds):
            call = self._calls.get(fd)
            if call is not None:
                call(events)


class _Side:
    """One end of a connection, and what waits to be written to it."""

    __slots__ = ("ended", "socket", "waiting")

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.waiting = memoryview(b"")
        self.ended = False


class Connection:
    """Two stream sockets joined together.

    Args:
        loop: The loop.
        client: Accepted.
        target: Being connected.
        gone: Called at the end.
    """

    def __init__(
        self, loop: Loop, client: _socket.socket, target: _socket.socket, gone: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self._sides = (_Side(client), _Side(target))
        self._gone = gone
        self._connecting = True
        loop.watch(target.fileno(), _WRITE, self._connected)

    def _connected(self, _events: int) -> None:
        target = self._sides[1].socket
        if target.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            self.close()
            return
        self._connecting = False
        for at in (0, 1):
            self._arm(at)

    def _arm(self, at: int) -> None:
        """Wait for what can be done with a side: read when the other has taken everything, write when it has not."""
        side, other = self._sides[at], self._sides[1 - at]
        events = (_WRITE if side.waiting else 0) | (_READ if not side.ended and not other.waiting else 0)
        self._loop.watch(side.socket.fileno(), events, lambda seen: self._ready(at, seen))

    def _ready(self, at: int, events: int) -> None:
        side, other = self._sides[at], self._sides[1 - at]
        try:
            if side.waiting and events & (_WRITE | select.EPOLLHUP | select.EPOLLERR):
                self._write(at)
            elif not side.ended and not other.waiting:
                self._read(at)
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                raise ConnectionResetError
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if side.ended and other.ended and not side.waiting and not other.waiting:
            self.close()
            return
        self._arm(0)
        self._arm(1)

    def _read(self, at: int) -> None:
        side, other = self._sides[at], self._sides[1 - at]
        data = side.socket.recv(_PIECE)
        if not data:
            side.ended = True
            other.socket.shutdown(_socket.SHUT_WR)
            return
        other.waiting = memoryview(data)
        try:
            self._write(1 - at)
        except BlockingIOError:
            return

    def _write(self, at: int) -> None:
        side = self._sides[at]
        side.waiting = side.waiting[side.socket.send(side.waiting) :]

    def close(self) -> None:
        """Give both sockets back."""
        for side in self._sides:
            self._loop.forget(side.socket.fileno())
            side.socket.close()
        self._gone(self)


class Streams:
    """A listening socket whose connections go to one address.

    Args:
        loop: The loop.
        listener: It.
        target: Where to.
    """

    def __init__(self, loop: Loop, listener: _socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._open: set[Connection] = set()
        self._watch()

    def _watch(self) -> None:
        self._loop.watch(self._listener.fileno(), _READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError as error:
            if error.errno in _TOO_MANY:
                self._pause()
            return
        client = _socket.socket(fileno=fd)
        try:
            target = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        except OSError:
            client.close()
            self._pause()
            return
        for each in (client, target):
            each.setblocking(False)
            each.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        try:
            target.connect(self._target)
        except BlockingIOError:
            pass
        except OSError:
            client.close()
            target.close()
            return
        self._open.add(Connection(self._loop, client, target, self._gone))
        if len(self._open) >= _MOST_CONNECTIONS:
            self._pause()

    def _pause(self) -> None:
        """Take no more until a connection ends; the others wait in the kernel's queue."""
        if self._open:
            self._loop.forget(self._listener.fileno())

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._watch()


class Datagrams:
    """A socket whose datagrams go to one address, and their answers back to whom they came from.

    Args:
        loop: The loop.
        listener: It.
        target: Where to.
    """

    def __init__(self, loop: Loop, listener: _socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._senders: dict[tuple[str, int], tuple[_socket.socket, float]] = {}
        loop.watch(listener.fileno(), _READ, self._outward)

    def _outward(self, _events: int) -> None:
        try:
            data, sender = self._listener.recvfrom(1 << 16)
            now = time.monotonic()
            found = self._senders.get(sender)
            socket = found[0] if found else self._meet(sender, now)
            self._senders[sender] = (socket, now)
            socket.send(data)
        except OSError:
            return

    def _meet(self, sender: tuple[str, int], now: float) -> _socket.socket:
        """A socket for a new sender; those that are silent, and if need be the one silent for longest, lose theirs."""
        if len(self._senders) >= _MOST_SENDERS:
            by_age = sorted((seen, old) for old, (_, seen) in self._senders.items())
            for at, (seen, old) in enumerate(by_age):
                if at and now - seen < _IDLE_SECONDS:
                    break
                socket = self._senders.pop(old)[0]
                self._loop.forget(socket.fileno())
                socket.close()
        socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        socket.setblocking(False)
        socket.connect(self._target)
        self._loop.watch(socket.fileno(), _READ, lambda _events: self._inward(socket, sender))
        return socket

    def _inward(self, socket: _socket.socket, sender: tuple[str, int]) -> None:
        try:
            self._listener.sendto(socket.recv(1 << 16), sender)
        except OSError:
            return


def serve(address: str, ports: list[tuple[int, str, int]], lifeline: int) -> None:
    """Pass on until the lifeline ends.

    Args:
        address: The container's.
        ports: Descriptor of a bound socket, ``tcp`` or ``udp``, and the container's port, for each.
        lifeline: A descriptor whose end ends this.
    """
    loop = Loop()
    keep: list[object] = []
    for fd, protocol, port in ports:
        listener = _socket.socket(fileno=fd)
        listener.setblocking(False)
        keep.append((Streams if protocol == "tcp" else Datagrams)(loop, listener, (address, port)))
    ended: list[int] = []
    loop.watch(lifeline, _READ, ended.append)
    while not ended:
        loop.once(-1)


def command_line(address: str, ports: list[tuple[int, str, int]]) -> list[str]:
    """The words that start this program; see the module."""
    listed = [f"{fd}:{protocol}:{port}" for fd, protocol, port in ports]
    return [sys.executable, "-I", "-m", "scow.runtime.network.forwarder", address, *listed]


def main(argv: list[str]) -> int:
    """The program."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ports = []
    for word in argv[1:]:
        fd, protocol, port = word.split(":")
        ports.append((int(fd), protocol, int(port)))
    serve(argv[0], ports, 0)
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
