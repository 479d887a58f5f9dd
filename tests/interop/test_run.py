# SPDX-License-Identifier: Apache-2.0
"""Containers for real: run, watched, changed, committed, and nothing left of them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from fakes.busybox import IMAGE, groups_of, left, open_files, traces, until

pytestmark = [pytest.mark.interop, pytest.mark.root]


@pytest.fixture(autouse=True)
def nothing_left(scow):
    yield
    scow.clean()
    assert left(lambda: traces(scow)) == []


def box(*words, network="none"):
    return ["run", "--rm", "--network", network, *words]


# ------------------------------------------------------------------ foreground


def test_output_and_status(scow):
    done = scow.run(*box(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_input(scow):
    data = os.urandom(200_000)
    assert scow.run(*box("-i", IMAGE, "cat"), input=data).stdout == data
    assert scow.run(*box(IMAGE, "cat"), input=b"unseen").stdout == b""


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((IMAGE, "nosuch"), 127, rb'exec: "nosuch": executable file not found in \$PATH'),
        ((IMAGE, "/etc"), 126, rb'exec: "/etc": '),
        (("-u", "eve", IMAGE, "true"), 125, rb"unable to find user eve: no matching entries in passwd file"),
        (("-w", "relative", IMAGE, "true"), 125, rb"needs to be an absolute path"),
        (("--pull", "never", "localhost/none", "true"), 125, rb"No such image: localhost/none:latest"),
        (("--init", "--nosuch", IMAGE), 125, rb"unknown flag: --nosuch"),
    ],
)
def test_what_cannot_be_started(scow, words, status, message):
    done = scow.run(*box(*words))
    assert (done.returncode, done.stdout) == (status, b"")
    assert re.search(message, done.stderr), done.stderr


def test_isolation(scow):
    out = scow(
        *box(IMAGE, "sh", "-c", "echo $$; hostname; ls /sys/class/net; id; grep -E 'CapEff|Seccomp:' /proc/self/status")
    )
    assert re.fullmatch(
        r"1\n[0-9a-f]{12}\nlo\nuid=0\(root\) gid=0\(root\) groups=0\(root\)\nCapEff:\s+00000000a80425fb\nSeccomp:\s+2",
        out,
    )


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs t /tmp",
        "unshare -m true",
        "mknod /tmp/disk b 8 0 && [ $(head -c 1 /tmp/disk | wc -c) = 1 ]",
        "echo 1 >/proc/sys/kernel/panic",
        "echo b >/proc/sysrq-trigger",
        "[ $(head -c 1 /proc/kcore | wc -c) = 1 ]",
        "echo x >/sys/kernel/mm/ksm/run",
        "mkdir /sys/fs/cgroup/memory/x",
        "ls /sys/firmware/*",
    ],
)
def test_what_an_ordinary_container_may_not(scow, command):
    assert scow.run(*box(IMAGE, "sh", "-c", command)).returncode != 0


def test_settings_reach_the_inside(scow, tmp_path):
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(0o755)
    (tmp_path / "f").write_text("seen")
    out = scow(
        *box(
            "-e", "A=1", "-w", "/new/dir", "-u", "bob", "-h", "box", "-v", f"{tmp_path}:/m:ro", "--tmpfs", "/t:size=1m",
            "--add-host", "db:10.1.2.3", "--dns", "10.9.8.7", "--ulimit", "nofile=99", IMAGE,
            "sh", "-c", "echo $A; pwd; id; hostname; cat /m/f; touch /m/x; df -k /t | tail -n1; grep db /etc/hosts;"
            " cat /etc/resolv.conf; ulimit -n",
        )
    )  # fmt: skip
    assert out.startswith("1\n/new/dir\nuid=1234(bob) gid=1234(bob) groups=50(staff),1234(bob)\nbox\nseen")
    assert not (tmp_path / "x").exists()
    assert "10.1.2.3\tdb" in out
    assert "nameserver 10.9.8.7" in out
    assert out.endswith("\n99")


def test_a_read_only_root(scow):
    assert scow.run(*box("--read-only", IMAGE, "touch", "/x")).returncode == 1
    assert scow.run(*box("--read-only", "--tmpfs", "/run", IMAGE, "touch", "/run/x")).returncode == 0


def test_the_hosts_network(scow):
    namespace = ("readlink", "/proc/self/ns/net")
    assert scow(*box(IMAGE, *namespace, network="host")) == os.readlink(namespace[1])
    assert scow(*box(IMAGE, *namespace)) != os.readlink(namespace[1])


def test_signals_are_passed_on(scow):
    command = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    running = scow.start(*box(IMAGE, "sh", "-c", command), stdout=-1)
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.stdout.read() == b"got\n"
    assert running.wait(90) == 9


def test_files_of_the_id(scow, tmp_path):
    scow(*box("--cidfile", f"{tmp_path}/id", IMAGE, "true"))
    assert re.fullmatch("[0-9a-f]{64}", (tmp_path / "id").read_text())
    assert scow.run(*box("--cidfile", f"{tmp_path}/id", IMAGE, "true")).returncode == 125


def test_without_rm_it_stays_with_its_log(scow):
    assert (
        scow.run("run", "--name", "kept", "--network", "none", IMAGE, "sh", "-c", "echo said; exit 3").returncode == 3
    )
    assert scow("logs", "kept") == "said"
    assert scow("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "kept") == "exited 3"
    assert scow.run("start", "-a", "kept").returncode == 3


@pytest.mark.host
def test_memory_is_limited(scow):
    done = scow.run(*box("-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "head -c 100m /dev/zero | tail -n1"))
    assert done.returncode != 0


@pytest.mark.host
def test_limits_can_be_changed_and_left_alone(scow):
    scow("run", "-d", "--name", "uu", "--network", "none", IMAGE, "sleep", "600")
    assert scow("update", "--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "uu") == "uu"
    assert scow("update", "--memory", "0", "--cpus", "0", "uu") == "uu"
    assert scow("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", "uu") == f"{64 << 20} 500000000"
    scow("create", "--name", "rr", "--network", "none", IMAGE, "nosuch")
    done = scow.run("restart", "rr")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"Error: Cannot restart container rr: failed to create")


def test_a_detached_container_that_removes_itself_leaves_no_directory(scow):
    for command in ("true", "sleep 0.5"):
        scow("run", "--rm", "-d", "--network", "none", IMAGE, "sh", "-c", command)
        assert until(lambda: os.listdir(f"{scow.root}/containers") == [])


# ------------------------------------------------------------------ killed


@pytest.mark.parametrize("delay", [0.02, 0.06, 0.1, 0.15, 0.25, 0.5])
@pytest.mark.parametrize("group", [False, True])
def test_a_killed_command_takes_its_container_with_it(scow, delay, group):
    running = scow.start(*box(IMAGE, "sleep", "600"), start_new_session=True)
    time.sleep(delay)
    if group:
        os.killpg(running.pid, signal.SIGKILL)
    else:
        running.kill()
    running.wait()
    assert left(lambda: [t for t in traces(scow) if t.startswith(("process", "state", "mount"))]) == []
    identities = [entry.split()[1] for entry in traces(scow) if entry.startswith("directory")]
    assert scow("ps", "-aq") == "", "a later command has dropped the record"
    for identity in identities:
        assert until(lambda identity=identity: groups_of(identity) == [])
        with contextlib.suppress(FileNotFoundError):  # else it had no record yet; a minute later any command sweeps it
            os.utime(f"{scow.root}/containers/{identity}", (0, 0))
    scow("ps")
    assert left(lambda: traces(scow)) == []


# ------------------------------------------------------------------ detached


def test_a_detached_container_lives_by_itself(scow):
    identity = scow("run", "-d", "--name", "dd", "--network", "none", IMAGE, "sh", "-c", "echo one; sleep 600")
    assert until(lambda: scow("logs", "dd") == "one")
    assert scow("ps", "--format", "{{.Names}} {{.State}}") == "dd running"
    assert scow("exec", "dd", "sh", "-c", "echo $$ in; exit 0").endswith(" in")
    assert scow.run("exec", "dd", "sh", "-c", "exit 9").returncode == 9
    assert scow.run("exec", "dd", "nosuch").returncode == 127
    assert scow.run("exec", "-w", "relative", "dd", "true").returncode == 126
    assert scow.run("exec", "-i", "dd", "cat", input=b"fed").stdout == b"fed"
    assert "sleep 600" in scow("top", "dd")
    assert scow("stop", "-t", "0", "dd") == "dd"
    assert scow("wait", "dd") == "137"
    assert left(lambda: groups_of(identity)) == []
    assert scow("start", "dd") == "dd"
    assert scow("kill", "dd") == "dd"
    assert scow("rm", "dd") == "dd"


def test_it_goes_by_itself_when_asked_to(scow):
    command = "until test -e /go; do sleep 0.1; done; exit 4"
    identity = scow("run", "-d", "--rm", "--network", "none", IMAGE, "sh", "-c", command)
    waiting = scow.start("wait", identity, stdout=subprocess.PIPE)
    assert until(lambda: "anon_inode:[pidfd]" in open_files(waiting.pid))
    scow.run("exec", identity, "touch", "/go")  # its own status is that of a race with the end
    assert waiting.communicate(timeout=90)[0] == b"4\n"
    assert left(lambda: traces(scow)) == []


def test_a_killed_monitor_leaves_nothing(scow):
    identity = scow("run", "-d", "--name", "mm", "--network", "none", IMAGE, "sleep", "600")
    with open(f"{scow.root}/containers/{identity}/conmon.pid") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    assert scow("inspect", "-f", "{{.State.Running}}", "mm") == "true"
    assert scow("rm", "-f", "mm") == "mm"
    assert left(lambda: traces(scow) + groups_of(identity)) == []


@pytest.mark.host
def test_pause(scow):
    scow("run", "-d", "--name", "pp", "--network", "none", IMAGE, "sh", "-c", "while :; do echo x; sleep 0.05; done")
    scow("pause", "pp")
    # what was written before may still be on its way into the log
    seen = [""]

    def still():
        seen.append(scow("logs", "pp"))
        time.sleep(0.5)
        return seen[-1] == seen[-2]

    assert until(still)
    before = seen[-1]
    assert scow("inspect", "-f", "{{.State.Status}}", "pp") == "paused"
    scow("unpause", "pp")
    assert until(lambda: scow("logs", "pp") != before)
    scow("pause", "pp")
    scow("stop", "-t", "1", "pp")  # the shell ignores SIGTERM as first process, and is killed
    assert scow("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "pp") == "exited 137"


def test_restart_policy(scow):
    scow("run", "-d", "--name", "rr", "--network", "none", "--restart", "on-failure:2", IMAGE, "false")
    assert until(lambda: scow("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "rr") == "2 exited")


LOOK = """
import sys
from scow.containers import detached
from scow.engine import Engine
from scow.linux import process
from scow.runtime import monitor

engine = Engine()
engine.enter()
containers = engine.containers
containers.dedicated = True
made = containers.find(sys.argv[1])
containers.store.update(made.id, status=sys.argv[2], monitor=f"restart {process.self_mark()}", boot=process.boot_id())
seen = []

def look():
    containers.all()
    seen.append(containers.find(made.id).status)

def created(begun, created=monitor.created):
    look()
    pid = created(begun)
    process.wait_gone(pid, process.start_time(pid), 60)  # the command may end before the one who started it says so
    look()
    return pid

monitor.created = created
detached.start(containers, containers.find(made.id))
print(*seen)
"""


@pytest.mark.parametrize(("state", "options"), [("restarting", ()), ("created", ("--rm",))])
def test_who_looks_at_a_container_that_is_being_started_leaves_it_alone(scow, state, options):
    scow("create", "--name", "look", "--network", "none", *options, IMAGE, "true")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "look", state], env=scow.env, capture_output=True, timeout=280, check=False
    )
    assert (set(done.stdout.decode().split()), done.stderr.decode()) == ({state}, "")


HELD = """
import os, subprocess, sys, time
from scow.engine import Engine
from scow.linux import process

engine = Engine()
engine.enter()
containers = engine.containers
containers.dedicated = True
made = containers.find(sys.argv[1])
gone = subprocess.Popen(["/bin/true"])
begun = process.start_time(gone.pid) or 1
gone.wait()
with containers.alone(made):
    ended = subprocess.Popen([sys.executable, "-I", "-m", "scow.cli.ended", made.id])
    while ended.poll() is None:
        with open("/proc/locks") as file:
            if any("->" in line and f" {ended.pid} " in line for line in file):
                break
        time.sleep(0.01)
    with open(f"{containers.directory(made.id)}/{made.id}", "w") as file:
        file.write("3")
    containers.store.update(
        made.id, status="running", monitor="conmon", pid=gone.pid, pid_start=begun, boot=process.boot_id()
    )
ended.wait()
found = containers.store.get(made.id)
print(found.status, found.exit_code)
"""


def test_an_end_is_noted_also_when_it_comes_before_the_start_was(scow):
    scow("create", "--name", "held", "--network", "none", IMAGE, "true")
    done = subprocess.run(
        [sys.executable, "-c", HELD, "held"], env=scow.env, capture_output=True, timeout=280, check=False
    )
    assert (done.stdout, done.stderr) == (b"exited 3\n", b"")


def test_health(scow):
    scow("run", "-d", "--name", "hh", "--network", "none", "--health-cmd", "test ! -e /bad", "--health-interval", "100ms",
         "--health-retries", "2", IMAGE, "sleep", "600")  # fmt: skip
    status = ("inspect", "-f", "{{.State.Health.Status}}", "hh")
    assert until(lambda: scow(*status) == "healthy")
    scow("exec", "hh", "touch", "/bad")
    assert until(lambda: scow(*status) == "unhealthy")
    scow("rm", "-f", "hh")
    assert left(lambda: traces(scow)) == []


def test_logs_are_followed_to_the_end(scow):
    scow(
        "run",
        "-d",
        "--name",
        "ll",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.1; done",
    )
    assert scow("logs", "-f", "ll") == "1\n2\n3"
    assert scow("logs", "--tail", "1", "ll") == "3"


# ------------------------------------------------------------------ files


def names_in(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name for member in tar}


def test_differences_become_one_layer(scow):
    scow(
        "run",
        "--name",
        "cc",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "mkdir /new; echo 1 >/new/f; rm /data/seed; chmod 700 /tmp",
    )
    assert scow("diff", "cc").split("\n") == ["C /data", "D /data/seed", "A /new", "A /new/f", "C /tmp"]
    identity = scow("commit", "-a", "me", "-m", "why", "-c", "CMD cat /new/f", "cc", "localhost/test/made:1")
    document = json.loads(scow("inspect", identity))[0]
    assert len(document["RootFS"]["Layers"]) == 2
    assert (document["Author"], document["Comment"]) == ("me", "why")
    assert scow(*box("localhost/test/made:1")) == "1"
    assert scow.run(*box("localhost/test/made:1", "ls", "/data/seed")).returncode == 1
    assert scow.run(*box(IMAGE, "cat", "/data/seed")).stdout == b"from the image\n", "the base has not changed"
    exported = names_in(scow.run("export", "cc").stdout)
    assert {"new/f", "bin/busybox", "etc/passwd"} <= exported
    assert "data/seed" not in exported
    scow("rm", "cc")
    scow("rmi", "localhost/test/made:1")


def test_commit_of_a_running_container(scow):
    scow(
        "run",
        "-d",
        "--name",
        "cc",
        "--network",
        "none",
        "-v",
        "/vol",
        IMAGE,
        "sh",
        "-c",
        "touch /made /vol/not; sleep 600",
    )
    assert until(lambda: "A /made" in scow("diff", "cc"))
    identity = scow("commit", "cc")
    assert scow.run(*box(identity, "ls", "/made", "/vol/not")).stdout == b"/made\n"
    assert scow("inspect", "-f", "{{.State.Status}}", "cc") == "running"
    scow("rm", "-fv", "cc")
    scow("rmi", identity)


@pytest.mark.parametrize("running", [True, False])
def test_commit_of_every_kind_of_file_and_of_much(scow, running):
    """While a root is looked at from inside, no module can be loaded: all that kinds and sizes need must be there."""
    make = (
        "dd if=/dev/zero of=/big bs=1M count=20; dd if=/dev/urandom of=/noise bs=1M count=12; "
        "dd if=/dev/zero of=/sparse bs=1 count=1 seek=64M; ln /big /again; ln -s big /soft; mkfifo /pipe; rm -r /etc; "
        f"mkdir /etc; touch /etc/new '/{'n' * 200}' \"$(printf '/\\377')\"; chown 70000:70000 /soft; touch -d @5000000000 /late; "
        "touch /done; sleep 600"
    )
    scow("run", "-d", "--name", "cc", "--network", "none", IMAGE, "sh", "-c", make)
    assert until(lambda: "A /done" in scow("diff", "cc"), 200)
    if not running:
        scow("stop", "-t", "0", "cc")
    identity = scow("commit", "cc")
    look = "stat -c '%n %F %s %h' /big /noise /sparse /again /pipe /done; readlink /soft; ls /etc"
    seen = scow.run(*box(identity, "sh", "-c", look)).stdout.decode()
    assert "/big regular file 20971520 2" in seen
    assert "/sparse regular file 67108865 1" in seen
    assert "/pipe fifo 0 1" in seen
    assert "/done regular empty file 0 1\nbig\n" in seen
    assert "new" in seen.splitlines()
    scow("rm", "-f", "cc")
    scow("rmi", identity)


def test_what_changed_nothing_has_no_new_layer(scow):
    scow("run", "--name", "cc", "--network", "none", IMAGE, "true")
    assert scow("diff", "cc") == ""
    identity = scow("commit", "cc")
    assert len(json.loads(scow("inspect", identity))[0]["RootFS"]["Layers"]) == 1
    scow("rm", "cc")
    scow("rmi", identity)


def test_volumes_outlive_containers_and_are_filled_once(scow):
    assert scow(*box("-v", "vol1:/data", IMAGE, "cat", "/data/seed")) == "from the image"
    scow(*box("-v", "vol1:/data", IMAGE, "rm", "/data/seed"))
    assert scow(*box("-v", "vol1:/data", IMAGE, "ls", "/data")) == "", "it is not filled again"
    assert scow(*box("-v", "vol2:/data:nocopy", IMAGE, "ls", "/data")) == ""
    scow("volume", "rm", "vol1", "vol2")
    scow(*box("-v", "/anonymous", IMAGE, "true"))
    assert scow("volume", "ls", "-q") == ""


@pytest.mark.parametrize("running", [True, False])
def test_copying_both_ways(scow, tmp_path, running):
    scow("run", "-d", "--name", "cc", "--network", "none", IMAGE, "sleep", "600")
    if not running:
        scow("stop", "-t", "0", "cc")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "d" / "l").symlink_to("/etc/shadow")
    scow("cp", f"{tmp_path}/d", "cc:/tmp")
    scow("cp", f"{tmp_path}/d/.", "cc:/tmp/new")
    scow("cp", f"{tmp_path}/d/f", "cc:/tmp/renamed")
    scow("cp", "cc:/tmp/d", f"{tmp_path}/back")
    assert sorted(os.listdir(tmp_path / "back")) == ["f", "l"]
    assert os.readlink(tmp_path / "back" / "l") == "/etc/shadow"
    assert {"new/", "new/f", "new/l"} <= {
        n + "/" if n == "new" else n for n in names_in(scow.run("cp", "cc:/tmp/new", "-").stdout)
    }
    scow("cp", "cc:/tmp/renamed", f"{tmp_path}/f2")
    assert (tmp_path / "f2").read_text() == "x"
    (tmp_path / "to").symlink_to("f3")
    for _ in range(2):  # first it leads nowhere
        scow("cp", "cc:/tmp/renamed", f"{tmp_path}/to")
        assert (tmp_path / "to").is_symlink()
        assert (tmp_path / "f3").read_text() == "x"
        (tmp_path / "f3").write_text("old")
    (tmp_path / "d" / "to").symlink_to("f")
    scow("cp", f"{tmp_path}/d/to", "cc:/tmp/d/to")
    assert names_in(scow.run("cp", "cc:/tmp/d/to", "-").stdout) == {"to"}
    assert names_in(scow.run("cp", "-L", "cc:/tmp/d/to", "-").stdout) == {"f"}


# ------------------------------------------------------------------ what is missing


def test_a_missing_program_is_named(scow, tmp_path):
    """Without runc one sentence names the package."""
    code = (
        "import sys\nfrom scow.linux import process\nprocess.find_program = lambda *a: ''\n"
        "from scow.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *box(IMAGE, "true")], env=scow.env, capture_output=True, text=True
    )
    assert done.returncode == 125
    assert "apt install runc" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------ what it costs


USERS_ONLY = ("containers.limits", "linux.mountinfo", "linux.reentry", "linux.standing", "runtime.confined")


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_whole_command_loads_little(scow, verb):
    """As tests/architecture/test_startup.py, but to the container's end; each of these modules costs a millisecond."""
    words = box(IMAGE, "true")
    if verb == "exec":
        scow("run", "-d", "--name", "light", "--network", "none", IMAGE, "sleep", "600")
        words = ["exec", "light", "true"]
    # the second time no module is compiled and nothing is probed any more
    for _ in range(2):
        command = [sys.executable, "-X", "importtime", "-m", "scow", *words]
        done = subprocess.run(command, env=scow.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    heavy = {"argparse", "asyncio", "dataclasses", "datetime", "hashlib", "inspect", "json", "logging", "pathlib", "re"}
    heavy |= {"shutil", "socket", "subprocess", "tempfile", "typing"}
    most = 63
    # a user enters a namespace and says what cannot be had there
    most += len(loaded & {f"scow.{name}" for name in USERS_ONLY})
    most += len(loaded & {"scow.linux.loop"})  # kernels before 6.12 mount no files
    if "scow.runtime.oneid.answerer" in loaded:  # a user with one id: a process that answers is started, and spoken to
        heavy -= {"re", "socket", "typing"}
        most += 8
    assert "scow.runtime.oci" in loaded
    assert heavy & loaded == set()
    assert [name for name in loaded if name.startswith(("scow.layer.", "scow.build", "scow.distribution"))] == []
    assert len([name for name in loaded if name.startswith("scow")]) <= most
