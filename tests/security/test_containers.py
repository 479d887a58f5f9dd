# SPDX-License-Identifier: Apache-2.0
"""Hostile images and hostile containers: links, nodes and names that try to reach the host."""

from __future__ import annotations

import os
import subprocess

import pytest

from fakes.busybox import IMAGE, layer, make_scow
from scow.base.files import remove_tree

pytestmark = [pytest.mark.interop, pytest.mark.root]
EVIL = "localhost/test/evil:1"
SECRET = "what-only-the-host-knows"
ROUNDS = 40
"""Copies beside a container that swaps links."""


@pytest.fixture(scope="module")
def scow(tmp_path_factory):
    made = make_scow(str(tmp_path_factory.mktemp("hostile")))
    yield made
    made.clean()


@pytest.fixture
def secret(tmp_path):
    """A directory of the host that no container was given."""
    for part in (tmp_path, *tmp_path.parents[:2]):
        part.chmod(0o755)
    (tmp_path / "passwd").write_text(f"eve:x:0:0:{SECRET}:/:/bin/sh\n")
    (tmp_path / "group").write_text("eve:x:0:\n")
    before = sorted(os.listdir(tmp_path))
    yield tmp_path
    assert sorted(os.listdir(tmp_path)) == before, "nothing was made outside"


def evil(scow, *entries):
    scow("import", "-", EVIL, input=layer(*entries))


def run(scow, *words):
    return scow.run("run", "--rm", "--network", "none", *words)


@pytest.mark.parametrize("up", ["", "../../../../../../.."])
def test_a_passwd_that_is_a_link_to_the_hosts(scow, secret, up):
    evil(scow, ("etc/passwd", "l", f"{up}{secret}/passwd"), ("etc/group", "l", f"{up}{secret}/group"))
    done = run(scow, "-u", "eve", EVIL, "true")
    assert done.returncode == 125
    assert b"unable to find user eve" in done.stderr


@pytest.mark.parametrize("entry", [("etc/passwd", "d", ""), ("etc/passwd", "c", (1, 5)), ("etc/passwd", "l", "passwd")])
def test_a_passwd_that_is_no_file(scow, entry):
    evil(scow, entry)
    done = run(scow, EVIL, "true")
    assert done.returncode in {0, 125, 126}, "the OCI runtime may refuse it"
    assert b"Traceback" not in done.stderr


def test_an_endless_passwd(scow):
    evil(scow, ("etc/passwd", "f", "x" * (6 << 20)))
    done = run(scow, EVIL, "true")
    assert done.returncode in {0, 125}
    assert b"Traceback" not in done.stderr


def test_etc_is_a_link_out(scow, secret):
    evil(scow, ("etc", "l", f"../../../../../../..{secret}"))
    done = run(scow, EVIL, "cat", "/etc/hostname")
    assert done.returncode in {0, 125}
    assert not (secret / "hosts").exists()


def test_a_working_directory_through_a_link(scow, secret):
    evil(scow, ("w", "l", str(secret)))
    run(scow, "-w", "/w/made/here", EVIL, "true")
    assert not (secret / "made").exists()


def test_a_volume_on_a_link(scow, secret, tmp_path_factory):
    given = tmp_path_factory.mktemp("given")
    (given / "f").write_text("given")
    evil(scow, ("v", "l", str(secret)))
    done = run(scow, "-v", f"{given}:/v/sub", EVIL, "sh", "-c", "cat /v/sub/f")
    assert done.stdout in {b"given", b""}
    assert not (secret / "sub").exists()


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("kind", ["f", "l"])
def test_shadows_of_the_standard_places(scow, secret, name, kind):
    evil(scow, (name, kind, str(secret) if kind == "l" else "x"))
    done = run(scow, EVIL, "true")
    assert done.returncode == 125
    assert f"/{name} of the image is not a directory".encode() in done.stderr


def test_a_device_node_of_the_image_is_of_no_use(scow):
    evil(scow, ("data", "d", ""), ("data/mem", "c", (1, 1)), ("data/disk", "c", (8, 0)))
    done = run(scow, EVIL, "sh", "-c", "cat /data/mem || cat /data/disk")
    assert done.returncode != 0
    assert b"ot permitted" in done.stderr


def test_a_volume_filled_from_a_link(scow, secret):
    (secret / "passwd").chmod(0o644)
    evil(scow, ("v", "l", str(secret)))
    assert run(scow, "-v", "filled:/v", EVIL, "ls", "/v").stdout == b""
    scow("volume", "rm", "filled")


def racing(scow, secret):
    """A container that swaps a directory with a link to the host's secret as fast as it can."""
    swap = (
        f"mkdir -p /r/d /r/x; echo mine >/r/d/passwd; ln -s {secret} /r/l;"
        " while :; do mv /r/d /r/t 2>/dev/null; mv /r/l /r/d 2>/dev/null;"
        " mv /r/d /r/l 2>/dev/null; mv /r/t /r/d 2>/dev/null; done"
    )
    scow("run", "-d", "--name", "racer", "--network", "none", IMAGE, "busybox", "sh", "-c", swap)


@pytest.mark.slow
def test_copying_out_of_a_container_that_swaps_links(scow, secret, tmp_path_factory):
    racing(scow, secret)
    goal = tmp_path_factory.mktemp("goal")
    for round_ in range(ROUNDS):
        scow.run("cp", "racer:/r/d/passwd", f"{goal}/{round_}")
        scow.run("cp", "-L", "racer:/r/d", f"{goal}/d{round_}")
    scow("rm", "-f", "racer")
    for parent, _, files in os.walk(goal):
        for name in files:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    assert SECRET.encode() not in file.read()


@pytest.mark.slow
def test_copying_into_a_container_that_swaps_links(scow, secret, tmp_path_factory):
    racing(scow, secret)
    source = tmp_path_factory.mktemp("source")
    (source / "planted").write_text("planted")
    for _ in range(ROUNDS):
        scow.run("cp", f"{source}/planted", "racer:/r/d/planted")
        scow.run("cp", f"{source}/.", "racer:/r/d")
    scow("rm", "-f", "racer")
    assert not (secret / "planted").exists()


@pytest.mark.slow
def test_committing_a_container_that_swaps_links(scow, secret):
    racing(scow, secret)
    for _ in range(6):
        done = scow.run("commit", "--pause=false", "racer", "localhost/test/raced:1")
        if done.returncode == 0:
            assert SECRET.encode() not in scow.run("save", "localhost/test/raced:1").stdout
    scow("rm", "-f", "racer")


def test_no_code_is_loaded_from_a_container(scow, secret):
    """A thread that is locked into a container finds no module there, whatever the container prepares."""
    import scow as package

    place = os.path.dirname(os.path.dirname(package.__file__)).lstrip("/")
    parts = place.split("/")
    folders = [("/".join(parts[: number + 1]), "d", "") for number in range(len(parts))]
    bait = f"import os; os.mkdir({str(secret / 'owned')!r})"
    names = ("scow", "encodings", "tarfile", "posixpath", "shutil")
    files = [(f"{place}/{name}.py", "f", bait) for name in names]
    evil(scow, *folders, *files)
    scow("run", "--name", "bait", "--network", "none", EVIL, "true")
    for words in (("export", "bait"), ("diff", "bait"), ("cp", "bait:/etc/passwd", "-"), ("commit", "bait")):
        assert scow.run(*words).returncode == 0
    scow("rm", "bait")
    assert not (secret / "owned").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "-rf", "a\nb"])
def test_names_are_no_paths(scow, name):
    assert scow.run("create", "--name", name, "--network", "none", IMAGE, "true").returncode != 0
    assert scow.run("volume", "create", name).returncode != 0


def test_nothing_that_is_mounted_in_a_tree_goes_with_it(scow, tmp_path):
    """A host's directory bound below a tree of the store, by whatever accident, stays as it is."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("kept")
    for name in ("tree", "a tree"):
        tree = tmp_path / name / "deep"
        tree.mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
        subprocess.run(["mount", "--bind", str(other), str(tree)], check=True)
        try:
            with pytest.raises(OSError, match="something is mounted in it"):
                remove_tree(str(tmp_path / name))
        finally:
            subprocess.run(["umount", str(tree)], check=True)
        assert (other / "precious").read_text() == "kept"
        assert (tmp_path / name / "file").exists(), "all or nothing"
        remove_tree(str(tmp_path / name))
        assert not (tmp_path / name).exists()
