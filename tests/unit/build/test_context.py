# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time

import pytest

from scow.base.database import Database
from scow.base.files import remove_tree
from scow.build.context import ContextTree, StatCache
from scow.build.contexts import context_origin


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "ctx"
    for name, data in {"a": "1", "d/b": "2", "d/e/c": "3", "log/x.log": "4", "log/keep.log": "5"}.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    (top / "link").symlink_to("d/b")
    age(top)
    return top


def age(top):
    """Let what was written be old enough to be remembered."""
    time.sleep(0.08)
    for folder, _, files in os.walk(top):
        for name in files:
            os.utime(os.path.join(folder, name), (100, 100), follow_symlinks=False)
    time.sleep(0.08)


@pytest.fixture
def db(tmp_path):
    return Database(str(tmp_path / "scow.db"))


def tree(root, db=None, patterns=()):
    return ContextTree(str(root), patterns, StatCache(db, str(root)) if db is not None else None)


def test_ignored_files_are_not_there(root):
    seen = tree(root, patterns=["*.log", "log", "!log/keep.log", "d/e"])
    assert [path for path, _ in seen.walk()] == [b"a", b"d", b"d/b", b"link", b"log", b"log/keep.log"]
    assert seen.look(b"log/x.log") is None
    assert seen.look(b"log").is_dir
    assert seen.look(b"d/e/c") is None
    assert seen.names(b"d") == [b"b"]
    assert seen.host_path(b"a") is None
    assert tree(root).host_path(b"a") == str(root / "a")


def test_a_folder_whose_exceptions_match_nothing_is_not_there(root):
    seen = tree(root, patterns=["log", "!log/other"])
    assert seen.look(b"log") is None
    assert b"log" not in seen.names(b"")


def test_everything_belongs_to_root(root):
    assert tree(root).look(b"a").uid == 0


def test_files_that_did_not_change_are_not_opened_again(root, db):
    first = tree(root, db)
    before = first.fingerprint(b"")
    assert first.opened == 5
    first.save()
    second = tree(root, db)
    assert second.fingerprint(b"") == before
    assert second.opened == 0
    assert second.digest(b"d/b") == first.digest(b"d/b")


def test_one_changed_file_is_read_alone(root, db):
    first = tree(root, db)
    before = first.fingerprint(b"")
    first.save()
    (root / "d/b").write_text("changed")
    second = tree(root, db)
    after = second.fingerprint(b"")
    assert after != before
    assert second.opened == 1
    assert second.fingerprint(b"log") == first.fingerprint(b"log")


def test_what_changed_just_now_is_not_remembered(root, db, monkeypatch):
    first = tree(root, db)
    first.fingerprint(b"")
    first.save()
    (root / "d/e/c").write_text("new")
    monkeypatch.setattr("scow.build.context._TICK_NS", 10**15)
    first = tree(root, db)
    first.fingerprint(b"")
    first.save()
    second = tree(root, db)
    second.fingerprint(b"")
    assert second.opened == 1


def test_a_change_of_the_same_size_in_the_same_second_is_seen(root, db):
    first = tree(root, db)
    before = first.fingerprint(b"a")
    first.save()
    stamp = os.stat(root / "a")
    (root / "a").write_text("X")
    os.utime(root / "a", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert tree(root, db).fingerprint(b"a") != before


def test_modes_count_and_times_do_not(root):
    before = tree(root).fingerprint(b"")
    os.utime(root / "d/b", (5, 5))
    assert tree(root).fingerprint(b"") == before
    (root / "d/b").chmod(0o600)
    changed = tree(root).fingerprint(b"")
    assert changed != before
    (root / "d/e").chmod(0o700)
    assert tree(root).fingerprint(b"") not in (before, changed)


def test_link_targets_count(root):
    before = tree(root).fingerprint(b"link")
    (root / "link").unlink()
    (root / "link").symlink_to("a")
    assert tree(root).fingerprint(b"link") != before


def test_deep_trees_need_no_recursion(deep_path):
    deep = deep_path / "deep"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        assert len(tree(deep).fingerprint(b"")) == 64
    finally:
        remove_tree(str(deep))


def test_names_that_are_no_text(tmp_path, db):
    top = tmp_path / "odd"
    top.mkdir()
    open(os.path.join(os.fsencode(top), b"\xff\n"), "wb").close()
    age(top)
    first = tree(top, db)
    before = first.fingerprint(b"")
    first.save()
    assert tree(top, db).fingerprint(b"") == before
    assert tree(top, db).digest(b"\xff\n") == first.digest(b"\xff\n")


def test_newest(root):
    os.utime(root / "d/e/c", (7_000, 7_000))
    seen = tree(root)
    seen.fingerprint(b"d")
    assert seen.newest == 7_000


def test_old_contexts_are_forgotten(tmp_path, db, monkeypatch):
    monkeypatch.setattr("scow.build.context._ROOTS_KEPT", 2)
    for number in range(4):
        top = tmp_path / f"c{number}"
        top.mkdir()
        (top / "f").write_text("x")
        age(top)
        one = tree(top, db)
        one.fingerprint(b"")
        one.save()
    with db.read() as connection:
        roots = {row[0] for row in connection.execute("SELECT root FROM context_dirs")}
    assert roots == {str(tmp_path / "c2"), str(tmp_path / "c3")}


def test_what_was_seen_a_moment_ago_is_not_looked_at_again(root, db):
    seen = tree(root, db, ["log"])
    seen.fingerprint(b"")
    assert context_origin(db, str(root), ("log",), scanned=seen).tree() is seen
    assert context_origin(db, str(root), (), scanned=seen).tree() is not seen
    assert context_origin(db, str(root / "d"), ("log",), scanned=seen).tree() is not seen
    assert context_origin(db, str(root), ("log",)).tree() is not seen


def test_digests_that_are_known_take_no_reading(root, db):
    first = tree(root, db)
    assert first.known(b"a") == ""  # nothing has been covered yet
    first.fingerprint(b"")
    first.save()
    digest = first.known(b"d/b")
    again = tree(root, db)
    again.fingerprint(b"")
    assert again.known(b"d/b") == digest == first.digest(b"d/b")
    assert again.known(b"d/nothing") == ""
    assert again.opened == 0
    assert again.xattrs(b"d/b") == ()


def test_digests_of_another_moment_are_not_taken(root, db):
    first = tree(root, db)
    first.fingerprint(b"")
    first.save()
    second = tree(root, db)
    second.fingerprint(b"")
    (root / "d/b").write_text("other")
    age(root)
    third = tree(root, db)
    third.fingerprint(b"")
    third.save()  # by another process, while the second is at work
    assert second.known(b"d/b") == ""
