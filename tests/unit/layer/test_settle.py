# SPDX-License-Identifier: Apache-2.0
"""Fitting an unpacked layer onto directories below it."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from fakes.tars import directory, file, link, symlink, tar
from scow.layer.changeset import LayerError
from scow.layer.extract import extract
from scow.layer.settle import settle

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.tars import Piece

pytestmark = pytest.mark.root


@pytest.fixture
def stack(tmp_path):
    """Unpacks layers, the lowest first, each settled on those below; answers the top one's directory."""
    directories: list[str] = []

    def stack(*pieces: Piece) -> Path:
        path = tmp_path / f"layer{len(directories)}"
        path.mkdir(mode=0o755)
        os.utime(path, ns=(0, 0))
        applied = extract(io.BytesIO(tar(*pieces)), str(path))
        settle(str(path), directories, applied.pending)
        directories.insert(0, str(path))
        return path

    return stack


def names(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_implied_directories_look_like_those_below(stack) -> None:
    stack(directory("etc", 0o2750, uid=7, gid=8, mtime_ns=5, xattrs=((b"user.x", b"y"),)), directory("etc/deep", 0o700))
    top = stack(file("etc/deep/a"), file("other/b"))
    found = os.stat(top / "etc")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns) == (0o2750, 7, 8, 5)
    assert os.getxattr(top / "etc", "user.x") == b"y"
    assert stat.S_IMODE(os.stat(top / "etc/deep").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(top / "other").st_mode) == 0o755


@pytest.mark.host
def test_what_a_whiteout_hid_is_not_looked_at(stack) -> None:
    stack(directory("d", 0o700), directory("e", 0o700), directory("e/f", 0o711))
    stack(file(".wh.d"), file("e/.wh..wh..opq"))
    top = stack(file("d/x"), file("e/f/x"))
    assert stat.S_IMODE(os.stat(top / "d").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(top / "e").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(top / "e/f").st_mode) == 0o755


def test_entries_below_a_link_move_to_where_it_leads(stack) -> None:
    stack(
        directory("run", 0o711, mtime_ns=7),
        directory("var", mtime_ns=9),
        symlink("var/run", "/run"),
        directory("run/old", 0o700),
        file("run/kept"),
    )
    top = stack(file("var/run/pid", b"1"), file("var/run/new/x"), file("var/run/old/y"), file("var/run/.wh.kept"))
    assert names(top) == {"var", "run", "run/pid", "run/new", "run/new/x", "run/old", "run/old/y", "run/kept"}
    assert stat.S_ISCHR(os.lstat(top / "run/kept").st_mode)
    assert (stat.S_IMODE(os.stat(top / "run").st_mode), os.stat(top / "run").st_mtime_ns) == (0o711, 7)
    assert os.stat(top / "var").st_mtime_ns == 9
    assert stat.S_IMODE(os.stat(top / "run/old").st_mode) == 0o700


def test_a_described_directory_replaces_a_link(stack) -> None:
    stack(directory("a"), symlink("b", "a"))
    top = stack(directory("b"), file("b/x"))
    assert names(top) == {"b", "b/x"}


def test_hard_links_to_lower_files_copy_them_up(stack) -> None:
    stack(
        directory("usr", 0o711),
        file("usr/tool", b"code", mode=0o4755, uid=3, mtime_ns=99, xattrs=((b"user.k", b"v"),)),
        symlink("bin", "usr"),
        symlink("usr/s", "tool"),
    )
    top = stack(link("a", "usr/tool"), link("b", "a"), link("c", "bin/tool"), link("d", "usr/s"))
    found = [os.stat(top / name) for name in ("a", "b", "c", "usr/tool")]
    assert len({status.st_ino for status in found}) == 1
    assert (found[0].st_nlink, stat.S_IMODE(found[0].st_mode), found[0].st_uid, found[0].st_mtime_ns) == (
        4,
        0o4755,
        3,
        99,
    )
    assert (top / "a").read_bytes() == b"code"
    assert os.getxattr(top / "a", "user.k") == b"v"
    assert os.readlink(top / "d") == "tool"
    assert stat.S_IMODE(os.stat(top / "usr").st_mode) == 0o711


def test_whiteouts_that_hide_nothing_go(stack) -> None:
    stack(file("a"), directory("d"), file("d/x"))
    top = stack(file(".wh.a"), file(".wh.nothing"), file("d/.wh.x"), file("d/.wh.y"))
    assert names(top) == {"a", "d", "d/x"}
    again = stack(file(".wh.a"))
    assert names(again) == set()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ([], [link("a", "missing")], "does not exist"),
        ([directory("d")], [link("a", "d")], "directory"),
        ([file("f")], [link("a", "f"), file(".wh.f")], "does not exist"),
        ([file("f")], [file("f/x")], "not a directory"),
        ([symlink("evil", "/tmp")], [file("evil/x")], "no directory"),
        ([symlink("evil", "../../tmp")], [file("evil/x")], "climbs out"),
        ([symlink("a", "a")], [file("a/x")], "circles"),
        ([], [symlink("run", "/var/run"), file("run/x")], "no directory"),
        ([directory("var"), directory("var/run")], [symlink("run", "/var/run"), file("run/x")], ""),
        ([directory("d")], [link("d", "d/f")], "replace what it leads to"),
    ],
)
def test_layers_that_do_not_fit_are_refused(stack, low: list[Piece], high: list[Piece], words: str) -> None:
    stack(*low)
    if words:
        with pytest.raises(LayerError) as caught:
            stack(*high)
        assert words in caught.value.message
    else:
        assert "var/run/x" in names(stack(*high))


def test_nothing_outside_is_touched(stack, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    stack(symlink("evil", str(outside)), symlink("deep", "../outside"))
    for pieces in ([file("evil/x")], [file("deep/x")], [link("x", "evil/y")]):
        with pytest.raises(LayerError):
            stack(*pieces)
        os.rename(tmp_path / "layer1", tmp_path / f"failed{len(pieces)}{pieces[0][0].name.hex()}")
    assert names(outside) == set()
