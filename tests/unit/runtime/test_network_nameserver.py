# SPDX-License-Identifier: Apache-2.0
"""The name server over its door, with sockets of this machine's loopback instead of a container's."""

from __future__ import annotations

import select
import socket
import struct
import threading

import pytest

from scow.errors import UnavailableError
from scow.runtime.network import dnswire
from scow.runtime.network.nameserver import Door, NameServer


class Book:
    """Knows one name."""

    def __init__(self):
        self.there = {"one"}

    def lookup(self, container, name, kind):
        if name != "web":
            return None
        return [bytes([10, 0, 0, 7])] if kind == dnswire.A else []

    def upstream(self, container):
        return []

    def is_there(self, container):
        return container in self.there


def query(name, kind=dnswire.A):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 9, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)


@pytest.fixture
def server(tmp_path):
    door = Door(str(tmp_path))
    listener = door.open()
    closed = threading.Event()
    made = NameServer(Book(), listener, closed.set)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    udp.bind(("127.0.0.1", 0))
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    ports = udp.getsockname(), tcp.getsockname()
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    assert door.send("serve", "one", (udp.fileno(), tcp.fileno()))
    udp.close()
    tcp.close()
    yield ports
    assert door.send("gone", "one")
    thread.join(90)
    assert closed.is_set(), "it ends after the last container"
    listener.close()


def ask(address, packet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(90)
        asking.sendto(packet, address)
        return asking.recv(600)


def test_packets(server):
    udp, _ = server
    assert ask(udp, query("web"))[-4:] == bytes([10, 0, 0, 7])
    assert struct.unpack_from(">HHHH", ask(udp, query("web", dnswire.AAAA))) == (9, 0x8180, 1, 0)
    assert ask(udp, query("other"))[3] & 15 == dnswire.SERVER_FAILURE, "nobody else to ask"
    assert ask(udp, b"\0\1" + bytes(10))[3] & 15 == dnswire.FORMAT_ERROR


def test_a_connection_with_two_questions(server):
    _, tcp = server
    with socket.create_connection(tcp, 90) as asking:
        for name, code in (("web", 0), ("other", dnswire.SERVER_FAILURE)):
            packet = query(name)
            asking.sendall(struct.pack(">H", len(packet)) + packet)
            length = struct.unpack(">H", asking.recv(2))[0]
            assert asking.recv(length)[3] & 15 == code


def test_a_door_without_anybody(tmp_path):
    assert not Door(str(tmp_path)).send("serve", "one")
    assert not Door(str(tmp_path / "none")).send("gone", "one")


def test_who_comes_in_the_last_moment_keeps_the_door_open(tmp_path):
    door, closed = Door(str(tmp_path)), threading.Event()
    listener = door.open()
    server = NameServer(Book(), listener, closed.set)
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        late = threading.Thread(target=lambda: answers.append(door.send("serve", "one", (udp.fileno(), tcp.fileno()))))
        late.start()
        select.select([listener], [], [], 90)
        assert not server._end()
        late.join(90)
        assert answers == [True]
        assert not closed.is_set()
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    assert door.send("gone", "one"), "others still get in"
    serving.join(90)
    assert closed.is_set()
    assert not door.send("serve", "two"), "who comes too late is told so"


def test_a_store_that_cannot_be_read_is_not_the_end(server, monkeypatch):
    udp, _ = server
    lookup = Book.lookup

    def broken(self, container, name, kind):
        if name == "broken":
            raise UnavailableError("another process holds the store for too long")
        return lookup(self, container, name, kind)

    monkeypatch.setattr(Book, "lookup", broken)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(query("broken"), udp)
    assert ask(udp, query("web"))[-4:] == bytes([10, 0, 0, 7])


def test_a_question_for_which_there_is_no_thread_is_not_the_end(server, monkeypatch):
    udp, _ = server
    start = threading.Thread.start

    def reluctant(thread):
        if thread.name == "question":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", reluctant)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(query("elsewhere"), udp)
    assert ask(udp, query("web"))[-4:] == bytes([10, 0, 0, 7])


def test_one_container_cannot_keep_the_others_from_asking(tmp_path):
    door = Door(str(tmp_path))
    with door.open() as listener:
        server = NameServer(Book(), listener, lambda: None)
        for name in ("greedy", "other"):
            server.add(name, *(socket.socket(socket.AF_INET, kind).detach() for kind in (2, 1)))
        over, asked, refused = threading.Event(), threading.Event(), []
        while not refused:
            server._aside("greedy", over.wait, lambda: refused.append(1))
        server._aside("other", asked.set, lambda: refused.append(2))
        over.set()
        assert refused == [1]
        assert asked.wait(90)
        server.drop("greedy")
        server.drop("other")
