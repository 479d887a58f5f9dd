# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.runtime.oci import OciRuntime, logged_error, start_error

NOT_FOUND = 'unable to start container process: exec: "x": executable file not found in $PATH'


@pytest.mark.parametrize(
    ("text", "status", "part"),
    [
        (f"runc run failed: {NOT_FOUND}\n", 127, NOT_FOUND),
        (f'time="T" level=error msg="runc create failed: {NOT_FOUND}"'.replace('"x"', '\\"x\\"'), 127, NOT_FOUND),
        (json.dumps({"level": "error", "msg": f"runc create failed: {NOT_FOUND}"}), 127, NOT_FOUND),
        ('runc run failed: exec: "/etc": permission denied', 126, "permission denied"),
        ('exec: "/etc": is a directory', 126, "is a directory"),
        ("container_linux.go: no such file or directory", 127, "no such file"),
        ("warning\nsomething else broke\n", 125, "something else broke"),
        ("", 125, "without a word"),
    ],
)
def test_a_complaint_gives_dockers_words_and_status(text, status, part):
    error = start_error(text)
    assert error.status == status
    assert part in error.message
    assert "OCI runtime create failed" in error.message
    assert "\n" not in error.message


def test_the_last_error_of_a_log(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"level":"warning","msg":"w"}\n{"level":"error","msg":"first"}\n{"level":"error","msg":"last"}\n')
    assert logged_error(str(path)) == "last"
    assert logged_error(str(tmp_path / "none")) == ""


def test_a_command_line():
    runtime = OciRuntime("/state", "/bin/runc")
    assert runtime.words("start", "x") == ["/bin/runc", "--root", "/state", "start", "x"]
    assert runtime.words("run", log="/l")[3:7] == ["--log", "/l", "--log-format", "json"]


def test_state_of_an_unknown_container(tmp_path):
    runtime = OciRuntime(str(tmp_path), "/bin/false")
    assert not runtime.knows("x")
    assert runtime.state_of("x") is None
    runtime.delete("x")
