# SPDX-License-Identifier: Apache-2.0
"""Unpacking below a directory, without root where owners do not matter."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from fakes.tars import device, directory, fifo, file, link, symlink, tar
from scow.errors import CorruptError, LimitError
from scow.layer.changeset import LayerError, Limits, Pending
from scow.layer.extract import extract, extract_plain
from scow.layer.tar import TarEntry

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.tars import Piece


def mine(uid: int, gid: int) -> None:
    """Leave everything to the one who unpacks."""
    del uid, gid


def plain(into: Path, *pieces: Piece) -> None:
    extract_plain(io.BytesIO(tar(*pieces)), str(into), owner=mine)


def layer(into: Path, *pieces: Piece) -> Pending:
    return extract(io.BytesIO(tar(*pieces)), str(into), owner=mine, user_xattrs=True).pending


def names(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_every_kind_of_entry_that_users_may_make(tmp_path) -> None:
    plain(
        tmp_path,
        directory("d", 0o2750, mtime_ns=1_500_000_000_123_456_789),
        file("d/f", b"hello", mode=0o4711, mtime_ns=-5),
        symlink("d/s", "../x"),
        link("d/h", "d/f"),
        fifo("d/p"),
        directory("./", 0o711, mtime_ns=7),
    )
    found = os.lstat(tmp_path / "d/f")
    assert (tmp_path / "d/f").read_bytes() == b"hello"
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_nlink) == (0o4711, -5, 2)
    assert os.readlink(tmp_path / "d/s") == "../x"
    assert stat.S_ISFIFO(os.lstat(tmp_path / "d/p").st_mode)
    assert stat.S_IMODE(os.lstat(tmp_path / "d").st_mode) == 0o2750
    assert os.lstat(tmp_path / "d").st_mtime_ns == 1_500_000_000_123_456_789
    assert (stat.S_IMODE(os.lstat(tmp_path).st_mode), os.lstat(tmp_path).st_mtime_ns) == (0o711, 7)


def test_what_was_read_is_told(tmp_path) -> None:
    data = tar(file("a", b"x" * 1000), directory("d")) + bytes(9000)
    applied = extract_plain(io.BytesIO(data), str(tmp_path), owner=mine)
    assert applied.diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    assert (applied.size, applied.entries, applied.usage) == (len(data), 2, 1000)


def test_later_entries_replace_earlier_ones(tmp_path) -> None:
    plain(
        tmp_path,
        file("a", b"1"),
        link("b", "a"),
        file("a", b"2"),
        directory("d"),
        file("d/x"),
        file("d", b"f"),
        symlink("s", "/etc/passwd"),
        file("s", b"own"),
        symlink("t", "b"),
        directory("t"),
        file("e"),
        directory("e"),
    )
    assert (tmp_path / "a").read_bytes() == b"2"
    assert (tmp_path / "b").read_bytes() == b"1"
    assert (tmp_path / "d").read_bytes() == b"f"
    assert (tmp_path / "s").read_bytes() == b"own"
    assert not (tmp_path / "s").is_symlink()
    assert (tmp_path / "t").is_dir()
    assert not (tmp_path / "t").is_symlink()
    assert (tmp_path / "e").is_dir()


def test_directories_nobody_describes(tmp_path) -> None:
    pending = layer(tmp_path, file("a/b/c"), directory("a", 0o700), file("d/e"))
    assert pending == Pending(implicit=(b"a/b", b"d"))
    assert os.stat(tmp_path / "a/b").st_mtime_ns == 0
    assert stat.S_IMODE(os.stat(tmp_path / "a/b").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o700


def test_holes_stay_holes(tmp_path) -> None:
    content = b"x" * 8192
    entry = TarEntry(b"s", size=100 << 20, sparse=((0, 4096), (50 << 20, 4096)))
    plain(tmp_path, (entry, content))
    found = os.stat(tmp_path / "s")
    assert (found.st_size, found.st_blocks * 512 < 1 << 20) == (100 << 20, True)
    with open(tmp_path / "s", "rb") as stream:
        stream.seek(50 << 20)
        assert stream.read(4097) == b"x" * 4096 + b"\0"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([file("../x")], "climbs out"),
        ([file("/../x")], "climbs out"),
        ([symlink("evil", "../.."), file("evil/x")], "climbs out"),
        ([symlink("evil", "OUTSIDE"), file("evil/x")], "no directory"),
        ([symlink("a", "b"), symlink("b", "a"), file("a/x")], "circles"),
        ([link("l", "../x")], "climbs out"),
        ([link("l", "OUTSIDE/secret")], "does not exist"),
        ([directory("d"), link("l", "d")], "directory"),
        ([file("f"), file("f/x")], "not a directory"),
        ([(*file("./")[:1], b"")], "root directory"),
        ([symlink("x", "")], "target of 0 bytes"),
    ],
)
def test_archives_that_reach_outside_are_refused(tmp_path, pieces: list[Piece], words: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("secret")
    real = [
        (entry._replace(linkname=entry.linkname.replace(b"OUTSIDE", os.fsencode(outside))), data)
        for entry, data in pieces
    ]
    if words == "root directory":
        real = [(TarEntry(b"./", b"6"), b"")]
    with pytest.raises(LayerError) as caught:
        plain(inside, *real)
    assert words in caught.value.message
    assert names(outside) == {"secret"}
    assert names(tmp_path) - {"outside", "outside/secret", "inside"} <= {
        "inside/evil",
        "inside/a",
        "inside/b",
        "inside/d",
        "inside/f",
    }
    assert os.stat(outside / "secret").st_nlink == 1


def test_links_are_followed_inside(tmp_path) -> None:
    plain(
        tmp_path, directory("usr"), symlink("bin", "usr"), file("bin/sh", b"x"), symlink("abs", "/usr"), file("abs/y")
    )
    assert names(tmp_path) == {"usr", "bin", "abs", "usr/sh", "usr/y"}


def test_an_existing_link_out_of_the_tree_is_not_followed(tmp_path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "dir").symlink_to(outside)
    (inside / "file").symlink_to(outside / "made")
    plain(inside, file("file", b"x"))
    with pytest.raises(LayerError):
        plain(inside, file("dir/x"))
    assert names(outside) == set()


def test_names_mean_nothing_special_in_plain_archives(tmp_path) -> None:
    plain(tmp_path, file(".wh.a"), file("a"), file("d/.wh..wh..opq"))
    assert names(tmp_path) == {".wh.a", "a", "d", "d/.wh..wh..opq"}


def test_opaque_markers_become_an_attribute(tmp_path) -> None:
    pending = layer(tmp_path, directory("d"), file("d/.wh..wh..opq"), file("d/x"), file("e/.wh..wh..opq"))
    assert os.getxattr(tmp_path / "d", "user.overlay.opaque") == b"y"
    assert os.getxattr(tmp_path / "e", "user.overlay.opaque") == b"y"
    assert names(tmp_path) == {"d", "d/x", "e"}
    assert pending.implicit == (b"e",)


def test_a_directory_that_replaced_something_hides_what_is_below(tmp_path) -> None:
    layer(tmp_path, file("d"), directory("d"), file("d/x"))
    assert os.getxattr(tmp_path / "d", "user.overlay.opaque") == b"y"


def test_hard_links_to_lower_files_wait(tmp_path) -> None:
    pending = layer(tmp_path, link("a", "usr/b"), link("c", "a"), link("gone", "x"), file("gone"))
    assert pending.links == ((b"a", b"usr/b"), (b"c", b"a"))
    assert names(tmp_path) == {"gone"}


def test_links_into_lower_directories_are_noted(tmp_path) -> None:
    pending = layer(tmp_path, symlink("run", "/var/run"), file("run/x"))
    assert pending.required == (b"var", b"var/run")
    assert names(tmp_path) == {"run", "var", "var/run", "var/run/x"}


def test_names_reserved_by_aufs_are_left_out(tmp_path) -> None:
    layer(tmp_path, directory(".wh..wh.plnk"), file(".wh..wh.plnk/12.34"), file(".wh..wh.aufs"))
    assert names(tmp_path) == set()


def test_bounds(tmp_path) -> None:
    data = tar(*(file(str(number), b"x" * 300_000) for number in range(20)))
    with pytest.raises(LimitError) as caught:
        extract_plain(io.BytesIO(data), str(tmp_path), limits=Limits(max_entries=5), owner=mine)
    assert "SCOW_MAX_LAYER_ENTRIES" in caught.value.hint
    with pytest.raises(LimitError) as caught:
        extract_plain(io.BytesIO(data), str(tmp_path), limits=Limits(max_size=1_000_000), owner=mine)
    assert "SCOW_MAX_LAYER_SIZE" in caught.value.hint
    with pytest.raises(CorruptError):
        extract_plain(io.BytesIO(data[:200_000]), str(tmp_path), owner=mine)


@pytest.mark.root
@pytest.mark.host
def test_owners_devices_and_capabilities(tmp_path) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    data = tar(
        file("f", b"x", mode=0o6755, uid=1234, gid=3_000_000_000, xattrs=((b"security.capability", capability),)),
        device("dev", 1, 3),
        directory("d", 0o3777, uid=5, gid=6),
        symlink("s", "x"),
    )
    extract_plain(io.BytesIO(data), str(tmp_path))
    found = os.stat(tmp_path / "f")
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 3_000_000_000, 0o6755)
    assert os.getxattr(tmp_path / "f", "security.capability") == capability
    assert os.stat(tmp_path / "dev").st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE(os.stat(tmp_path / "d").st_mode) == 0o3777


@pytest.mark.root
def test_owners_can_be_mapped(tmp_path) -> None:
    data = tar(file("f", uid=1, gid=2), file("implied/x"))
    extract_plain(io.BytesIO(data), str(tmp_path), owner=lambda uid, gid: (uid + 1000, gid + 2000))
    assert (os.stat(tmp_path / "f").st_uid, os.stat(tmp_path / "f").st_gid) == (1001, 2002)
    assert os.stat(tmp_path / "implied").st_uid == 1000


@pytest.mark.root
@pytest.mark.host
def test_whiteouts_become_devices(tmp_path) -> None:
    data = tar(
        file(".wh.a"), file("b"), file(".wh.b"), directory("d"), file(".wh.d"), file("e/.wh.f"), device("g", 0, 0)
    )
    pending = extract(io.BytesIO(data), str(tmp_path)).pending
    for name in ("a", "e/f", "g"):
        found = os.lstat(tmp_path / name)
        assert stat.S_ISCHR(found.st_mode)
        assert found.st_rdev == 0
    assert stat.S_ISREG(os.lstat(tmp_path / "b").st_mode)
    assert os.getxattr(tmp_path / "d", "trusted.overlay.opaque") == b"y"
    assert pending == Pending(implicit=(b"e",), whiteouts=(b"a", b"e/f", b"g"))
