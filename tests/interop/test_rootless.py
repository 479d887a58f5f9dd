# SPDX-License-Identifier: Apache-2.0
"""Ordinary users for real: made by ``tests/rootless/setup``, one with subordinate ids and one without.

Each test has a store of its own, which belongs to the user. What a test starts ends with it, and that is part of the
tests: at the end of each, none of the user's processes may be left.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import pytest

from fakes.busybox import left, open_files, until
from fakes.docker_registry import DockerRegistry

HERE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../rootless"))
_NEEDED = ("/usr/bin/busybox", "/usr/sbin/nft", "/usr/sbin/runc", "/usr/bin/conmon", "/usr/bin/newuidmap")
pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(os.path.exists(path) for path in _NEEDED),
        reason="needs busybox-static, nftables, runc, conmon and uidmap",
    ),
]
EPOCH = "1577836800"
SECRET = "not for you"
APPLETS = "sh ls cat echo id chown chmod mkdir rm sleep true ip nc httpd stat ln find".split()  # noqa: SIM905


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    """Add an entry, the same one each time."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = 0o644, int(EPOCH)
    for field, value in fields.items():
        setattr(entry, field, value)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def base() -> bytes:
    """An image with busybox, files of several owners, and what a user cannot make: a device, an owner out of range."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("bin", "etc", "home"):
            add(tar, name, type=tarfile.DIRTYPE, mode=0o755)
        with open("/usr/bin/busybox", "rb") as file:
            add(tar, "bin/busybox", file.read(), mode=0o755)
        for name in APPLETS:
            add(tar, f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox")
        add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nme:x:33:44:me:/home:/bin/sh\n")
        add(tar, "etc/group", b"root:x:0:\nus:x:44:\n")
        add(tar, "home/mine", b"mine", uid=33, gid=44, mode=0o600)
        add(tar, "far", b"far", uid=2_000_000, gid=3_000_000, mode=0o640)
        add(tar, "device", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def tools() -> str:
    """Where a scow is that everybody can run."""
    done = subprocess.run([f"{HERE}/setup"], stdout=subprocess.PIPE, text=True, timeout=280)
    assert done.returncode == 0, "tests/rootless/setup failed"
    return done.stdout.strip()


class User:
    """Somebody with a store."""

    def __init__(self, tools: str, name: str, place: str) -> None:
        self.name, self.tools, self.place = name, tools, place
        self.env = {
            "SCOW_ROOT": f"{place}/store",
            "SCOW_RUN_ROOT": f"{place}/run",
            "SOURCE_DATE_EPOCH": EPOCH,
            "XDG_DATA_HOME": f"{place}/data",
        }
        os.makedirs(place)
        os.chown(place, self.uid, pwd.getpwnam(name).pw_gid)

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def words(self, *args: str) -> list[str]:
        if self.name == "root":
            return [sys.executable, "-m", "scow", *args]
        return [f"{HERE}/as", self.name, f"{self.tools}/venv/bin/scow", *args]

    def start(self, *args: str, **kwargs: object) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.env, "KEEP": " ".join(self.env)}
        return subprocess.Popen(self.words(*args), env=environment, text=True, **kwargs)

    def run(self, *args: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        with self.start(*args, stdin=-1, stdout=-1, stderr=-1) as child:
            out, err = child.communicate(stdin, timeout=280)
        done = subprocess.CompletedProcess(args, child.returncode, out, err)
        if check:
            assert done.returncode == 0, err
        return done

    def out(self, *args: str, **kwargs: str) -> str:
        return self.run(*args, **kwargs).stdout.strip()

    def refused(self, *args: str) -> str:
        done = self.run(*args, check=False)
        assert done.returncode != 0
        return done.stderr

    def load(self, tar: bytes, name: str) -> None:
        path = f"{self.place}/{name.replace(':', '-')}.tar"
        with open(path, "wb") as file:
            file.write(tar)
        os.chmod(path, 0o644)
        self.run("import", path, name)

    def processes(self) -> list[str]:
        """Command lines of what runs under this user's id or one of the subordinate ones, but zombies."""
        low, high = subordinate(self.name)
        return [line for uid, line in at_work_in(self.place) if uid == self.uid or low <= uid < high]

    def end(self) -> None:
        left = self.out("ps", "-aq").split()
        if left:
            self.run("rm", "-f", "-v", *left)


def at_work_in(place: str) -> list[tuple[int, str]]:
    """User id and command line of every process but this one that a folder is tied to; zombies have no line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            uid = os.stat(f"/proc/{pid}").st_uid
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line and int(pid) != os.getpid() and place in _environment(pid) + line:
            found.append((uid, line))
    return found


def _environment(pid: str) -> str:
    """What ties a process to a store: its environment and its open files."""
    found = open_files(pid)
    for name in ("environ", "mountinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            found.append(file.read())
    return " ".join(found)


def subordinate(name: str) -> tuple[int, int]:
    with open("/etc/subuid", encoding="ascii") as file:
        for line in file:
            user, first, count = line.strip().split(":")
            if user == name:
                return int(first), int(first) + int(count)
    return 0, 0


@pytest.fixture
def place():
    """A folder that everybody can get to."""
    folder = tempfile.mkdtemp(prefix="scow-rootless-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    yield folder
    assert left(lambda: at_work_in(folder)) == []
    shutil.rmtree(folder)


@pytest.fixture
def sub(tools, place):
    """The user with subordinate ids; nothing of hers runs when the test has ended."""
    user = User(tools, "scowsub", f"{place}/sub")
    user.load(base(), "bb:1")
    yield user
    user.end()
    assert until(lambda: user.processes() == []), user.processes()


def test_the_mode_is_told(sub, tools, place):
    said = json.loads(sub.out("info", "-f", "json"))
    assert said["Mode"]["Name"] == "subids"
    assert "/etc/subuid" in said["Mode"]["Reason"]
    one = User(tools, "scowone", f"{place}/one")
    said = json.loads(one.out("info", "-f", "json"))
    assert said["Mode"]["Name"] == "single"
    assert "usermod --add-subuids" in said["Mode"]["More"]


def test_the_life_of_a_container_over_many_commands(sub):
    sub.run("run", "-d", "--name", "box", "--network", "none", "bb:1", "sh", "-c", "echo said; exec sleep 600")
    assert sub.out("ps", "--format", "{{.Names}}") == "box"
    assert sub.out("exec", "box", "id", "-u") == "0"
    assert sub.out("exec", "-u", "me", "box", "sh", "-c", "cat /home/mine; id -g") == "mine44"
    sub.run("exec", "box", "sh", "-c", "echo new > /new; chown 5:6 /new; chmod 4755 /new")
    assert until(lambda: sub.out("logs", "box") == "said")
    assert sub.out("diff", "box").split("\n") == ["A /new"]
    assert "sleep" in sub.out("top", "box")
    sub.run("cp", f"{sub.place}/bb-1.tar", "box:/copied")
    assert sub.out("exec", "box", "stat", "-c", "%u:%g", "/copied") == "0:0"
    sub.run("commit", "box", "committed:1")
    assert sub.out("run", "--rm", "--network", "none", "committed:1", "stat", "-c", "%u:%g %a", "/new") == "5:6 4755"
    sub.run("stop", "-t", "0", "box")
    sub.run("start", "box")
    assert sub.out("exec", "box", "cat", "/new") == "new"
    sub.run("rm", "-f", "box")
    assert sub.out("ps", "-aq") == ""


def test_all_commands_meet_in_one_namespace(sub):
    where = ("readlink", "/proc/self/ns/user")
    sub.run("run", "-d", "--name", "first", "--network", "none", "bb:1", "sleep", "600")
    sub.run("run", "-d", "--name", "second", "--network", "none", "bb:1", "sleep", "600")
    seen = set()
    for name in ("first", "second"):
        pid = sub.out("inspect", "-f", "{{.State.Pid}}", name)
        seen.add(os.readlink(f"/proc/{pid}/ns/user"))
        sub.run("exec", name, "true")
    assert len(seen) == 1, where
    sub.run("stop", "-t", "0", "first", "second")


def test_volumes_binds_and_limits(sub):
    os.makedirs(f"{sub.place}/shared")
    os.chown(f"{sub.place}/shared", sub.uid, -1)
    write = "echo 1 > /v/x; chown 7:8 /v/x; echo 2 > /b/y"
    sub.run(
        "run", "--rm", "--network", "none", "-v", "vol:/v", "-v", f"{sub.place}/shared:/b", "bb:1", "sh", "-c", write
    )
    assert os.stat(f"{sub.place}/shared/y").st_uid == sub.uid, "what root in the container makes is the user's"
    mounted = ("--network", "none", "-v", "vol:/v", "bb:1")
    assert sub.out("run", "--rm", *mounted, "stat", "-c", "%u:%g", "/v/x") == "7:8"
    done = sub.run("run", "--rm", "--network", "none", "-m", "64m", "bb:1", "true")
    if json.loads(sub.out("info", "-f", "json"))["CgroupDriver"] == "none":
        assert "Limitation discarded (memory)" in done.stderr
        sub.run("run", "-d", "--name", "held", "--network", "none", "bb:1", "sleep", "600")
        assert "Delegate=yes" in sub.refused("pause", "held")
    sub.run("volume", "rm", "vol")


def test_a_user_beyond_the_range_of_ids_is_refused_with_what_would_allow_it(sub):
    sub.run("run", "-d", "--name", "held", "--network", "none", "bb:1", "sleep", "600")
    plain = ("--network", "none", "bb:1", "true")
    for words in (
        ("run", "--rm", "-u", "1000000", *plain),
        ("run", "--rm", "--group-add", "1000000", *plain),
        ("exec", "-u", "1000000", "held", "true"),
    ):
        assert "usermod --add-subuids" in sub.refused(*words), words
    assert sub.out("ps", "-aq", "-f", "status=created") == ""


def test_a_command_of_another_session_says_why_it_cannot_reach_a_container(sub):
    sub.run("run", "-d", "--name", "held", "--network", "none", "bb:1", "sleep", "600")
    here, sub.env["SCOW_RUN_ROOT"] = sub.env["SCOW_RUN_ROOT"], f"{sub.place}/other-run"
    try:
        assert "SCOW_RUN_ROOT" in sub.refused("exec", "held", "true")
        assert sub.out("ps", "--format", "{{.Names}}") == "held"
    finally:
        sub.env["SCOW_RUN_ROOT"] = here
    sub.run("exec", "held", "true")


def ask(port: int, request: bytes = b"GET / HTTP/1.0\r\n\r\n") -> bytes:
    """What a server on this host's loopback address says; empty when there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
            peer.sendall(request)
            data = b""
            while part := peer.recv(1 << 16):
                data += part
            return data
    except OSError:
        return b""


SERVE = ("sh", "-c", "mkdir /w; echo served > /w/index.html; exec httpd -f -p 80 -h /w")


@pytest.mark.parametrize("carrier", ["slirp4netns", "pasta"])
def test_networks_names_and_ports(sub, carrier):
    if not shutil.which(carrier):
        pytest.skip(f"{carrier} is not installed")
    other = {"slirp4netns": "pasta", "pasta": "slirp4netns"}[carrier]
    hide = (
        "from scow.linux import process as p; r = p.find_program;"
        f"p.find_program = lambda n, e=(): '' if n == {other!r} else r(n, e); from scow.__main__ import main; main()"
    )
    sub.words = lambda *args: [f"{HERE}/as", "scowsub", f"{sub.tools}/venv/bin/python", "-c", hide, *args]
    sub.run("network", "create", "mine")
    sub.run("run", "-d", "--name", "web", "--network", "mine", "-p", "127.0.0.1::80", "bb:1", *SERVE)
    port = int(sub.out("port", "web", "80").rpartition(":")[2])
    assert until(lambda: b"served" in ask(port))
    get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 60 {} 80"
    assert "served" in sub.out("run", "--rm", "--network", "mine", "bb:1", "sh", "-c", get.format("web"))
    assert until(lambda: any(carrier in line for line in sub.processes()))
    if carrier == "slirp4netns":
        # by its own address this host cannot be reached through pasta, which gives that very address to the network
        with socket.create_server(("0.0.0.0", 0)) as outside:
            threading.Thread(target=greet, args=(outside,), daemon=True).start()
            call = ("nc", "-w", "60", own_address(), str(outside.getsockname()[1]))
            assert sub.out("run", "--rm", "bb:1", *call) == "from outside"
    assert "already allocated" in sub.refused("run", "--rm", "-p", f"127.0.0.1:{port}:80", "bb:1", "true")
    assert "ip_unprivileged_port_start" in sub.refused("run", "--rm", "-p", "80:80", "bb:1", "true")
    sub.run("restart", "-t", "0", "web")
    assert until(lambda: b"served" in ask(port))
    sub.run("rm", "-f", "web")
    assert until(lambda: not any(carrier in line for line in sub.processes())), "the last one takes the network along"
    assert b"served" not in ask(port)


def greet(server: socket.socket) -> None:
    server.settimeout(200)
    with server.accept()[0] as peer:
        peer.sendall(b"from outside\n")


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_a_terminal_with_progress_does_not_keep_a_user_out(sub):
    """What draws on a terminal has a thread; whoever has threads cannot enter a namespace."""
    with DockerRegistry(f"{sub.place}/registry") as registry:
        image = f"{registry.address}/bb:1"
        sub.run("tag", "bb:1", image)
        for words in (["push", image], ["pull", image], ["build", "-t", "b:1", f"{sub.place}/ctx"]):
            if words[0] == "build":
                os.makedirs(f"{sub.place}/ctx")
                with open(f"{sub.place}/ctx/Dockerfile", "w", encoding="ascii") as file:
                    file.write(f"FROM {image}\nRUN echo built\n")
            assert on_terminal(sub, *words) == 0
            sub.run("rmi", "-f", image, check=words[0] != "build")


def on_terminal(user: User, *args: str) -> int:
    """Run a command with a terminal; what it draws is not looked at."""
    ours, theirs = os.openpty()
    with user.start(*args, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        try:
            while os.read(ours, 1 << 16):
                pass
        except OSError:
            pass  # the other end is closed
        os.close(ours)
    return child.returncode


def test_nothing_is_left_of_a_killed_run(sub):
    with sub.start("run", "--rm", "-p", "127.0.0.1::80", "bb:1", "sh", "-c", "sleep 601 & exec sleep 600") as child:
        assert until(lambda: sum("sleep 60" in line for line in sub.processes()) >= 2)
        os.kill(_scow_of(child.pid), signal.SIGKILL)
    assert until(lambda: sub.processes() == []), sub.processes()
    assert sub.out("ps", "-aq") == ""


def _scow_of(pid: int) -> int:
    """The process itself: ``as`` replaces itself by it."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert b"scow" in file.read()
    return pid


HOSTILE = """FROM bb:1
COPY . /context
RUN for f in /proc/[0-9]*/root/{secret} {secret} /context/link /context/*; do cat $f; done 2>&1; \\
    find / -xdev -name guarded 2>/dev/null; ln -s / /up; cat /up/{secret}; echo done
RUN --mount=type=bind,target=/ctx cat /ctx/link /ctx/../../../{secret}; true
"""


def test_a_hostile_build_sees_nothing_of_others_and_leaves_nothing(sub, tools, place):
    """It runs as the user: what she may not read on the host, nothing in a build of hers may."""
    guarded = f"{place}/guarded"
    with open(guarded, "w", encoding="ascii") as file:
        file.write(SECRET)
    os.chmod(guarded, 0o600)
    context = f"{sub.place}/context"
    os.makedirs(context)
    os.symlink(guarded, f"{context}/link")
    with open(f"{context}/Dockerfile", "w", encoding="ascii") as file:
        file.write(HOSTILE.format(secret=guarded.lstrip("/")))
    done = sub.run("build", "-t", "hostile:1", "--progress", "plain", context, check=False)
    assert SECRET not in done.stdout + done.stderr
    assert "done" in done.stdout + done.stderr
    image = f"{sub.place}/image.tar"
    sub.run("save", "-o", image, "hostile:1")
    with open(image, "rb") as file:
        assert SECRET.encode() not in file.read()
    os.link(guarded, f"{context}/hard")  # root put it there; the user still may not read it
    assert "ermission denied" in sub.refused("build", "-t", "hostile:2", context)


def test_nothing_is_left_of_a_killed_build(sub):
    dockerfile = "FROM bb:1\nRUN sleep 603 & sleep 604 & exec sleep 605\n"
    before = _mounts_of(sub)
    with sub.start("build", "-", stdin=-1, stdout=-1, stderr=-1) as child:
        child.stdin.write(dockerfile)
        child.stdin.close()
        assert until(lambda: sum("sleep 60" in line for line in sub.processes()) >= 3)
        os.kill(_scow_of(child.pid), signal.SIGKILL)
    assert until(lambda: sub.processes() == []), sub.processes()
    assert _mounts_of(sub) == before == []
    assert sub.out("run", "--rm", "--network", "none", "bb:1", "echo", "the store is well") == "the store is well"


KILLED = (
    ("run", "--rm", "--network", "none", "bb:1", "sh", "-c", "chown 5:6 /far; sleep 606 & sleep 607"),
    ("run", "--rm", "-p", "127.0.0.1::80", "bb:1", *SERVE),
    ("run", "-d", "--network", "none", "bb:1", "sleep", "608"),
    ("exec", "box", "sh", "-c", "chown 7:8 /far; sleep 609"),
    ("build", "--no-cache", "-q", "CONTEXT"),
)
KILLS = int(os.environ.get("SCOW_ROOTLESS_KILLS", "8"))


@pytest.mark.parametrize("name", ["scowsub", "scowone"])
def test_nothing_is_left_of_commands_killed_at_random_moments(tools, place, name):
    """As tests/security/test_crash.py of root's store; here it is processes, mounts and networks that count."""
    seed = int(os.environ.get("SCOW_CRASH_SEED", str(random.randrange(1 << 30))))
    print(f"SCOW_CRASH_SEED={seed}")
    rng = random.Random(seed)
    user = User(tools, name, f"{place}/{name}")
    user.load(base(), "bb:1")
    context = f"{user.place}/context"
    os.makedirs(context)
    with open(f"{context}/Dockerfile", "w", encoding="ascii") as file:
        file.write("FROM bb:1\nRUN chown 5:6 /far; (sleep 610 &) ; sleep 0.3\nCOPY Dockerfile /x\nRUN sleep 611\n")
    for moment in range(KILLS):
        words = [context if word == "CONTEXT" else word for word in rng.choice(KILLED)]
        if words[0] == "exec":
            user.run("run", "-d", "--name", "box", "--network", "none", "bb:1", "sleep", "612")
        with user.start(*words, start_new_session=True, stdin=-3, stdout=-3, stderr=-3) as child:
            time.sleep(rng.uniform(0.02, 1.2))
            if rng.random() < 0.5:
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        user.end()  # what was to live on, and what has a record still
        assert until(lambda: user.processes() == []), (seed, moment, words, user.processes())
        assert _mounts_of(user) == []
    assert user.out("ps", "-aq") == ""
    user.run("system", "fsck")
    assert user.out("run", "--rm", "--network", "none", "bb:1", "echo", "the store is well") == "the store is well"


def _mounts_of(user: User) -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if user.place in line]


SAME = """FROM bb:1 AS one
RUN mkdir -p /made/by; echo a > /made/file; chown 33:44 /made/file; chmod 6755 /made/file; echo 1 >> /etc/passwd
RUN ln -s file /made/link; chown -h 5:6 /made/link; rm /home/mine
FROM bb:1
COPY --from=one /made /made
COPY --chown=me:us --chmod=640 given /given
COPY --from=one /far /device /copied/
USER me
"""


def test_the_same_inputs_give_the_same_image_whoever_builds(sub, tools, place):
    root = User(tools, "root", f"{place}/root")
    root.load(base(), "bb:1")
    digests = {}
    for user in (root, sub):
        context = f"{user.place}/ctx"
        os.makedirs(context)
        for name, text in (("Dockerfile", SAME), ("given", "given\n")):
            with open(f"{context}/{name}", "w", encoding="ascii") as file:
                file.write(text)
            os.utime(f"{context}/{name}", (1, 1))
        user.run("build", "-t", "same:1", context)
        digests[user.name] = user.out("inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", "same:1")
    assert digests["root"] == digests["scowsub"]
    listed = sub.out("run", "--rm", "--network", "none", "same:1", "stat", "-c", "%n %u:%g %a", "/made/file", "/given")
    assert listed.split("\n") == ["/made/file 33:44 6755", "/given 33:44 640"]


def test_what_ids_cannot_express_comes_back_as_it_came(sub):
    """Owners beyond the range, and devices: the layer that is saved is the one that was read."""
    archive = f"{sub.place}/out.tar"
    sub.run("run", "--name", "touched", "--network", "none", "bb:1", "chmod", "600", "/far", "/device")
    sub.run("commit", "touched", "touched:1")
    sub.run("save", "-o", archive, "touched:1")
    layers = {}
    with tarfile.open(archive) as outer:
        for member in outer:
            data = outer.extractfile(member).read() if member.isfile() else b""
            if len(data) > 1024 and not data.startswith(b"{"):
                with tarfile.open(fileobj=io.BytesIO(data)) as inner:
                    layers[hashlib.sha256(data).hexdigest()] = {entry.name: entry for entry in inner}
    assert hashlib.sha256(base()).hexdigest() in layers
    changed = next(entries for entries in layers.values() if "bin" not in entries)
    assert (changed["far"].uid, changed["far"].gid, changed["far"].mode) == (2_000_000, 3_000_000, 0o600)
    assert (changed["device"].type, changed["device"].devmajor, changed["device"].devminor) == (tarfile.CHRTYPE, 1, 3)


def test_stores_never_mix(sub, tools, place):
    root = User(tools, "root", f"{place}/root")
    root.run("images")
    root.env["SCOW_ROOT"] = sub.env["SCOW_ROOT"]
    assert "belongs to user scowsub" in root.refused("images")
    for command in (["images"], ["run", "--rm", "bb:1", "true"]):
        thief = User(tools, "scowone", f"{place}/{command[0]}")
        thief.env["SCOW_ROOT"] = f"{place}/root/store"
        refused = thief.refused(*command)
        assert "belongs to" in refused or "cannot be used" in refused
        assert "SCOW_ROOT" in refused
    assert os.stat(f"{place}/root/store").st_mode & 0o077 == 0


def test_no_user_can_keep_root_waiting(sub, tools, place):
    """What serialises root's networks must not be something that others can lock."""
    hold = (
        "import fcntl, glob, os, time\n"
        "for path in ['/proc/self/ns/net', *glob.glob('/run/*'), *glob.glob('/run/scow/*'), *glob.glob('/run/lock/*')]:\n"
        "    try:\n"
        "        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except OSError:\n"
        "        pass\n"
        "print('held', flush=True)\n"
        "time.sleep(300)\n"
    )
    words = [f"{HERE}/as", "scowone", f"{tools}/venv/bin/python", "-c", hold]
    with subprocess.Popen(words, stdout=-1, text=True) as thief:
        assert thief.stdout.readline() == "held\n"
        try:
            root = User(tools, "root", f"{place}/root")
            root.load(base(), "bb:1")
            assert root.out("run", "--rm", "bb:1", "echo", "not held") == "not held"
            root.end()
        finally:
            thief.kill()
