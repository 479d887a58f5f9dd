# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import select
import threading

from fakes.polls import Late
from scow.linux import process
from scow.runtime.stdio import Pump, write_all


class Sink:
    """Reads a pipe to its end in a thread."""

    def __init__(self):
        self.reader, self.fd = os.pipe2(os.O_CLOEXEC)
        self.data = b""
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while part := os.read(self.reader, 65536):
            self.data += part

    def close(self):
        os.close(self.fd)
        self.thread.join(90)
        os.close(self.reader)
        return self.data


def feed(writer, given):
    try:
        write_all(writer, given)
    except BrokenPipeError:
        pass  # nobody wanted all of it
    finally:
        os.close(writer)


def carry(script, *, given=None, held=False):
    out, err = Sink(), Sink()
    reader = None
    if given is not None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        feeder = threading.Thread(target=feed, args=(writer, given))
        feeder.start()
    pump = Pump(stdin=reader, stdout=out.fd, stderr=err.fd)
    words = ["/bin/sh", "-c", script]
    pid = process.spawn(words, stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    pidfd = os.pidfd_open(pid)
    if not held:
        pump.release()
    pump.until(pidfd, drain=True)
    status = process.wait_status(pid)
    text = pump.held()
    os.close(pidfd)
    if reader is not None:
        os.close(reader)
        feeder.join(90)
    return status, out.close(), err.close(), text


def test_both_outputs_and_the_status():
    assert carry("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n", "")


def test_much_output_is_carried_whole():
    line = "0123456789" * 4
    status, out, _, _ = carry(f"i=0; while [ $i -lt 3000 ]; do echo {line}; i=$((i+1)); done")
    assert (status, len(out)) == (0, 3000 * 41)


def test_input_is_carried_and_ended():
    data = os.urandom(300_000)
    status, out, _, _ = carry("cat", given=data)
    assert (status, out) == (0, data)


def test_input_that_nobody_reads_does_not_hang():
    assert carry("exit 4", given=b"x" * 3_000_000)[0] == 4


def test_held_output_goes_nowhere():
    assert carry("echo complaint >&2", held=True) == (0, b"", b"", "complaint\n")


def test_a_complaint_between_two_looks_and_followed_by_the_end_is_held(monkeypatch):
    monkeypatch.setattr(select, "poll", Late)
    out, err = Sink(), Sink()
    pump = Pump(stdin=None, stdout=out.fd, stderr=err.fd)
    pid = process.spawn(["/bin/sh", "-c", "echo why >&2; exit 1"], stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    pidfd = os.pidfd_open(pid)
    pump.until(pidfd, drain=False)
    assert pump.held() == "why\n"
    assert process.wait_status(pid) == 1
    os.close(pidfd)
    assert out.close() + err.close() == b""


def test_a_reader_that_leaves_does_not_stop_the_container():
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.close(reader)
    pump = Pump(stdin=None, stdout=writer, stderr=None)
    pid = process.spawn(["/bin/sh", "-c", "echo a; echo b; exit 6"], stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    pump.release()
    pidfd = os.pidfd_open(pid)
    pump.until(pidfd, drain=True)
    assert process.wait_status(pid) == 6
    os.close(pidfd)
    os.close(writer)
