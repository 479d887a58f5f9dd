# SPDX-License-Identifier: Apache-2.0
"""Speaking netlink: links, addresses and routes, and tables of the packet filter, without starting a program.

A socket belongs to the network namespace of the thread that opened it, for good: one opened inside a container's
namespace configures the container from outside.

Source: kernel, netlink(7), rtnetlink(7), include/uapi/linux/{if_link,netfilter/nf_tables}.h.
"""

from __future__ import annotations

import _socket
import os
import struct

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_ROUTE, _NETFILTER = 0, 12
_REQUEST, _ACK, _DUMP, _CREATE, _EXCLUSIVE = 0x1, 0x4, 0x300, 0x400, 0x200
_ERROR, _DONE = 2, 3
_NEW_LINK, _DEL_LINK, _GET_LINK, _SET_LINK = 16, 17, 18, 19
_NEW_ADDRESS, _NEW_ROUTE, _GET_ROUTE = 20, 24, 26
_UP = 1
_NESTED = 0x8000
_INET, _BRIDGE = 2, 7
_BATCH_BEGIN, _BATCH_END, _TABLES = 16, 17, 10
_GET_TABLE, _DEL_TABLE, _GET_CHAIN = 1, 2, 4
_SIZE = 1 << 16
_SO_RCVTIMEO, _ANSWER_SECONDS, _ATTEMPTS = 20, 5, 3


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def text(kind: int, value: str) -> bytes:
    """An attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute that is a 32-bit number."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take attributes apart: kind and content."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += length + (-length % 4)


class Netlink:
    """A socket to the kernel, in the network namespace of the thread that makes it.

    Args:
        family: Which part of the kernel; routes by default.
    """

    __slots__ = ("_sequence", "_socket")

    def __init__(self, family: int = _ROUTE) -> None:
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, family)
        self._socket.bind((0, 0))
        # An answer that does not come must not hold up every other command of the host, which waits for this one.
        self._socket.setsockopt(_socket.SOL_SOCKET, _SO_RCVTIMEO, struct.pack("ll", _ANSWER_SECONDS, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, self._sequence, 0) + body

    def call(self, kind: int, flags: int, body: bytes) -> bytes:
        """Ask for one thing.

        Returns:
            The first answer that is not an acknowledgement, or ``b""``.

        Raises:
            OSError: The kernel refused.
        """
        self._socket.send(self._message(kind, flags | _ACK, body))
        return self._answer(self._sequence)

    def _answer(self, sequence: int, other: int = 0) -> bytes:
        found = b""
        while True:
            for kind, own, body in _messages(self._receive()):
                if own not in {sequence, other}:
                    continue
                if kind == _ERROR:
                    code = struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    if own == other:
                        continue
                    return found
                if kind == _DONE:
                    return found
                found = found or body

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_SIZE)
        except BlockingIOError:
            raise TimeoutError(110, "the kernel does not answer") from None

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for everything of one kind."""
        self._socket.send(self._message(kind, _DUMP, body))
        found: list[bytes] = []
        while True:
            for answer, own, content in _messages(self._receive()):
                if own != self._sequence:
                    continue
                if answer in {_DONE, _ERROR}:
                    return found
                found.append(content)

    # ------------------------------------------------------------------ links

    def link(self, name: str) -> int:
        """Index of a link, 0 when there is none."""
        try:
            answer = self.call(_GET_LINK, 0, _link() + text(3, name))
        except OSError:
            return 0
        return int(struct.unpack_from("=i", answer, 4)[0]) if len(answer) >= 16 else 0

    def add_bridge(self, name: str, mtu: int) -> int:
        """Make a bridge, up; returns its index."""
        kind = attribute(18, text(1, "bridge"))
        self.call(_NEW_LINK, _CREATE | _EXCLUSIVE, _link(up=True) + text(3, name) + number(4, mtu) + kind)
        return self.link(name)

    def add_pair(self, name: str, bridge: int, inside: str, namespace: int, mac: bytes, mtu: int) -> None:
        """Make a pair of links, one on the bridge and up, the other in a namespace.

        Args:
            name: The end that stays here.
            bridge: Index of the bridge.
            inside: Name of the other end.
            namespace: Descriptor of the namespace it goes to.
            mac: Hardware address of the other end.
            mtu: Bytes a packet may have.
        """
        peer = _link() + text(3, inside) + attribute(1, mac) + number(4, mtu) + number(28, namespace)
        kind = attribute(18, text(1, "veth") + attribute(2, attribute(1, peer)))
        self.call(
            _NEW_LINK,
            _CREATE | _EXCLUSIVE,
            _link(up=True) + text(3, name) + number(4, mtu) + number(10, bridge) + kind,
        )
        # A container that calls one of its own published ports is answered through the port it came from.
        hairpin = attribute(12 | _NESTED, attribute(4, b"\x01"))
        self.call(_SET_LINK, 0, _link(self.link(name), family=_BRIDGE) + hairpin)

    def set_up(self, index: int) -> None:
        """Bring a link up."""
        self.call(_NEW_LINK, 0, _link(index, up=True))

    def delete(self, index: int) -> None:
        """Remove a link and, of a pair, its other end."""
        self.call(_DEL_LINK, 0, _link(index))

    # ------------------------------------------------------------------ addresses and routes

    def add_address(self, index: int, address: int, prefix: int) -> None:
        """Give a link an address."""
        raw = struct.pack(">I", address)
        broadcast = struct.pack(">I", address | (1 << (32 - prefix)) - 1)
        body = struct.pack("=BBBBi", _INET, prefix, 0, 0, index) + attribute(1, raw) + attribute(2, raw)
        self.call(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body + attribute(4, broadcast))

    def add_default_route(self, gateway: int) -> None:
        """Send everything that has no other way to a gateway."""
        body = struct.pack("=BBBBBBBBI", _INET, 0, 0, 0, 254, 3, 0, 1, 0)
        self.call(_NEW_ROUTE, _CREATE, body + attribute(5, struct.pack(">I", gateway)))

    def routes(self) -> list[tuple[int, int, int]]:
        """Where this namespace sends what: network, length of its prefix, index of the link (IPv4)."""
        found = []
        for body in self.dump(_GET_ROUTE, struct.pack("=BBBBBBBBI", _INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            values = dict(attributes(body[12:]))
            target = struct.unpack(">I", values[1])[0] if len(values.get(1, b"")) == 4 else 0
            link = struct.unpack("=I", values[4])[0] if len(values.get(4, b"")) == 4 else 0
            found.append((target, body[1], link))
        return found

    def mtu(self, index: int) -> int:
        """Bytes a packet on a link may have, 0 when it is unknown."""
        try:
            values = dict(attributes(self.call(_GET_LINK, 0, _link(index))[16:]))
        except OSError:
            return 0
        return int(struct.unpack("=I", values[4])[0]) if 4 in values else 0


class PacketFilter(Netlink):
    """Asks for tables of the packet filter, and removes them; rules are written by ``firewall``."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_NETFILTER)

    def has(self, table: str) -> bool:
        """Whether there is an IPv4 table of this name."""
        try:
            return bool(self.call(_TABLES << 8 | _GET_TABLE, 0, _filter() + text(1, table)))
        except OSError:
            return False

    def drops_forwarded(self) -> bool:
        """Whether iptables' table drops what nobody accepts on its way through this host (docker sets that)."""
        try:
            answer = self.call(_TABLES << 8 | _GET_CHAIN, 0, _filter() + text(1, "filter") + text(3, "FORWARD"))
        except OSError:
            return False
        policy = dict(attributes(answer[4:])).get(5, b"")
        return len(policy) == 4 and struct.unpack(">I", policy)[0] == 0

    def drop(self, table: str) -> None:
        """Remove an IPv4 table with everything in it; one that is gone is fine.

        Raises:
            OSError: The kernel refused, three times.
        """
        frame = struct.pack("=BB", 0, 0) + struct.pack(">H", _TABLES)
        for attempt in range(_ATTEMPTS):
            begin = self._message(_BATCH_BEGIN, 0, frame)
            wanted = self._message(_TABLES << 8 | _DEL_TABLE, _ACK, _filter() + text(1, table))
            sequence = self._sequence
            self._socket.send(begin + wanted + self._message(_BATCH_END, 0, frame))
            try:
                # What is wrong with the whole batch is said of its begin.
                self._answer(sequence, sequence - 1)
            except FileNotFoundError:
                return
            except OSError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
        if length < 16:
            return
        yield kind, sequence, data[at + 16 : at + length]
        at += length + (-length % 4)


def _link(index: int = 0, *, up: bool = False, family: int = 0) -> bytes:
    return struct.pack("=BxHiII", family, 0, index, _UP if up else 0, _UP if up else 0)


def _filter() -> bytes:
    return struct.pack("=BBH", _INET, 0, 0)
