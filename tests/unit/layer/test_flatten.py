# SPDX-License-Identifier: Apache-2.0
"""Stacks of layers as plain trees, and what was done to those as a layer."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from scow.layer.flatten import flatten, harvest, take_stock
from scow.layer.whiteout import is_whiteout, make_whiteout


def make(top, *entries):
    """Directories end with a slash; ``name=text`` are files, ``name>target`` links."""
    os.makedirs(top, exist_ok=True)
    for entry in entries:
        path = f"{top}/{entry}"
        if entry.endswith("/"):
            os.makedirs(path)
        elif ">" in entry:
            name, _, target = entry.partition(">")
            os.symlink(target, f"{top}/{name}")
        else:
            name, _, text = entry.partition("=")
            with open(f"{top}/{name}", "w", encoding="ascii") as file:
                file.write(text)
    return str(top)


def seen(top):
    found = {}
    for path, directories, files in os.walk(top):
        for name in [*directories, *files]:
            full = f"{path}/{name}"
            status = os.lstat(full)
            if stat.S_ISLNK(status.st_mode):
                what = "->" + os.readlink(full)
            elif stat.S_ISCHR(status.st_mode):
                what = "gone"
            elif stat.S_ISDIR(status.st_mode):
                opaque = {"user.overlay.opaque", "trusted.overlay.opaque"} & set(os.listxattr(full))
                what = "opaque" if opaque else "/"
            else:
                with open(full, encoding="ascii") as file:
                    what = file.read()
            found[os.path.relpath(full, top)] = what
    return found


@pytest.fixture
def worked(tmp_path):
    """Flattens, changes, harvests."""

    def work(lower, change, *more):
        full, goal = str(tmp_path / "full"), str(tmp_path / "goal")
        os.mkdir(full)
        os.mkdir(goal)
        flatten([lower, *more], full)
        take_stock(full, str(tmp_path / "stock"))
        change(full)
        harvest(full, str(tmp_path / "stock"), goal, user_xattrs=True)
        return seen(goal)

    return work


def test_layers_lie_on_each_other(tmp_path):
    top = make(tmp_path / "top", "a/", "a/new=2", "b=file now")
    base = make(tmp_path / "base", "a/", "a/old=1", "a/new=1", "b/", "b/hidden=1", "c>a/old")
    goal = make(tmp_path / "goal")
    flatten([top, base], goal)
    assert seen(goal) == {"a": "/", "a/old": "1", "a/new": "2", "b": "file now", "c": "->a/old"}


def test_hard_links_stay_links_within_a_layer(tmp_path):
    base = make(tmp_path / "base", "one=1", "d/")
    os.link(f"{base}/one", f"{base}/d/two")
    goal = make(tmp_path / "goal")
    flatten([base], goal)
    assert os.stat(f"{goal}/one").st_ino == os.stat(f"{goal}/d/two").st_ino


def test_nothing_done_is_an_empty_layer(tmp_path, worked):
    assert worked(make(tmp_path / "base", "a/", "a/b=1", "l>x"), lambda full: None) == {}


def test_a_directory_made_in_the_place_of_another_hides_that_one(tmp_path, worked):
    """Also where it got the same number again, as it mostly does on ext4."""

    def change(full):
        shutil.rmtree(f"{full}/a/b")
        os.mkdir(f"{full}/a/b")

    assert worked(make(tmp_path / "base", "a/", "a/b/", "a/b/c=1", "a/d=1"), change) == {"a": "/", "a/b": "opaque"}


def test_what_changed_comes_with_the_directories_above_it(tmp_path, worked):
    def change(full):
        with open(f"{full}/a/b/c", "a", encoding="ascii") as file:
            file.write("more")

    assert worked(make(tmp_path / "base", "a/", "a/b/", "a/b/c=1", "a/d=1"), change) == {
        "a": "/",
        "a/b": "/",
        "a/b/c": "1more",
    }


@pytest.mark.root
def test_what_was_removed_leaves_a_mark(tmp_path, worked):
    def change(full):
        os.unlink(f"{full}/a/b")
        os.unlink(f"{full}/d/e")
        os.rmdir(f"{full}/d")

    assert worked(make(tmp_path / "base", "a/", "a/b=1", "d/", "d/e=1"), change) == {
        "a": "/",
        "a/b": "gone",
        "d": "gone",
    }


@pytest.mark.root
def test_directories_that_changed_places_are_new_ones(tmp_path, worked):
    def change(full):
        os.rename(f"{full}/a", f"{full}/x")
        os.rename(f"{full}/b", f"{full}/a")

    assert worked(make(tmp_path / "base", "a/", "a/one=1", "b/", "b/two=2", "b/s/", "b/s/t=3"), change) == {
        "a": "opaque",
        "a/two": "2",
        "a/s": "/",
        "a/s/t": "3",
        "b": "gone",
        "x": "/",
        "x/one": "1",
    }


def test_modes_and_times_count(tmp_path, worked):
    def change(full):
        os.chmod(f"{full}/a", 0o600)
        os.utime(f"{full}/b", (5, 5))

    assert worked(make(tmp_path / "base", "a=1", "b=1", "c=1"), change) == {"a": "1", "b": "1"}


def test_a_file_that_was_replaced_by_one_that_is_alike(tmp_path, worked):
    def change(full):
        before = os.stat(f"{full}/a")
        os.unlink(f"{full}/a")
        make(full, "a=1")
        os.utime(f"{full}/a", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert worked(make(tmp_path / "base", "a=1"), change) == {"a": "1"}


def test_a_store_on_an_overlay_marks_removed_entries_in_its_own_way(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        if stat.S_ISCHR(args[1]):
            raise PermissionError(1, "not here")
        return mknod(*args, **kwargs)

    mknod = os.mknod
    monkeypatch.setattr(os, "mknod", refused)
    top, base = make(tmp_path / "top", "a/"), make(tmp_path / "base", "a/", "a/b=1", "c=1")
    fd = os.open(f"{top}/a", os.O_RDONLY)
    try:
        make_whiteout("b", fd)
    finally:
        os.close(fd)
    assert is_whiteout(os.lstat(f"{top}/a/b"))
    os.utime(f"{top}/a/b", (1, 1))
    assert not is_whiteout(os.lstat(f"{top}/a/b")), "a socket of a program's"
    os.utime(f"{top}/a/b", (0, 0))
    goal = make(tmp_path / "goal")
    flatten([top, base], goal)
    assert seen(goal) == {"a": "/", "c": "1"}
