# SPDX-License-Identifier: Apache-2.0
"""The other end of a terminal; a process of a line plays the container's."""

from __future__ import annotations

import os
import select

import pytest

from fakes.polls import Late
from scow.linux import process
from scow.runtime import console


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A console, and the container's end of its terminal."""
    monkeypatch.chdir(tmp_path)
    with console.Console("socket") as found:
        found._master, inside = os.openpty()
        yield found, inside


def carried(found, inside, script):
    """What a command prints on the terminal, carried to its end."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = process.spawn(["/bin/sh", "-c", script], stdout=inside)
    os.close(inside)
    pidfd = os.pidfd_open(pid)
    assert not found.carry(None, writer, pidfd, b"")
    os.close(writer)
    os.close(pidfd)
    process.wait_status(pid)
    with os.fdopen(reader, "rb") as file:
        return file.read()


def test_everything_is_carried(made):
    assert carried(*made, "seq 300").split() == [b"%d" % number for number in range(1, 301)]


def test_what_is_written_between_two_looks_and_followed_by_the_end_is_carried(made, monkeypatch):
    monkeypatch.setattr(select, "poll", Late)
    assert carried(*made, "echo last words") == b"last words\r\n"


def test_a_terminal_that_another_process_keeps_is_left_when_it_is_silent(made):
    reader, writer = os.pipe()
    assert carried(*made, f"cat <&{reader} & echo first") == b"first\r\n"
    os.close(reader)
    os.close(writer)
