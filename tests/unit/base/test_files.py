# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import fcntl
import os

import pytest

from scow.base.files import (
    NoSpaceError,
    atomic_write,
    is_written_in_place,
    make_dir,
    remove_tree,
    storage_error,
    sweep_temporary,
    temporary_directory,
)
from scow.errors import UnavailableError


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "f"
    atomic_write(str(path), b"one", 0o640)
    atomic_write(str(path), "zwei", 0o600)
    assert path.read_text() == "zwei"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_atomic_write_failing_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        atomic_write(str(path), 5)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]
    with pytest.raises(UnavailableError, match="cannot write"):
        atomic_write(str(tmp_path / "none" / "f"), b"")


def test_remove_tree_is_quiet_about_what_is_absent(tmp_path):
    remove_tree(str(tmp_path / "none"))
    remove_tree(str(tmp_path / "none" / "deeper"))


def test_remove_tree_never_follows_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_bytes(b"")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "dangling").symlink_to("nowhere")
    os.link(outside / "keep", tree / "hard")
    os.mkfifo(tree / "fifo")
    remove_tree(str(tree))
    assert not tree.exists()
    assert (outside / "keep").exists()


def test_remove_tree_of_a_link_removes_the_link(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d")
    remove_tree(str(tmp_path / "l"))
    assert os.listdir(tmp_path) == ["d"]


def test_remove_tree_copes_with_odd_modes_and_names(tmp_path):
    inner = tmp_path / "tree" / "a" / "b"
    inner.mkdir(parents=True)
    with open(os.path.join(os.fsencode(inner), b"\xff\n"), "wb"):
        pass
    inner.chmod(0o000)
    inner.parent.chmod(0o500)
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_remove_tree_of_a_very_deep_tree(tmp_path):
    os.mkdir(tmp_path / "tree")
    fd = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(1500):  # far beyond PATH_MAX and the recursion limit
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_temporary_directory_goes_with_its_content(tmp_path):
    with pytest.raises(KeyError), temporary_directory(str(tmp_path / "tmp"), "x-") as path:
        assert os.stat(path).st_mode & 0o777 == 0o700
        make_dir(os.path.join(path, "a", "b"))
        raise KeyError
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, NoSpaceError, "no space left"),
        (errno.EDQUOT, NoSpaceError, "no space left"),
        (errno.EACCES, UnavailableError, "no permission"),
        (errno.EROFS, UnavailableError, "no permission"),
        (errno.EIO, UnavailableError, "cannot write"),
    ],
)
def test_storage_errors_are_sentences(number, kind, words):
    found = storage_error(OSError(number, os.strerror(number)), "/x")
    assert type(found) is kind
    assert words in found.message


def test_temporary_directories_of_processes_that_are_gone_are_swept(tmp_path):
    gone, other, file = tmp_path / "copy-1-x", tmp_path / "base-1-x", tmp_path / "copy-file"
    for path in (gone, other):
        (path / "deep").mkdir(parents=True)
    file.write_bytes(b"")
    (tmp_path / "copy-link").symlink_to(other)
    with temporary_directory(str(tmp_path), "copy-", 0o711) as held:
        assert not gone.exists()
        assert other.exists()
        assert os.stat(held).st_mode & 0o777 == 0o711
        sweep_temporary(str(tmp_path))
        assert os.path.isdir(held)
        assert sorted(os.listdir(tmp_path)) == sorted([os.path.basename(held), "copy-file", "copy-link"])
    sweep_temporary(str(tmp_path / "none"))


def test_a_temporary_directory_that_was_swept_before_it_was_held_is_made_again(tmp_path, monkeypatch):
    flock, swept = fcntl.flock, []

    def late(fd, how):
        if not swept:
            swept.append(fd)
            sweep_temporary(str(tmp_path))
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with temporary_directory(str(tmp_path)) as path:
        assert os.listdir(tmp_path) == [os.path.basename(path)]
        sweep_temporary(str(tmp_path))
        assert os.path.isdir(path)
    assert swept
    assert os.listdir(tmp_path) == []


def test_a_sweep_spares_a_directory_that_took_the_name_of_the_one_it_opened(tmp_path, monkeypatch):
    path = tmp_path / "tmp-x"
    path.mkdir()
    flock, met = fcntl.flock, []

    def late(fd, how):
        if not met:
            met.append(fd)
            path.rmdir()
            path.mkdir()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    sweep_temporary(str(tmp_path))
    assert path.is_dir()


def test_what_a_sweep_cannot_remove_stops_nobody(tmp_path, monkeypatch):
    (tmp_path / "tmp-x").mkdir()
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EBUSY, "busy")))
    sweep_temporary(str(tmp_path))
    assert (tmp_path / "tmp-x").is_dir()


def test_a_file_takes_the_place_of_files_only(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "file", "rb") as opened:
        assert is_written_in_place(f"/proc/self/fd/{opened.fileno()}")
        assert is_written_in_place(f"/dev/fd/{opened.fileno()}")
    assert is_written_in_place("/dev/stdout")
    assert is_written_in_place("/dev/null")
    assert is_written_in_place(str(tmp_path / "pipe"))
    assert not any(is_written_in_place(str(tmp_path / name)) for name in ("file", "link", "none"))
