# SPDX-License-Identifier: Apache-2.0
"""Namespaces of threads."""

from __future__ import annotations

import os
import signal

import pytest

from scow.errors import NotFoundError
from scow.linux.mount import Mount, mount_all
from scow.linux.mountinfo import mount_points
from scow.linux.namespaces import (
    owns,
    private_mounts,
    run_in,
    run_inside,
    run_new,
    run_private,
)


@pytest.mark.root
def test_private_mounts_are_seen_by_the_thread_and_its_children_only(tmp_path) -> None:
    top = str(tmp_path)

    def work() -> str:
        mount_all([Mount("tmpfs", "t")], top)
        with open(f"{top}/inside", "w"):
            pass
        pid = os.posix_spawn("/bin/ls", ["ls", f"{top}/inside"], {})
        assert os.waitpid(pid, 0)[1] == 0
        assert mount_points(top) != []
        return "result"

    assert run_private(work) == "result"
    assert os.listdir(top) == []
    assert mount_points(top) == []


@pytest.mark.root
def test_what_the_work_raises_is_raised(tmp_path) -> None:
    def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_private(work)


@pytest.mark.root
def test_entering_another_process(tmp_path) -> None:
    top = str(tmp_path)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            private_mounts()
            mount_all([Mount("tmpfs", "t")], top)
            os.mkdir(f"{top}/there")
            os.write(write, b"x")
            signal.pause()
        finally:
            os._exit(0)
    try:
        assert os.read(read, 1) == b"x"
        assert run_inside(pid, ["mnt"], lambda: os.listdir(top)) == ["there"]
        assert os.listdir(top) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with pytest.raises(NotFoundError, match=f"no process {pid}"):
        run_inside(pid, ["mnt"], lambda: None)


@pytest.mark.root
def test_a_visitor_has_things_done_at_home() -> None:
    inner = run_new("net", lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY))
    here = os.readlink("/proc/thread-self/ns/net")

    def look() -> str:
        return os.readlink("/proc/thread-self/ns/net")

    def fail() -> None:
        raise KeyError("at home")

    def visit(home) -> tuple[str, str]:
        with pytest.raises(KeyError):
            home(fail)
        return look(), home(look)

    there, home = run_in(inner, "net", visit)
    os.close(inner)
    assert home == here != there


@pytest.mark.root
def test_a_namespace_is_owned_by_who_made_it() -> None:
    assert owns("net")
    assert run_new("net", lambda: owns("net"))
