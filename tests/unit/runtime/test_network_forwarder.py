# SPDX-License-Identifier: Apache-2.0
"""Passing connections on, between sockets of this host."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from scow.runtime.network import forwarder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL = "127.0.0.1"


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Starts forwarders to ports of this host, and ends them; gives the port to call."""
    running: list[tuple[int, threading.Thread]] = []

    def start(port: int, protocol: str = "tcp") -> int:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        listener = socket.socket(socket.AF_INET, kind)
        listener.bind((LOCAL, 0))
        if protocol == "tcp":
            listener.listen()
        called: int = listener.getsockname()[1]
        reader, writer = os.pipe()
        thread = threading.Thread(
            target=forwarder.serve, args=(LOCAL, [(listener.detach(), protocol, port)], reader), daemon=True
        )
        thread.start()
        running.append((writer, thread))
        return called

    yield start
    for writer, thread in running:
        os.close(writer)
        thread.join(90)
        assert not thread.is_alive(), "the end of the lifeline is the end of the forwarder"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((LOCAL, 0)) as found:
        found.settimeout(90)
        yield found


def call(port: int) -> socket.socket:
    found = socket.create_connection((LOCAL, port), timeout=90)
    found.settimeout(90)
    return found


def read_all(source: socket.socket) -> bytes:
    data = b""
    while part := source.recv(1 << 16):
        data += part
    return data


def test_both_directions_and_half_closed_connections(start, server):
    with call(start(server.getsockname()[1])) as client:
        inside, _ = server.accept()
        with inside:
            inside.settimeout(90)
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert read_all(inside) == b"question"
            inside.sendall(b"answer")
            inside.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"answer"


def test_much_at_once_to_a_slow_reader(start, server):
    sent = os.urandom(1 << 20) * 8
    with call(start(server.getsockname()[1])) as client:
        inside, _ = server.accept()
        with inside:
            inside.settimeout(90)
            client.settimeout(90)
            writer = threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR)))
            writer.start()
            assert read_all(inside) == sent
            writer.join()


def test_nobody_listens_inside(start):
    with socket.socket() as bound:
        bound.bind((LOCAL, 0))  # nobody else can listen there meanwhile
        with call(start(bound.getsockname()[1])) as client:
            assert client.recv(1) == b""


def test_a_client_that_goes_away_does_not_disturb_another(start, server):
    called = start(server.getsockname()[1])
    first = call(called)
    gone, _ = server.accept()
    with call(called) as second:
        other, _ = server.accept()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        first.close()
        with gone, other:
            other.settimeout(90)
            second.sendall(b"still here")
            assert other.recv(100) == b"still here"


def test_datagrams_come_back_to_whom_they_came_from(start):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.bind((LOCAL, 0))
        inside.settimeout(90)
        called = start(inside.getsockname()[1], "udp")
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, sender in enumerate(senders):
            sender.settimeout(90)
            sender.sendto(b"%d" % number, (LOCAL, called))
            data, peer = inside.recvfrom(100)
            inside.sendto(b"to " + data, peer)
        for number, sender in enumerate(senders):
            assert sender.recv(100) == b"to %d" % number
            sender.close()


def test_senders_are_bounded(start, monkeypatch):
    monkeypatch.setattr(forwarder, "_MOST_SENDERS", 4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.bind((LOCAL, 0))
        inside.settimeout(90)
        called = start(inside.getsockname()[1], "udp")
        peers = set()

        def send():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", (LOCAL, called))
                peers.add(inside.recvfrom(100)[1])

        send()
        # only now is the forwarder sure to have what it needs itself; other tests of this process may have left some
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(12):
            send()
        assert len(os.listdir("/proc/self/fd")) <= before + 3
        assert len(peers) > 1


def test_the_words_name_every_port():
    words = forwarder.command_line("10.0.0.2", [(40, "tcp", 80), (41, "udp", 53)])
    assert words[1:] == ["-I", "-m", "scow.runtime.network.forwarder", "10.0.0.2", "40:tcp:80", "41:udp:53"]


class FewDescriptors:
    """The module of sockets, when there is no descriptor for the first connection's other side."""

    def __init__(self) -> None:
        self.left = 1

    def __getattr__(self, name: str) -> object:
        return getattr(_socket, name)

    def socket(self, *args: int, fileno: int | None = None) -> _socket.socket:
        if fileno is None and self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return _socket.socket(*args, fileno=fileno)


def test_one_connection_too_many_is_not_the_end_of_the_others(
    start: Callable[..., int], server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = start(server.getsockname()[1])
    monkeypatch.setattr(forwarder, "_socket", FewDescriptors())
    with call(port) as refused:
        assert refused.recv(1) == b""
    with call(port) as client:
        client.sendall(b"hello")
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(90)
            assert accepted.recv(5) == b"hello"
