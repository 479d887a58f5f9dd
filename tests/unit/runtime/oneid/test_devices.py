# SPDX-License-Identifier: Apache-2.0
"""Devices of steps; that they are made is in tests/interop/test_same_images.py."""

from __future__ import annotations

import os
import socket
import time

import pytest

from fakes.busybox import until
from scow.runtime.oneid import devices
from scow.runtime.oneid.calls import abis, asking_devices

pytestmark = pytest.mark.skipif(not abis(os.uname().machine), reason="not known on this processor")


def asks(profile, name: str, mode: int) -> bool:
    """What libseccomp makes of the rules for one call."""
    for rule in profile["syscalls"]:
        if name in rule["names"]:
            arguments = rule.get("args", [])
            if all((mode & each["value"]) == each["valueTwo"] for each in arguments):
                return rule["action"] == "SCMP_ACT_NOTIFY"
    return False


@pytest.mark.parametrize(
    ("mode", "asked"),
    [(0o020644, True), (0o060644, True), (0o010644, False), (0o100644, False), (0o140644, False), (0o644, False)],
)
def test_only_devices_ask(mode, asked):
    allowed = {"names": ["mknod", "mknodat", "read"], "action": "SCMP_ACT_ALLOW"}
    for profile in (None, {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [], "syscalls": [allowed]}):
        made = asking_devices(profile, "x86_64", "/socket")
        assert made["listenerPath"] == "/socket"
        assert [asks(made, name, mode) for name in ("mknod", "mknodat", "read")] == [asked, asked, False]


def test_what_may_not_make_devices_does_not_ask():
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [], "syscalls": []}
    assert asking_devices(profile, "x86_64", "/socket")["syscalls"] == []


@pytest.fixture
def started(monkeypatch):
    """Programs that would have been started."""
    found = []
    monkeypatch.setattr(devices.process, "spawn", lambda words, **_: found.append(words) or 0)
    return found


@pytest.mark.parametrize("deeper", ["", "d" * 100])  # the second is too long for a socket, which lies in /tmp then
def test_a_step_that_asks_nothing_starts_nothing_and_leaves_nothing(tmp_path, started, deeper):
    document = {"linux": {}}
    run_root = tmp_path / deeper
    with devices.Devices(document, str(run_root)):
        path = document["linux"]["seccomp"]["listenerPath"]
        assert os.path.exists(path)
    assert not os.path.exists(path)
    assert path.startswith(str(run_root)) or not os.path.exists(os.path.dirname(path))
    assert started == []


def test_the_first_question_starts_the_process_that_answers(tmp_path, started):
    document = {"linux": {}}
    reader, writer = os.pipe()
    with devices.Devices(document, str(tmp_path)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as runtime:
            runtime.connect(document["linux"]["seccomp"]["listenerPath"])
            socket.send_fds(runtime, [b"{}"], [reader])
        time.sleep(0.02)
        assert started == []
        os.write(writer, b"question")
        assert until(lambda: started)
    assert len(started) == 1
    os.close(reader)
    os.close(writer)
