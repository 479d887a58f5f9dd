# SPDX-License-Identifier: Apache-2.0
"""The machine goes down: every process is killed at once, the run root is gone, the boot is another one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import time

import pytest

from fakes.busybox import IMAGE, left, make_scow, processes, traces, until
from scow.linux.process import is_alive, start_time

pytestmark = [pytest.mark.interop, pytest.mark.root]
SLEEP = (IMAGE, "sleep", "900")


@pytest.fixture
def scow(tmp_path):
    made = make_scow(str(tmp_path))
    yield made
    made.clean()


def crash(scow):
    """What is left after the power came back: the disk as it was, and another boot."""
    pids = [state(scow, identity)["Pid"] for identity in scow("ps", "-q", "--no-trunc").split()]
    inside = [(pid, start_time(pid)) for pid in pids if pid]
    for path, word in (("freezer/scow/{}/freezer.state", "THAWED"), ("scow/{}/cgroup.freeze", "0")):
        for identity in scow("ps", "-q", "--no-trunc").split():
            # what is frozen does not die; one that restarts may have no group at this moment
            with contextlib.suppress(OSError), open(f"/sys/fs/cgroup/{path.format(identity)}", "r+") as file:
                file.write(word)
    # again and again: one may have started another just before it was killed
    assert until(lambda: not killed(scow, inside)), processes(scow)
    shutil.rmtree(scow.run_root)
    with sqlite3.connect(f"{scow.root}/scow.db") as db:
        db.execute("UPDATE containers SET boot = 'another' WHERE boot <> ''")


def killed(scow, inside):
    """Kill all that is there; what was."""
    found = [*(pid for pid, _ in processes(scow)), *(pid for pid, begun in inside if is_alive(pid, begun))]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


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
    assert left(lambda: traces(scow)) == []


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
    assert until(lambda: statuses(scow)["rr"] == "restarting" and processes(scow))
    time.sleep(1)
    crash(scow)
    assert statuses(scow) == {"rr": "exited"}
    assert scow("system", "boot") == "rr"


def test_restarts_leave_no_mounts_behind(scow, tmp_path):
    script = "until rm /ctl/go 2>/dev/null; do sleep 0.1; done; exit 1"
    words = ("--restart", "on-failure:4", "--network", "none", "-v", f"{tmp_path}:/ctl", IMAGE, "sh", "-c", script)
    identity = scow("run", "-d", "--name", "mm", *words)
    for restarts in range(5):
        state = f"running {restarts}"
        assert until(lambda state=state: scow("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "mm") == state)
        assert most_mounts(scow, identity) == 1
        (tmp_path / "go").touch()
    assert until(lambda: scow("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "mm") == "exited 4")


def most_mounts(scow, identity):
    """How often a process of the store has a container's root mounted."""
    counts = {}
    for seen in processes(scow):
        with contextlib.suppress(OSError), open(f"/proc/{seen[0]}/mountinfo") as file:
            counts[seen] = sum(f"{identity}/rootfs" in line for line in file)
    # one that has another name by now has become the container's first process meanwhile, and sees other mounts
    return max(counts[seen] for seen in processes(scow) if seen in counts)
