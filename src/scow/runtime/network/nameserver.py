# SPDX-License-Identifier: Apache-2.0
"""A name server inside the containers of a network: sockets in each container's own network, one process for all.

The sockets are made in a container's network namespace by whoever starts the container, listen on 127.0.0.11 as
docker's do, and are handed over to the process that answers (as descriptors over a local socket). What the containers
of the network are called is answered here; every other question goes to the servers of the host or of ``--dns``.

Questions come from containers and answers from the internet, so both are hostile: they are bounded in size and number,
and an answer counts only when it comes from the server that was asked, with the number of the question.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import threading
import time

from scow.errors import ScowError
from scow.linux import kernel
from scow.linux.namespaces import FLAGS
from scow.runtime.network import dnswire
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = "127.0.0.11"
_PORT = 53
_UPSTREAM_SECONDS = 3.0
_TCP_SECONDS = 10.0
_AT_ONCE = 64
_LOOK_SECONDS = 10.0
_ALONE_MILLISECONDS = 500
_MAX_MESSAGE = 1 << 16


class Book(Protocol):
    """Knows names; asked from several threads."""

    def lookup(self, container: str, name: str, kind: int) -> list[bytes] | None:
        """Data of the records of a name as a container sees it; ``None`` when it is none of the networks' names."""

    def upstream(self, container: str) -> list[str]:
        """Addresses of the servers that a container's other questions go to."""

    def is_there(self, container: str) -> bool:
        """Whether a container still needs a name server."""


class Sockets(NamedTuple):
    """A container's sockets.

    Args:
        udp: Descriptor.
        tcp: Descriptor of a listening socket.
        ports: Their ports.
    """

    udp: int
    tcp: int
    ports: tuple[int, int]


def open_sockets(namespace: int) -> Sockets:
    """Make the sockets of one container.

    Args:
        namespace: Descriptor of its network namespace, whose loopback link is up.

    Raises:
        OSError: The kernel refused.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(namespace, FLAGS["net"])
        try:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            # Any port but 53: that one belongs to the container, which may run a name server of its own.
            udp.bind((ADDRESS, 0))
            tcp.bind((ADDRESS, 0))
            tcp.listen(16)
        finally:
            kernel.setns(home, FLAGS["net"])
    finally:
        os.close(home)
    ports = udp.getsockname()[1], tcp.getsockname()[1]
    return Sockets(udp.detach(), tcp.detach(), ports)


class Door:
    """The local socket over which containers are handed to the process that answers for them.

    Args:
        directory: Where it is.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.path = os.path.join(directory, "names.sock")

    def _address(self, folder: int) -> str:
        # a path of a socket has at most 107 bytes
        return f"/proc/self/fd/{folder}/names.sock"

    def open(self) -> socket.socket:
        """Listen; what an ended process left there goes away."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        folder = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            listener.bind(self._address(folder))
        finally:
            os.close(folder)
        os.chmod(self.path, 0o600)
        listener.listen(64)
        return listener

    def send(self, word: str, container: str, descriptors: tuple[int, ...] = ()) -> bool:
        """Tell the process that answers; false when there is none.

        Args:
            word: ``serve`` or ``gone``.
            container: Its id.
            descriptors: Sockets that go with it.
        """
        try:
            folder = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
                connection.settimeout(_UPSTREAM_SECONDS)
                connection.connect(self._address(folder))
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
                connection.sendmsg([f"{word} {container}".encode()], rights)
                return connection.recv(16) == b"ok"
        except OSError:
            return False
        finally:
            os.close(folder)


class NameServer:
    """Answers for all containers that are handed to it, until there are none.

    Args:
        book: Knows the names.
        listener: From :meth:`Door.open`.
        close_door: Called before it ends, so that nobody comes any more.
    """

    def __init__(self, book: Book, listener: socket.socket, close_door: Callable[[], None]) -> None:
        self._book = book
        self._listener = listener
        self._close_door = close_door
        self._poll = select.poll()
        self._poll.register(listener.fileno(), select.POLLIN)
        self._sockets: dict[int, tuple[str, socket.socket, bool]] = {}
        self._rooms: dict[str, threading.BoundedSemaphore] = {}

    def add(self, container: str, udp: int, tcp: int) -> None:
        """Answer on a container's sockets; those it had before are closed."""
        self.drop(container)
        self._rooms[container] = threading.BoundedSemaphore(_AT_ONCE)
        for descriptor, is_stream in ((udp, False), (tcp, True)):
            found = socket.socket(fileno=descriptor)
            found.setblocking(False)
            self._sockets[descriptor] = (container, found, is_stream)
            self._poll.register(descriptor, select.POLLIN)

    def drop(self, container: str) -> None:
        """Answer a container no more."""
        self._rooms.pop(container, None)
        for descriptor in [number for number, (name, _, _) in self._sockets.items() if name == container]:
            self._poll.unregister(descriptor)
            self._sockets.pop(descriptor)[1].close()

    def run(self) -> None:
        """Answer until no container is left."""
        looked = time.monotonic()
        while True:
            ready = self._poll.poll(_LOOK_SECONDS * 1000 if self._sockets else _ALONE_MILLISECONDS)
            for descriptor, _ in ready:
                self._take(descriptor)
            if not ready and not self._sockets and self._end():
                return
            if time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                for container in {name for name, _, _ in self._sockets.values()}:
                    if not self._is_there(container):
                        self.drop(container)

    def _is_there(self, container: str) -> bool:
        try:
            return self._book.is_there(container)
        except ScowError:
            return True  # the store cannot be read now

    def _end(self) -> bool:
        """Close the door; false when somebody came in the last moment.

        Who comes after that moment gets no answer, and starts another process.
        """
        self._listener.setblocking(False)
        while self._accept():
            pass
        if self._sockets:
            return False
        self._close_door()
        self._listener.close()
        return True

    def _take(self, descriptor: int) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
            return
        found = self._sockets.get(descriptor)
        if found is None:
            return
        container, opened, is_stream = found
        try:
            if is_stream:
                connection, _ = opened.accept()
                self._aside(container, lambda: self._converse(container, connection), connection.close)
            else:
                packet, sender = opened.recvfrom(dnswire.MAX_QUERY + 1)
                self._answer_packet(container, opened, packet, sender)
        except (OSError, ScowError):
            return  # the container has gone, or takes no answer; or the store cannot be read now

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return False
        with connection:
            connection.settimeout(1.0)
            descriptors = array.array("i")
            try:
                data, ancillary, _, _ = connection.recvmsg(256, socket.CMSG_SPACE(2 * descriptors.itemsize))
            except OSError:
                return True
            for level, kind, rights in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(rights[: len(rights) - len(rights) % descriptors.itemsize])
            word, _, container = data.decode("ascii", "replace").partition(" ")
            if word == "serve" and len(descriptors) == 2:
                self.add(container, *descriptors)
            elif word == "gone":
                self.drop(container)
            try:
                connection.send(b"ok")
            except OSError:
                pass
        return True

    def _aside(self, container: str, work: Callable[[], None], otherwise: Callable[[], object]) -> None:
        """Do something in a thread, unless too many are at it for a container: then it has to ask again."""
        room = self._rooms[container]
        if not room.acquire(blocking=False):
            otherwise()
            return

        def body() -> None:
            try:
                work()
            except (OSError, ScowError):
                pass
            finally:
                room.release()

        try:
            threading.Thread(target=body, name="question", daemon=True).start()
        except RuntimeError:  # no thread can be started now
            room.release()
            otherwise()

    def _local(self, container: str, packet: bytes, most: int) -> bytes | None:
        """The answer, when it can be given here; ``b""`` for none at all."""
        try:
            question = dnswire.read_question(packet)
        except (ValueError, IndexError):
            return dnswire.refusal(packet, dnswire.FORMAT_ERROR)
        found = self._book.lookup(container, question.name, question.type)
        return None if found is None else dnswire.answer(question, found, most=most)

    def _answer_packet(self, container: str, opened: socket.socket, packet: bytes, sender: tuple[str, int]) -> None:
        reply = self._local(container, packet, 512)
        if reply is not None:
            if reply:
                opened.sendto(reply, sender)
            return
        servers = self._book.upstream(container)

        def ask() -> None:
            opened.sendto(_first(servers, packet, _ask_by_packet), sender)

        self._aside(container, ask, lambda: None)

    def _converse(self, container: str, connection: socket.socket) -> None:
        """Answer the questions of one connection."""
        with connection:
            connection.settimeout(_TCP_SECONDS)
            while True:
                packet = _receive_message(connection)
                if not packet:
                    return
                reply = self._local(container, packet, _MAX_MESSAGE - 1)
                if reply is None:
                    reply = _first(self._book.upstream(container), packet, _ask_by_stream)
                connection.sendall(struct.pack(">H", len(reply)) + reply)


def _first(servers: list[str], packet: bytes, ask: Callable[[str, bytes], bytes]) -> bytes:
    """The first answer of several servers, or that there is none."""
    for server in servers:
        try:
            return ask(server, packet)
        except OSError:
            continue
    return dnswire.refusal(packet, dnswire.SERVER_FAILURE)


def _ask_by_packet(server: str, packet: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        asking.settimeout(_UPSTREAM_SECONDS)
        asking.connect((server, _PORT))
        asking.send(packet)
        end = time.monotonic() + _UPSTREAM_SECONDS
        while time.monotonic() < end:
            reply = asking.recv(_MAX_MESSAGE)
            if reply[:2] == packet[:2]:
                return reply
    raise TimeoutError


def _ask_by_stream(server: str, packet: bytes) -> bytes:
    with socket.create_connection((server, _PORT), _UPSTREAM_SECONDS) as asking:
        asking.sendall(struct.pack(">H", len(packet)) + packet)
        reply = _receive_message(asking)
    if reply[:2] != packet[:2]:
        raise TimeoutError
    return reply


def _receive_message(connection: socket.socket) -> bytes:
    """One message with its length before it; empty at the end."""
    head = _receive(connection, 2)
    return _receive(connection, struct.unpack(">H", head)[0]) if len(head) == 2 else b""


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            return b""
        data += part
    return data
