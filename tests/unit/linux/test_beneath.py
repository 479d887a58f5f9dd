# SPDX-License-Identifier: Apache-2.0
"""Working in a tree without leaving it."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from scow.linux.beneath import Tree


@pytest.fixture
def place(tmp_path):
    """A tree with links that lead out of it, and what lies outside."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "d/deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "out").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "d/f").write_text("inside")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("own")
    (root / "abs").symlink_to("/etc/passwd")
    return root


def test_links_in_a_path_are_refused(place) -> None:
    with Tree(str(place)) as tree:
        for path in (b"out", b"out/secret/x", b"up/x"):
            with pytest.raises(OSError) as caught:
                tree.directory(path)
            assert caught.value.errno == errno.ELOOP
        with pytest.raises(OSError):
            tree.open(b"out/secret", os.O_RDONLY)
        with pytest.raises(OSError):
            tree.open(b"abs", os.O_RDONLY)
        with pytest.raises(FileNotFoundError):
            tree.directory(b"missing")
        with pytest.raises(NotADirectoryError):
            tree.directory(b"d/f")
        with pytest.raises(NotADirectoryError):
            tree.directory(b"d/f/x")


def test_climbing_names_are_refused_by_the_kernel(place) -> None:
    with Tree(str(place)) as tree, pytest.raises(OSError):
        tree.directory(b"d/../../outside")


def test_the_root_is_a_root_for_links(place) -> None:
    with Tree(str(place)) as tree:
        for path in (b"abs", b"/abs", b"up/up/etc/passwd", b"../../../etc/passwd"):
            fd = tree.open_in_root(path, os.O_RDONLY)
            assert os.read(fd, 10) == b"own"
            os.close(fd)
        with pytest.raises(FileNotFoundError):
            tree.open_in_root(b"out/secret", os.O_RDONLY)


def test_entries_are_made_and_described(place) -> None:
    with Tree(str(place)) as tree:
        tree.mkdir(b"new")
        tree.symlink(b"target", b"new/s")
        tree.mknod(b"new/p", stat.S_IFIFO | 0o600)
        tree.link(b"d/f", b"new/h")
        tree.chmod(b"new/h", 0o4711)
        tree.chmod(b"new", 0o2755)
        tree.chown(b"new/s", os.getuid(), os.getgid())
        tree.utime(b"new/s", 5)
        tree.utime(b"new", 7)
        tree.setxattr(b"new/h", b"user.x", b"1")
        assert tree.readlink(b"new/s") == b"target"
        assert tree.lstat(b"new/nothing") is None
        assert tree.lstat(b"d/f/nothing") is None
        found = tree.lstat(b"new/h")
        assert found is not None
        assert stat.S_IMODE(found.st_mode) == 0o4711
        assert tree.lstat(b"").st_ino == os.stat(place).st_ino
    assert os.stat(place / "new").st_mtime_ns == 7
    assert os.lstat(place / "new/s").st_mtime_ns == 5
    assert os.getxattr(place / "d/f", "user.x") == b"1"
    assert stat.S_ISFIFO(os.lstat(place / "new/p").st_mode)


def test_modes_of_links_are_not_set_through_them(place) -> None:
    before = os.stat(place / "etc/passwd").st_mode
    with Tree(str(place)) as tree, pytest.raises(OSError):
        tree.symlink(b"etc/passwd", b"l")
        tree.chmod(b"l", 0)
    assert os.stat(place / "etc/passwd").st_mode == before


def test_removing_takes_links_and_leaves_their_targets(place) -> None:
    outside = place.parent / "outside"
    (place / "d/deep/out").symlink_to(outside)
    with Tree(str(place)) as tree:
        tree.directory(b"d/deep")
        tree.remove(b"d")
        tree.remove(b"out")
        assert tree.lstat(b"d") is None
        tree.mkdir(b"d")
        assert os.listdir(tree.directory(b"d")) == []
    assert (outside / "secret").read_text() == "secret"


def test_emptying_and_renaming(place) -> None:
    with Tree(str(place)) as tree:
        tree.rename(b"d/deep", b"etc/moved")
        tree.empty(b"d")
        assert os.listdir(tree.directory(b"d")) == []
        assert os.listdir(tree.directory(b"etc/moved")) == []


def test_deep_trees_are_removed_with_few_descriptors(tmp_path) -> None:
    import resource

    with Tree(str(tmp_path)) as tree:
        for depth in range(600):
            tree.mkdir(b"/".join([b"d"] * (depth + 1)))
            tree.mkdir(b"/".join([b"d"] * (depth + 1)) + b"/other")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 150, limits[1]))
        try:
            tree.remove(b"d")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(tmp_path.iterdir()) == []


def test_many_directories_need_few_descriptors(tmp_path) -> None:
    others = len(os.listdir("/proc/self/fd"))
    with Tree(str(tmp_path)) as tree:
        for number in range(400):
            tree.mkdir(b"%d" % number)
            tree.mkdir(b"%d/in" % number)
            tree.directory(b"%d/in" % number)
        assert len(os.listdir("/proc/self/fd")) - others < 300
    before = len(os.listdir("/proc/self/fd"))
    with Tree(str(tmp_path)) as tree:
        tree.directory(b"1/in")
    assert len(os.listdir("/proc/self/fd")) == before
