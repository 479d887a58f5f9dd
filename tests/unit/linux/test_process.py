# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import time

import pytest

from scow.errors import UnsupportedError
from scow.linux import process


def test_a_program_is_run_and_heard():
    assert process.run(["/bin/sh", "-c", "cat; echo e >&2; exit 7"], feed=b"in") == (7, "in", "e\n")


def test_descriptors_that_are_not_given_are_null():
    assert process.run(["/bin/sh", "-c", "readlink /proc/self/fd/0"])[1] == "/dev/null\n"


def test_a_child_inherits_nothing_else():
    leaked = os.open("/dev/null", os.O_RDONLY)
    _, out, _ = process.run(["/bin/sh", "-c", "ls /proc/self/fd"])
    os.close(leaked)
    assert str(leaked) not in out.split()


def test_sigpipe_has_its_usual_effect_on_programs():
    assert process.run(["/bin/sh", "-c", "kill -PIPE $$; echo survived"])[:2] == (128 + signal.SIGPIPE, "")


def test_kept_descriptors():
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = process.spawn(["/bin/sh", "-c", "echo hi >&9"], keep={9: writer})
    os.close(writer)
    assert process.wait_status(pid) == 0
    assert os.read(reader, 10) == b"hi\n"
    os.close(reader)


def test_a_missing_program():
    with pytest.raises(UnsupportedError):
        process.spawn(["/nonexistent/program"])
    assert process.find_program("nonexistent-program") == ""
    assert process.find_program("sh").endswith("/sh")


def test_a_killed_process():
    pid = process.spawn(["/bin/sleep", "600"])
    os.kill(pid, signal.SIGKILL)
    assert process.wait_status(pid) == 137


def test_a_process_is_told_from_a_later_one():
    pid = process.spawn(["/bin/sleep", "600"])
    started = process.start_time(pid)
    assert process.is_alive(pid, started)
    assert not process.is_alive(pid, started + 1)
    assert not process.wait_gone(pid, started, 0.01)
    os.kill(pid, signal.SIGKILL)
    assert process.wait_gone(pid, started, 90)
    assert process.start_time(pid) == 0, "it waits to be reaped, but it has ended"
    process.wait_status(pid)
    assert not process.is_alive(pid, started)


def test_marks():
    assert process.mark_lives(process.self_mark())
    assert not process.mark_lives("1 1")
    assert not process.mark_lives("")


def test_waiting_for_a_condition():
    end = time.monotonic() + 0.05
    assert process.wait_until(lambda: time.monotonic() > end, 90)
    assert not process.wait_until(lambda: False, 0.03)


def test_kept_descriptors_do_not_take_each_others_places():
    first, second = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    before = len(os.listdir("/proc/self/fd"))
    crossed = {first[1]: second[1], second[1]: first[1]}
    pid = process.spawn(
        ["/bin/sh", "-c", f"echo one >/proc/self/fd/{first[1]}; echo two >/proc/self/fd/{second[1]}"], keep=crossed
    )
    assert process.wait_status(pid) == 0
    assert len(os.listdir("/proc/self/fd")) == before
    assert (os.read(second[0], 10), os.read(first[0], 10)) == (b"one\n", b"two\n")
    for fd in (*first, *second):
        os.close(fd)


def test_a_process_of_this_namespace_has_no_companions():
    assert process.companions(os.getpid()) == [os.getpid()]
