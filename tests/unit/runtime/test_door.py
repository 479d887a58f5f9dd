# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import select
import socket
import stat
import threading
from contextlib import contextmanager

import pytest

from scow.errors import UnavailableError
from scow.linux import process
from scow.runtime.attach import Session, connect
from scow.runtime.door import Door
from scow.runtime.stdio import Pump


@pytest.fixture
def bundle(tmp_path):
    return str(tmp_path)


class Guest:
    """One who is attached by what ``scow attach`` uses, in a thread."""

    def __init__(self, bundle, *, stdin=False):
        self.input, self.writer = os.pipe2(os.O_CLOEXEC) if stdin else (None, None)
        self.output, inner = os.pipe2(os.O_CLOEXEC)
        self.connection = connect(bundle)
        session = Session(self.connection, bundle, terminal=False, stdin=self.input, stdout=inner, stderr=inner)

        def run():
            session.run()
            os.close(inner)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def say(self, data):
        os.write(self.writer, data)

    def finish(self):
        os.close(self.writer)
        self.writer = None

    def line(self):
        found = b""
        while not found.endswith(b"\n"):
            part = os.read(self.output, 1)
            if not part:
                break
            found += part
        return found

    def close(self):
        self.thread.join(90)
        for fd in (self.output, self.input, self.writer):
            if fd is not None:
                os.close(fd)


@contextmanager
def running(bundle, script, *, stdin=None):
    """A shell whose streams a pump with a door carries, in a thread; its output goes to those who are attached."""
    pump = Pump(stdin=stdin, stdout=None, stderr=None)
    pid = process.spawn(
        ["/bin/sh", "-c", script], stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr
    )
    pump.started()
    pidfd = os.pidfd_open(pid)
    door = Door(bundle)
    pump.open(door)
    pump.release()

    def carry():
        pump.until(pidfd, drain=True)
        door.close()

    thread = threading.Thread(target=carry)
    thread.start()
    yield pid
    thread.join(90)
    os.close(pidfd)
    assert not thread.is_alive()
    assert process.wait_status(pid) == 0


@pytest.fixture
def pipe():
    reader, writer = os.pipe2(os.O_CLOEXEC)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_all_who_are_attached_hear_and_speak(bundle, pipe):
    with running(bundle, "while read line; do echo got $line; echo and $line >&2; done", stdin=pipe[0]):
        first, second = Guest(bundle, stdin=True), Guest(bundle, stdin=True)
        for speaker, word in ((first, b"one"), (second, b"two")):
            speaker.say(word + b"\n")
            for guest in (first, second):
                assert {guest.line(), guest.line()} == {b"got " + word + b"\n", b"and " + word + b"\n"}
        os.write(pipe[1], b"mine\n")
        assert {first.line(), first.line()} == {b"got mine\n", b"and mine\n"}
        second.finish()  # the end of one's input is the container's
        first.close()
    second.close()


def test_who_leaves_ends_nothing(bundle, pipe):
    with running(bundle, "read line; echo $line; read line; echo $line", stdin=pipe[0]):
        killed, other = connect(bundle), Guest(bundle, stdin=True)
        killed.send(b"a\n")
        assert other.line() == b"a\n"
        killed.close()
        other.say(b"b\n")
        assert other.line() == b"b\n"
        other.close()


def test_without_input_what_is_said_is_not_heard(bundle):
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with running(bundle, f"exec 3</proc/{os.getpid()}/fd/{reader}; read line <&3; echo end"):
        guest = Guest(bundle, stdin=True)
        guest.say(b"x" * 5000)
        guest.finish()
        os.write(writer, b"go\n")
        assert guest.line() == b"end\n"
        guest.close()
    os.close(reader)
    os.close(writer)


def test_who_came_before_it_was_said_hears_it(bundle):
    pump = Pump(stdin=None, stdout=None, stderr=None)
    pid = process.spawn(["/bin/sh", "-c", "echo end"], stdin=None, stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    pidfd = os.pidfd_open(pid)
    door = Door(bundle)
    pump.open(door)
    pump.release()
    guest = Guest(bundle)
    select.select([pidfd], [], [])  # all of it is there when the pump looks for the first time
    pump.until(pidfd, drain=True)
    door.close()
    assert guest.line() == b"end\n"
    guest.close()
    os.close(pidfd)
    assert process.wait_status(pid) == 0


def test_input_that_nobody_read_hides_no_output(bundle):
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    here.send(b"not read")
    there.send(b"\x02first\n")
    there.send(b"\x02last\n")
    there.close()
    Session(here, bundle, terminal=False, stdin=None, stdout=writer, stderr=writer).run()
    os.close(writer)
    assert os.read(reader, 100) == b"first\nlast\n"
    os.close(reader)


def test_much_is_carried_whole(bundle, pipe):
    data = b"0123456789abcde\n" * 100_000
    with running(bundle, "cat", stdin=pipe[0]):
        guest = Guest(bundle, stdin=True)
        found = bytearray()

        def read():
            while part := os.read(guest.output, 1 << 16):
                found.extend(part)

        thread = threading.Thread(target=read)
        thread.start()
        for begin in range(0, len(data), 9999):
            guest.say(data[begin : begin + 9999])
        guest.finish()
        thread.join(90)
        guest.close()
    assert found == data


def test_nobody_else_may_attach_and_nothing_is_left(bundle):
    door = Door(bundle)
    assert stat.S_IMODE(os.stat(f"{bundle}/attach").st_mode) == 0o600
    assert door.admit() is None
    door.close()
    assert os.listdir(bundle) == []
    with pytest.raises(UnavailableError):
        connect(bundle)


def test_a_door_that_a_killed_process_left_is_replaced(bundle):
    left = Door(bundle)
    door = Door(bundle)
    guest = connect(bundle)
    assert door.admit() is not None
    guest.close()
    door.close()
    left.close()


def test_a_path_longer_than_the_kernel_takes(tmp_path):
    bundle = str(tmp_path / ("x" * 120))
    os.mkdir(bundle)
    door = Door(bundle)
    guest = connect(bundle)
    assert door.admit() is not None
    guest.close()
    door.close()
