# SPDX-License-Identifier: Apache-2.0
"""One id, or no namespaces at all: owners that are recorded, calls that are answered, and roots that are changed.

The users are those of ``tests/rootless/setup``; ``fakes/ordinary.py`` stands for an ordinary container of docker's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile

import pytest

from fakes.busybox import until
from interop.test_rootless import User, base, place, pytestmark, tools  # noqa: F401 - fixtures

ORDINARY = os.path.abspath(os.path.join(os.path.dirname(__file__), "../fakes/ordinary.py"))
PACKAGE = r"""
FROM bb:1
RUN cd /bin; for name in cp mkfifo mknod mv setpriv su tar touch; do ln -s busybox $name; done
RUN mkdir -p /srv/data /var/mail && chown 33:44 /srv/data && chown 0:8 /var/mail && chmod 2775 /var/mail && chown 33:44 /home \
 && ln -s data /srv/link && chown -h 7:8 /srv/link && mkfifo /srv/fifo && chown 9:9 /srv/fifo \
 && echo x > /srv/tool && chmod 6755 /srv/tool && chown 0:12 /srv/tool && chmod 2755 /srv/tool
RUN touch /var/mail/letter && mkdir /var/mail/box && cp -a /srv /copy && mv /copy/link /copy/moved \
 && tar -cf /t.tar -C /srv data link && mkdir /t && tar -xpf /t.tar -C /t && rm /t.tar \
 && stat -c '%n %u:%g %a %F' /var/mail/* /copy/* /t/* > /seen
USER me
WORKDIR /home
RUN touch new && mkdir -p d/e && ln -s q link && id > who && (touch /srv/no 2>/dev/null || echo refused > no)
USER root
RUN chown 5:5 /home/d && rm -r /copy/data && setpriv --no-new-privs id >> /seen && chown 0:0 /srv/data
"""
DEVICES = "RUN mknod /srv/null c 1 3 && mknod /srv/disk b 8 1 && chown 0:6 /srv/disk && chmod 640 /srv/disk\n"


class Confined(User):
    """Somebody in an ordinary container."""

    def words(self, *args: str) -> list[str]:
        if self.name == "root":
            return [sys.executable, ORDINARY, sys.executable, "-m", "scow", *args]
        launcher = f"{self.place}/ordinary.py"
        if not os.path.exists(launcher):
            shutil.copy(ORDINARY, launcher)
            os.chmod(launcher, 0o644)
        words = super().words(*args)
        return [*words[:2], f"{self.tools}/venv/bin/python", launcher, *words[2:]]


def lent(user):
    """A user with an image; nothing of hers runs when the test has ended."""
    user.load(base(), "bb:1")
    yield user
    user.end()
    assert until(lambda: user.processes() == []), user.processes()


@pytest.fixture
def one(tools, place):  # noqa: F811
    """The user with one id."""
    yield from lent(User(tools, "scowone", f"{place}/one"))


@pytest.fixture
def confined(tools, place):  # noqa: F811
    """Root in an ordinary container."""
    yield from lent(Confined(tools, "root", f"{place}/confined"))


def build(user: User, text: str, name: str = "made:1", *flags: str) -> str:
    """Build a Dockerfile; returns ID and layers."""
    context = f"{user.place}/{name.replace(':', '-')}"
    os.makedirs(context)
    with open(f"{context}/Dockerfile", "w", encoding="ascii") as file:
        file.write(text)
    os.utime(f"{context}/Dockerfile", (1, 1))
    user.run("build", "--network", "host", "--allow", "network.host", *flags, "-t", name, context)
    return user.out("inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", name)


def entries(user: User, name: str) -> dict[str, tarfile.TarInfo]:
    """The entries of an image's layers that ``bb:1`` does not have."""
    archive = f"{user.place}/saved.tar"
    user.run("save", "-o", archive, name)
    found: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        for layer in manifest["Layers"][1:]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                found.update((entry.name, entry) for entry in inner)
    os.unlink(archive)
    return found


# ------------------------------------------------------------------ one id


def test_an_image_is_the_same_whether_root_or_one_id_built_it(one, tools, place):  # noqa: F811
    root = User(tools, "root", f"{place}/root")
    root.load(base(), "bb:1")
    text = PACKAGE + DEVICES
    assert build(one, text) == build(root, text)
    made = entries(one, "made:1")
    owners = {name: (made[name].uid, made[name].gid) for name in ("srv/link", "var/mail/letter", "home/new", "home/d")}
    assert owners == {"srv/link": (7, 8), "var/mail/letter": (0, 8), "home/new": (33, 44), "home/d": (5, 5)}
    assert (made["srv/disk"].type, made["srv/disk"].devmajor, made["srv/disk"].gid) == (tarfile.BLKTYPE, 8, 6)
    assert made["srv/tool"].mode == 0o2755
    assert "home/no" in made


def test_copies_instead_of_overlays_give_the_same_image(one):
    overlay = build(one, PACKAGE)
    one.env["SCOW_SNAPSHOTTER"] = "copying"
    assert build(one, PACKAGE, "copied:1", "--no-cache") == overlay


def test_processes_are_who_they_were_asked_to_be(one):
    script = "id -u; touch /tmp/x; stat -c %u:%g /tmp/x; touch /etc/x || echo refused"
    made = ("run", "--rm", "--network", "none", "--tmpfs", "/tmp")
    assert one.out(*made, "-u", "33:44", "bb:1", "sh", "-c", script).split("\n") == ["33", "33:44", "refused"]
    assert one.run(*made, "--cap-drop", "chown", "bb:1", "chown", "5", "/etc/passwd", check=False).returncode == 1
    one.run("run", "-d", "--name", "c1", "--network", "none", "bb:1", "sleep", "600")
    assert one.out("exec", "-u", "me", "c1", "id", "-u") == "33"
    assert one.out("exec", "c1", "sh", "-c", "su me -c 'id -u'; id -u").split() == ["33", "0"]
    one.run("exec", "c1", "chown", "3:4", "/far")
    one.run("commit", "c1", "after:1")
    assert entries(one, "after:1")["far"].uid == 3
    assert "far" in one.out("diff", "c1")


def test_the_answering_process_ends_with_the_container_whatever_is_killed(one):
    with one.start("run", "--rm", "--network", "none", "bb:1", "sleep", "600", stdout=-1) as child:
        assert until(lambda: any("oneid.server" in line for line in one.processes()))
        child.kill()
    assert until(lambda: one.processes() == []), one.processes()
    one.run("run", "-d", "--name", "d1", "--network", "none", "bb:1", "sleep", "600")
    assert until(lambda: any("oneid.server" in line for line in one.processes()))
    one.run("kill", "d1")
    assert until(lambda: not any("oneid.server" in line for line in one.processes())), one.processes()


def test_nothing_is_left_of_a_killed_build(one):
    context = f"{one.place}/slow"
    os.makedirs(context)
    with open(f"{context}/Dockerfile", "w", encoding="ascii") as file:
        file.write("FROM bb:1\nRUN chown 5:5 /far && (sleep 601 &) && sleep 600\n")
    with one.start("build", "--network", "host", "--allow", "network.host", context, stdout=-1, stderr=-1) as child:
        assert until(lambda: any("oneid.server" in line for line in one.processes()))
        child.kill()
    assert until(lambda: one.processes() == []), one.processes()
    assert not any(one.place in line for line in open("/proc/self/mountinfo", encoding="utf-8"))  # noqa: SIM115


HOSTILE = r"""
for path in /proc/1/root/etc/passwd /proc/self/root/../../etc/passwd /proc/1/cwd/x /../../../../etc/passwd; do
  chown 4242:4242 $path 2>/dev/null; stat -c '%n %u' $path; mkdir $path/made 2>/dev/null; mknod ${path}node c 1 3 2>/dev/null
done
ln -s / /up; ln -s up/up/../../../.. /out
chown 4242 /out/etc/passwd; stat -c '%n %u' /out/etc/passwd /up/etc/passwd
chown -h 4242 $(printf 'x%.0s' $(seq 1 5000)) 2>&1 | cut -c1-20
mkdir /race; (while :; do rm -rf /race/a; ln -s / /race/a; rm -f /race/a; mkdir /race/a; done) & p=$!
i=0; while [ $i -lt 300 ]; do chown 4242:1 /race/a/target 2>/dev/null; mknod /race/a/tmp c 1 3 2>/dev/null; i=$((i+1)); done; kill $p
"""


def test_hostile_paths_lead_nowhere(one):
    """Whatever is asked of the answering process, it stays in the container's root: a marked file outside is unchanged."""
    outside = f"{one.place}/target"
    with open(outside, "w", encoding="ascii") as file:
        file.write("mine")
    os.chown(outside, one.uid, one.uid)
    before = os.stat(outside)
    said = one.run("run", "--rm", "--network", "none", "-v", f"{one.place}:/given:ro", "bb:1", "sh", "-c", HOSTILE)
    assert "/out/etc/passwd 4242" in said.stdout, "the container's own"
    assert os.listxattr(outside) == []
    assert os.stat(outside).st_ctime_ns == before.st_ctime_ns
    assert os.listxattr("/etc/passwd") == []
    assert not os.path.exists("/tmp/node")
    refused = one.run(
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        f"{one.place}:/given:ro",
        "bb:1",
        "chown",
        "5",
        "/given/target",
        check=False,
    )
    assert refused.returncode == 1
    assert "Read-only" in refused.stderr


# ------------------------------------------------------------------ no namespaces


def test_root_without_namespaces_builds_the_same_image(confined, tools, place):  # noqa: F811
    root = User(tools, "root", f"{place}/root")
    root.load(base(), "bb:1")
    assert json.loads(confined.out("info", "-f", "json"))["Mode"]["Name"] == "chroot"
    text = PACKAGE + DEVICES
    assert build(confined, text) == build(root, text)
    assert os.listdir(f"{confined.place}/run/steps") == []


def test_mounts_of_build_steps_are_put_in_place_and_taken_away(confined):
    text = r"""
FROM bb:1 AS other
RUN mkdir /given && echo given > /given/file
FROM bb:1
RUN --mount=type=cache,target=/cache echo kept > /cache/file
RUN --mount=type=cache,target=/cache --mount=type=bind,from=other,source=/given,target=/etc/given \
    --mount=type=tmpfs,target=/home --mount=type=secret,id=s,target=/run/s \
    cat /cache/file /etc/given/file > /all && echo > /home/lost && ls /home >> /all && test $(cat /run/s) = hush
"""
    secret = f"{confined.place}/secret"
    with open(secret, "w", encoding="ascii") as file:
        file.write("hush\n")
    build(confined, text, "mounts:1", "--secret", f"id=s,src={secret}")
    assert confined.out("run", "--rm", "mounts:1", "cat", "/all").split() == ["kept", "given", "lost"]
    made = entries(confined, "mounts:1")
    assert not {"cache", "cache/file", "home/lost", "etc/given", "run/s"} & set(made)


def test_containers_without_namespaces(confined):
    run = confined.run("run", "--rm", "bb:1", "id", "-u")
    assert run.stdout.strip() == "0"
    assert "No namespaces can be made here" in run.stderr
    confined.run("run", "-d", "--name", "c1", "bb:1", "sh", "-c", "chown 5 /far; sleep 600")
    assert confined.out("exec", "-u", "me", "c1", "id", "-u") == "33"
    confined.run("rm", "-f", "c1")
    for option in (["--network", "none"], ["-t"], ["-v", f"{confined.place}:/x"]):
        assert "Hint: " in confined.refused("run", "--rm", *option, "bb:1", "true") or option[0] != "--network"
    assert confined.refused("run", "--rm", "bb:1", "nosuch").count("executable file not found") == 1


def test_nothing_of_the_hosts_is_moved_or_written(confined):
    precious = f"{confined.place}/precious"
    os.makedirs(f"{precious}/below")
    with open(f"{precious}/below/file", "w", encoding="ascii") as file:
        file.write("mine")
    before = os.stat(precious)
    assert "cannot be written to" in confined.refused(
        "run", "--rm", "-v", f"{precious}:/x", "bb:1", "rm", "-r", "/x/below"
    )
    shown = confined.out(
        "run", "--rm", "-v", f"{precious}:/x:ro", "bb:1", "sh", "-c", "cat /x/below/file; rm -r /x/below"
    )
    assert shown == "mine"
    assert os.listdir(f"{precious}/below") == ["file"]
    assert (os.stat(precious).st_ino, os.stat(precious).st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    volume = ("run", "--rm", "-v", "v1:/x", "bb:1")
    confined.run(*volume, "sh", "-c", "echo 1 > /x/one")
    assert confined.out(*volume, "cat", "/x/one") == "1"


def test_a_killed_run_is_taken_out_of_the_tree(confined):
    with confined.start("run", "--name", "k1", "bb:1", "sleep", "600", stdout=-1) as child:
        assert until(lambda: confined.out("ps", "-q") != "")
        assert os.listdir(f"{confined.place}/run/runc") != []
        child.kill()
    assert until(lambda: os.listdir(f"{confined.place}/run/runc") == [])
    assert confined.out("diff", "k1") == ""
    assert until(lambda: confined.out("ps", "-q") == "")


@pytest.mark.parametrize("name", ["scowone", "scowsub"])
def test_a_user_without_namespaces_moves_images(tools, place, name):  # noqa: F811
    user = Confined(tools, name, f"{place}/{name}")
    user.load(base(), "bb:1")
    user.run("tag", "bb:1", "other:1")
    assert "other" in user.out("images")
    assert user.out("history", "-q", "other:1")
    user.run("save", "-o", f"{user.place}/x.tar", "other:1")
    user.run("rmi", "other:1", "bb:1")
    user.run("load", "-q", "-i", f"{user.place}/x.tar")
    assert user.out("inspect", "-f", "{{.Os}}", "other:1") == "linux"
    user.run("copy", "docker-archive:" + f"{user.place}/x.tar", f"oci:{user.place}/layout")
    said = json.loads(user.out("info", "-f", "json"))
    assert (said["Mode"]["Name"], said["Driver"]) == ("nothing", "tars")
    refused = user.refused("run", "--rm", "other:1", "true")
    assert "they can be moved, not run or built on" in refused
    assert "Hint: " in refused


INSTALL = r"""
FROM base:1
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends dbus cron man-db \
 && rm -rf /var/log/* /var/lib/apt/lists/* /var/cache/* /var/lib/dbus/machine-id
"""


def patiently(user: User, *args: str) -> None:
    with user.start(*args, stdin=-1, stdout=-1, stderr=-1) as child:
        _, err = child.communicate(timeout=800)
    assert child.returncode == 0, err


@pytest.mark.debian
@pytest.mark.slow
def test_a_package_manager_makes_users_and_gives_files_to_them(one, tools, place):  # noqa: F811
    """As root's build: apt drops its own rights, packages make users and groups, set-group-ID programs and their own."""
    root = User(tools, "root", f"{place}/root")
    patiently(root, "base", "create", "-q", "debian:bookworm", "-t", "base:1")
    archive = f"{place}/base.tar"
    root.run("save", "-o", archive, "base:1")
    os.chmod(archive, 0o644)
    one.run("load", "-q", "-i", archive)
    both = []
    context = f"{place}/context"
    os.makedirs(context)
    with open(f"{context}/Dockerfile", "w", encoding="ascii") as file:
        file.write(INSTALL)
    for user in (one, root):
        patiently(user, "build", "-q", "--network", "host", "--allow", "network.host", "-t", "made:1", context)
        made = entries(user, "made:1")
        both.append({name: (entry.type, entry.mode, entry.uid, entry.gid) for name, entry in made.items()})
    assert both[0] == both[1]
    owned = {owner[2:] for owner in both[0].values()} - {(0, 0)}
    assert len(owned) > 2, owned
    assert both[0]["usr/bin/crontab"][1] == 0o2755
    assert both[0]["usr/bin/crontab"][3] != 0
