# SPDX-License-Identifier: Apache-2.0
"""Containers started and removed in many ways, some of them by kill -9 of everything: nothing of them is left.

The store has a network namespace of its own, so that every link and every rule in it is this test's. More thorough, as
the release notes claim it: ``SCOW_LEAKS=300 SCOW_LEAKS_AT_ONCE=50``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import signal
import subprocess
import time

import pytest

from fakes.busybox import IMAGE, Scow, layer, need, processes

pytestmark = [pytest.mark.interop, pytest.mark.root]
COUNT = int(os.environ.get("SCOW_LEAKS", "28"))
AT_ONCE = int(os.environ.get("SCOW_LEAKS_AT_ONCE", "12"))
SLEEP = (IMAGE, "sleep", "900")


class Apart(Scow):
    """The command in a network namespace of its own."""

    def __init__(self, folder, space):
        super().__init__(folder)
        self.words = ["nsenter", f"--net=/run/netns/{space}", self.program]

    def run(self, *argv, **options):
        return subprocess.run([*self.words, *argv], env=self.env, capture_output=True, timeout=280, **options)

    def start(self, *argv, **options):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*self.words, *argv], env=self.env, **{**streams, **options})


@pytest.fixture(scope="module")
def scow(tmp_path_factory):
    need("runc", "conmon", "nft", "ip", "nsenter", "script")
    space = f"leaks-{os.urandom(4).hex()}"
    subprocess.run(["ip", "netns", "add", space], check=True)
    subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
    made = Apart(str(tmp_path_factory.mktemp("leaks")), space)
    made.space = space
    made("import", "-", IMAGE, input=layer())
    made("network", "create", "net1")
    # what every store has once it was used
    made("run", "-d", "--name", "first", "--network", "net1", "-v", "first:/first", *SLEEP)
    subprocess.run(
        ["script", "-qec", f"{' '.join(made.words)} exec -t first true", "/dev/null"], env=made.env, check=True
    )
    made("rm", "-fv", "first")
    made("volume", "rm", "first")
    yield made
    made.clean()
    subprocess.run(["ip", "netns", "del", space], check=True)


def monitor(scow, name):
    with open(f"{scow.root}/containers/{scow('inspect', '-f', '{{.Id}}', name)}/conmon.pid") as file:
        return int(file.read())


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def killed_after(running, seconds):
    time.sleep(seconds)
    running.kill()
    running.wait()


def in_the_foreground(scow, name):
    scow("run", "--rm", "--name", name, "-p", "80", IMAGE, "true")


def in_the_foreground_and_killed(scow, name):
    running = scow.start("run", "--rm", "--name", name, "--network", "net1", *SLEEP, start_new_session=True)
    killed_after(running, random.uniform(0.02, 0.6))


def kept_and_killed(scow, name):
    running = scow.start("run", "--name", name, "-v", f"/anonymous{name}", *SLEEP)
    killed_after(running, random.uniform(0.05, 0.6))
    scow.run("rm", "-fv", name)


def stopped(scow, name):
    scow("run", "-d", "--rm", "--name", name, "-v", "/anonymous", "--health-cmd", "true", *SLEEP)
    scow("stop", "-t", "0", name)


def starting_is_killed(scow, name):
    scow("create", "--name", name, "-p", "80/udp", *SLEEP)
    killed_after(scow.start("start", name), random.uniform(0.05, 0.4))
    scow("rm", "-fv", name)


def the_monitor_is_killed(scow, name):
    scow("run", "-d", "--name", name, "--network", "net1", "--network-alias", "all", *SLEEP)
    kill(monitor(scow, name))
    scow("rm", "-f", name)


def container_and_monitor_are_killed(scow, name):
    scow("run", "-d", "--name", name, "-p", "80", "-v", f"named{name}:/data", *SLEEP)
    pid = int(scow("inspect", "-f", "{{.State.Pid}}", name))
    kill(monitor(scow, name))
    kill(pid)
    scow("ps")
    scow("rm", "-f", name)
    scow("volume", "rm", f"named{name}")


def restarting_for_ever(scow, name):
    scow("run", "-d", "--name", name, "--restart", "always", IMAGE, "false")
    time.sleep(random.uniform(0.1, 0.8))
    scow("rm", "-f", name)


def removing_is_killed(scow, name):
    scow("run", "-d", "--name", name, "--init", *SLEEP)
    killed_after(scow.start("rm", "-f", name), random.uniform(0.02, 0.3))
    scow.run("rm", "-f", name)


def inside_something_is_killed(scow, name):
    scow("run", "-d", "--name", name, "--tmpfs", "/t", *SLEEP)
    killed_after(scow.start("exec", name, "sleep", "200"), random.uniform(0.05, 0.4))
    scow("exec", "-d", name, "sleep", "200")
    scow("pause", name)
    scow("rm", "-f", name)


def it_never_starts(scow, name):
    assert scow.run("run", "-d", "--rm", "--name", name, "--network", "net1", IMAGE, "nosuch").returncode == 127
    assert scow.run("run", "--rm", "--name", name, "--network", "nosuch", IMAGE, "true").returncode == 125


WAYS = (
    in_the_foreground,
    in_the_foreground_and_killed,
    kept_and_killed,
    stopped,
    starting_is_killed,
    the_monitor_is_killed,
    container_and_monitor_are_killed,
    restarting_for_ever,
    removing_is_killed,
    inside_something_is_killed,
    it_never_starts,
)


def files(scow):
    """Every path of the store and its run root, but for what the database writes for itself."""
    found = set()
    for top in (scow.root, scow.run_root):
        for parent, directories, names in os.walk(top):
            found.update(os.path.join(parent, name) for name in (*directories, *names) if "scow.db" not in name)
    return found


def groups(known):
    """Control groups of the containers in ``known``."""
    found = []
    for parent, directories, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(parent, name) for name in directories if name in known]
    return found


def mounts(scow):
    """Mounts below the store, in whatever mount namespace some process still has."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/mountinfo") as file:
                found.update(f"{pid} {line.split()[4]}" for line in file if scow.root in line)
        except OSError:
            continue
    return found


def held_locks(scow):
    """Files of the store that somebody has locked."""
    inodes = set()
    with open("/proc/locks") as file:
        for line in file:
            inodes.add(line.split()[5 if "->" not in line else 6].rpartition(":")[2])
    names = [os.path.join(scow.run_root, "names.lock")]
    for parent, _, files_here in os.walk(os.path.join(scow.root, "locks")):
        names += [os.path.join(parent, name) for name in files_here]
    found = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            if str(os.stat(name).st_ino) in inodes:
                found.append(name)
    return found


def network(scow):
    """Links and rules of the namespace, but for the loopback."""
    inside = ["nsenter", f"--net=/run/netns/{scow.space}"]
    links = subprocess.run([*inside, "ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run([*inside, "nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return [line for line in links.splitlines() if ": lo:" not in line] + rules.splitlines()


def left(scow, before, known):
    found = [f"process {pid} {command}" for pid, command in processes(scow)]
    found += [f"mount {text}" for text in mounts(scow)]
    found += [f"group {text}" for text in groups(known)]
    found += [f"network {text}" for text in network(scow)]
    found += [f"lock {text}" for text in held_locks(scow)]
    return found + [f"file {text}" for text in files(scow) - before]


def nothing_is_left(scow, before, known):
    """Look until nothing is left; what was never entered is swept by any command a minute later."""
    for _ in range(600):
        found = left(scow, before, known)
        if not found:
            break
        time.sleep(0.2)
        rows = {*scow("ps", "-aq", "--no-trunc").split(), *scow("volume", "ls", "-q").split()}
        for top in (f"{scow.root}/containers", f"{scow.root}/volumes"):
            for name in os.listdir(top):
                if name not in rows:
                    with contextlib.suppress(FileNotFoundError):  # a last will is at it
                        os.utime(f"{top}/{name}", (0, 0))
        scow("ps")
    assert not found, "\n".join(found[:40])
    assert scow("ps", "-aq") == ""
    assert scow("volume", "ls", "-q") == ""
    assert b"problem" not in scow.run("system", "fsck").stdout.replace(b"no problems", b"")


def events(scow):
    """Ids of all containers so far."""
    lines = scow("events", "--since", "1h", "--until", "0s", "--filter", "event=create", "--format", "{{.Actor.ID}}")
    return set(lines.split())


@pytest.mark.timeout(3600)
def test_many_ways_to_go(scow):
    before = files(scow)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        turns = [pool.submit(WAYS[at % len(WAYS)], scow, f"leak{at}") for at in range(COUNT)]
        for turn in concurrent.futures.as_completed(turns):
            turn.result()
    nothing_is_left(scow, before, events(scow))


def test_many_at_once(scow):
    before = files(scow)
    words = ["--network", "net1", "--network-alias", "all"]
    running = [scow.start("run", "-d", "--name", f"once{at}", *words, *SLEEP) for at in range(AT_ONCE)]
    assert [process.wait(250) for process in running] == [0] * AT_ONCE
    assert len(scow("ps", "-q").split()) == AT_ONCE
    for name in ("once0", f"once{AT_ONCE - 1}"):
        hosts = scow("exec", name, "grep", "-c", "once", "/etc/hosts")
        assert int(hosts) == AT_ONCE, "everybody knows everybody"
    leaving = [scow.start("rm", "-f", f"once{at}") for at in range(AT_ONCE)]
    assert [process.wait(250) for process in leaving] == [0] * AT_ONCE
    nothing_is_left(scow, before, events(scow))
