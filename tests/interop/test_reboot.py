# SPDX-License-Identifier: Apache-2.0
"""The machine goes down: every process is killed at once, the run root is gone, the boot is another one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time

import pytest

from fakes.busybox import IMAGE, make_scow, processes, traces
from scow.linux.process import start_time

pytestmark = [pytest.mark.interop, pytest.mark.root]
SLEEP = (IMAGE, "sleep", "300")


@pytest.fixture
def scow(tmp_path):
    made = make_scow(str(tmp_path))
    yield made
    made.clean()


def crash(scow):
    """What is left after the power came back: the disk as it was, and another boot."""
    inside = [int(pid) for pid in scow("ps", "-q", "--no-trunc").split() for pid in [state(scow, pid)["Pid"]] if pid]
    for path, word in (("freezer/scow/{}/freezer.state", "THAWED"), ("scow/{}/cgroup.freeze", "0")):
        for identity in scow("ps", "-q", "--no-trunc").split():
            if os.path.exists(place := f"/sys/fs/cgroup/{path.format(identity)}"):
                with open(place, "w") as file:  # what is frozen does not die
                    file.write(word)
    for pid in (*(pid for pid, _ in processes(scow)), *inside):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    end = time.monotonic() + 10
    while left := [*processes(scow), *(pid for pid in inside if start_time(pid))]:
        assert time.monotonic() < end, left
        time.sleep(0.02)
    shutil.rmtree(scow.run_root)
    with sqlite3.connect(f"{scow.root}/scow.db") as db:
        db.execute("UPDATE containers SET boot = 'another' WHERE boot <> ''")


def state(scow, name):
    return json.loads(scow("inspect", "-f", "{{json .State}}", name))


def statuses(scow):
    return dict(line.split() for line in scow("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines())


@pytest.mark.host
def test_containers_are_found_again_with_the_right_state(scow):
    scow("run", "-d", "--name", "plain", "-v", "kept:/data", *SLEEP)
    scow("exec", "plain", "sh", "-c", "echo one > /written; echo two > /data/written")
    scow("run", "-d", "--name", "paused", "--network", "none", *SLEEP)
    scow("pause", "paused")
    scow("run", "-d", "--rm", "--name", "passing", *SLEEP)
    scow("create", "--name", "new", *SLEEP)
    scow("run", "-d", "--name", "over", "--network", "none", IMAGE, "sh", "-c", "echo said; exit 3")
    assert scow("wait", "over") == "3"
    scow("run", "-d", "--name", "again", "--restart", "on-failure", "--network", "none", IMAGE, "false")
    crash(scow)
    assert statuses(scow) == {
        "plain": "exited",
        "paused": "exited",
        "new": "created",
        "over": "exited",
        "again": "exited",
    }, "what had --rm is gone"
    assert [state(scow, name)["ExitCode"] for name in ("plain", "paused", "over")] == [255, 255, 3]
    assert scow("logs", "over") == "said"
    assert scow("start", "plain") == "plain"
    assert scow("exec", "plain", "cat", "/written", "/data/written") == "one\ntwo"
    assert scow("start", "paused", "new") == "paused\nnew"
    scow("rm", "-f", "plain", "paused", "new", "over", "again")
    assert traces(scow) == []


def test_restart_policies_after_the_machine_has_started(scow):
    for name, policy in (("aa", "always"), ("ss", "unless-stopped"), ("ff", "on-failure"), ("nn", "no")):
        scow("run", "-d", "--name", name, "--restart", policy, "--network", "none", *SLEEP)
    for name, policy in (("halted-a", "always"), ("halted-s", "unless-stopped")):
        scow("run", "-d", "--name", name, "--restart", policy, "--network", "none", *SLEEP)
        scow("stop", "-t", "0", name)
    crash(scow)
    assert set(statuses(scow).values()) == {"exited"}
    assert scow("system", "boot").split() == ["aa", "ss", "ff", "halted-a"]
    found = statuses(scow)
    assert {name for name in found if found[name] == "running"} == {"aa", "ss", "ff", "halted-a"}
    assert scow("system", "boot") == "", "nothing is left to do"


def test_between_two_runs(scow):
    """The process that was to start it again is killed: it does not stay in between for ever."""
    scow("run", "-d", "--name", "rr", "--restart", "always", "--network", "none", IMAGE, "false")
    end = time.monotonic() + 20
    while statuses(scow)["rr"] != "restarting" or not processes(scow):
        assert time.monotonic() < end
    time.sleep(1)
    crash(scow)
    assert statuses(scow) == {"rr": "exited"}
    assert scow("system", "boot") == "rr"


def test_restarts_leave_no_mounts_behind(scow):
    identity = scow(
        "run",
        "-d",
        "--name",
        "mm",
        "--restart",
        "on-failure:4",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "sleep 0.2; exit 1",
    )
    most, end = 0, time.monotonic() + 30
    while state(scow, "mm")["Status"] != "exited" or json.loads(scow("inspect", "-f", "{{.RestartCount}}", "mm")) < 4:
        assert time.monotonic() < end
        for pid, _ in processes(scow):
            try:
                with open(f"/proc/{pid}/mountinfo") as file:
                    most = max(most, sum(f"{identity}/rootfs" in line for line in file))
            except OSError:
                continue
    assert most == 1
