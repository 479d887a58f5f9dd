# SPDX-License-Identifier: Apache-2.0
"""The command line of the runtime of last resort."""

from __future__ import annotations

import json
import os

import pytest

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
