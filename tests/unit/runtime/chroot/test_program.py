# SPDX-License-Identifier: Apache-2.0
"""The command line of the runtime of last resort."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time

import pytest

from fakes.busybox import until
from scow.errors import UnavailableError
from scow.linux import kernel
from scow.linux.capabilities import ALL
from scow.runtime.chroot import program
from scow.runtime.chroot.program import main, parse


def test_command_lines_of_scow_are_taken_apart():
    words = parse(
        [
            "--root",
            "/r",
            "--log",
            "/l",
            "--log-format",
            "json",
            "run",
            "--detach",
            "--bundle",
            "/b",
            "--pid-file",
            "/p",
            "id",
        ]
    )
    assert (words.verb, words.operands) == ("run", ["id"])
    assert words.flags == {
        "root": "/r",
        "log": "/l",
        "log-format": "json",
        "detach": "",
        "bundle": "/b",
        "pid-file": "/p",
    }
    assert parse(["--root=/r", "kill", "id", "KILL"]).operands == ["id", "KILL"]
    assert parse([]).verb == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["state", "nobody"], "container does not exist"),
        (["state", "../x"], "a container needs a name"),
        (["delete", ".."], "a container needs a name"),
        (["pause", "x"], "pause needs namespaces and control groups"),
        (["delete", "nobody"], "container does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, capfd, argv, said):
    assert main(["--root", str(tmp_path), "--log", str(tmp_path / "log"), *argv]) == 1
    line = json.loads(capfd.readouterr().err)
    assert said in line["msg"]
    with open(tmp_path / "log", encoding="utf-8") as file:
        assert json.loads(file.read()) == line


def test_forgetting_what_is_not_there_is_fine(tmp_path):
    assert main(["--root", str(tmp_path), "delete", "--force", "nobody"]) == 0
    assert os.listdir(tmp_path) == []


def test_a_tree_in_which_processes_do_not_end_is_left_alone(monkeypatch):
    monkeypatch.setattr(program, "_ROUNDS", 3)
    monkeypatch.setattr(program, "_is_in", lambda pid, _tree: pid == os.getpid())
    monkeypatch.setattr(os, "kill", lambda *_: None)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with pytest.raises(UnavailableError, match="do not end"):
        program.end_all("/tree")


@pytest.mark.root
def test_processes_of_other_users_end_too_where_root_may_not_look_into_them(tmp_path):
    """As in a container of docker's, whose root has no CAP_SYS_PTRACE."""
    tree = tmp_path / "tree"
    tree.mkdir()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(600)
        os.chroot(tree)
        os.chdir("/")
        os.setgid(54321)
        os.setuid(54321)
        ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE, as after an exec
        os.write(writer, b"x")
        signal.pause()
        os._exit(0)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            kernel.set_capabilities((1 << len(ALL)) - 1 & ~(1 << ALL.index("CAP_SYS_PTRACE")))
            program.end_all(str(tree))
            status = os.geteuid()
        finally:
            os._exit(status)
    assert os.waitpid(helper, 0)[1] == 0
    # it has lost its root a moment before it has ended
    assert until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
