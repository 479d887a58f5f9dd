# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.busybox import until
from scow.errors import UnsupportedError
from scow.linux import process
from scow.runtime import oci
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
        ("executable file `x` not found in $PATH: No such file or directory", 127, "`x` not found"),
        ("open executable: Operation not permitted", 126, "Operation not permitted"),
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


@pytest.mark.parametrize(
    ("complaint", "named"),
    [
        ("runc create failed: unable to start container process: unable to setup user: invalid argument", "usermod"),
        ("unable to start container process: unable to setup user: setgroups: invalid argument", "usermod"),
        ("setresuid to `70000`: Invalid argument", "usermod"),
        ("runc create failed: pivot_root .: operation not permitted", "seccomp=unconfined"),
        ("write cpu.max: invalid argument", ""),
    ],
)
def test_a_complaint_about_the_host_names_what_lifts_it(complaint, named):
    hint = start_error(complaint).hint
    assert named in hint
    assert bool(named) == bool(hint)


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


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host with these programs, and controllers in version 2 of control groups beside version 1."""

    def have(*programs: str, controllers: str = ""):
        monkeypatch.setattr(oci.process, "find_program", lambda name: f"/bin/{name}" if name in programs else "")
        (tmp_path / "controllers").write_text(controllers)
        monkeypatch.setattr(oci, "_UNIFIED", str(tmp_path / "controllers"))

    return have


@pytest.mark.parametrize(
    ("programs", "name", "found"),
    [
        (("runc", "crun"), "", "/bin/runc"),
        (("crun",), "", "/bin/crun"),
        (("runc", "crun"), "crun", "/bin/crun"),
        (("runc", "crun"), "runc", "/bin/runc"),
    ],
)
def test_a_runtime_is_found_by_name_or_as_the_first_there_is(host, programs, name, found):
    host(*programs)
    assert oci.find(name) == found


@pytest.mark.parametrize(("programs", "name"), [(("runc",), "crun"), (("crun",), "runc"), ((), "")])
def test_what_is_not_installed_is_named_with_its_package(host, programs, name):
    host(*programs)
    with pytest.raises(UnsupportedError) as caught:
        oci.find(name)
    assert caught.value.hint == f"Install it: apt install {name or 'runc'}"


def test_crun_is_refused_where_it_would_fail(host):
    host("runc", "crun", controllers="hugetlb\n")
    with pytest.raises(UnsupportedError, match="both have controllers"):
        oci.find("crun")
    assert oci.find() == "/bin/runc"


@pytest.mark.parametrize("waiting", [True, False])
def test_a_last_will_lets_a_waiting_runtime_go_and_deletes_the_container(tmp_path, waiting):
    program, told, bundle = tmp_path / "runc", tmp_path / "told", tmp_path / "bundle"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    program.chmod(0o755)
    bundle.mkdir()
    read: list[bytes] = []
    if waiting:
        os.mkfifo(bundle / "config.json")
        reader = threading.Thread(target=lambda: read.append((bundle / "config.json").read_bytes()))
        reader.start()
    runtime = OciRuntime(str(tmp_path / "state"), str(program))
    words = runtime.last_will("abc", str(bundle), "/bin/sh", "-c", f"echo then >> {told}")

    def given_up() -> bool:
        subprocess.run(words, check=True)
        return bool(read) or not waiting

    assert until(given_up), "again and again, as runtime.deadman does it: the reader may come late"
    assert set(told.read_text().splitlines()) == {f"--root {tmp_path}/state delete --force abc", "then"}
    if waiting:
        reader.join(90)
        assert read == [b""]


def test_steps_that_make_the_runtime_of_last_resort_at_once_can_all_start_it(tmp_path, monkeypatch):
    monkeypatch.setattr(oci, "may_mount", lambda: False)
    monkeypatch.setattr(oci, "holds", lambda _: True)
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    gate = threading.Barrier(8)

    def start(number: int) -> str:
        gate.wait(90)
        runtime = OciRuntime(str(tmp_path / str(number) / "oci"))
        return process.run([runtime.program, "state", "x"])[1]

    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            said = list(threads.map(start, [number] * 8))
            assert said == ["-I -m scow.cli.chrooted state x\n"] * 8
