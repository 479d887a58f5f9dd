# SPDX-License-Identifier: Apache-2.0
"""Indexes, read back by a reader that knows nothing of the writer."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from fakes.erofsread import Image
from fakes.tars import device, directory, fifo, file, link, symlink, tar
from scow.errors import CorruptError, LimitError
from scow.layer.changeset import LayerError, Limits
from scow.layer.erofs import Source, write_index
from scow.layer.tar import TarEntry
from scow.layer.toc import read_footer, read_records, scan, scan_file

if TYPE_CHECKING:
    from fakes.erofsread import Node
    from fakes.tars import Piece


@pytest.fixture
def build(tmp_path):
    """Builds the index of layers given as archives, the lowest first, and reads it."""

    def build(*layers: bytes, overlay: bool = False) -> Image:
        sources = []
        for number, layer in enumerate(layers):
            source = Source(str(tmp_path / f"{number}.tar"), str(tmp_path / f"{number}.toc"))
            with open(source.tar, "wb") as copy, open(source.table, "wb") as table:
                scan(io.BytesIO(layer), table, copy=copy)
            sources.append(source)
        index = write_index(sources, str(tmp_path / "index"), overlay=overlay)
        with open(tmp_path / "index", "rb") as stream:
            data = stream.read()
        assert index.size == len(data)
        return Image(data, list(layers))

    return build


def names(image: Image) -> set[str]:
    return {name.decode() for name in image.tree()} - {""}


def data(node: Node) -> bytes:
    return node.data


def test_every_kind_of_entry(build) -> None:
    image = build(
        tar(
            directory("./", 0o1777, uid=7, mtime_ns=1_234_567_890_123_456_789),
            file("a", b"hello", mode=0o4755, uid=3_000_000_000, gid=5, mtime_ns=-1, xattrs=((b"user.x", b"y" * 99),)),
            file("empty"),
            file("big", b"z" * 5000),
            symlink("short", "a"),
            symlink("long", "t/" * 2000),
            link("hard", "a"),
            device("dev", 4095, (1 << 20) - 1),
            fifo("pipe"),
            directory("d", 0o700, xattrs=((b"security.capability", b"c"), (b"user.dir", b""))),
        )
    )
    tree = image.tree()
    root = tree[b""]
    assert (root.mode, root.uid, root.mtime_ns, root.nlink) == (0o041777, 7, 1_234_567_890_123_456_789, 3)
    a = tree[b"a"]
    assert (a.data, a.mode, a.uid, a.gid, a.mtime_ns, a.nlink) == (b"hello", 0o104755, 3_000_000_000, 5, -1, 2)
    assert a.xattrs == ((b"user.x", b"y" * 99),)
    assert tree[b"hard"].nid == a.nid
    assert (tree[b"empty"].data, tree[b"big"].data) == (b"", b"z" * 5000)
    assert (tree[b"short"].data, tree[b"long"].data) == (b"a", b"t/" * 2000)
    assert tree[b"dev"].rdev == 0xFF | (4095 << 8) | (0xFFF << 20)
    assert stat.S_ISFIFO(tree[b"pipe"].mode)
    assert tree[b"d"].xattrs == ((b"security.capability", b"c"), (b"user.dir", b""))
    assert tree[b"d"].nlink == 2


@pytest.mark.parametrize("length", [1, 100, 447, 448, 449, 512, 513, 4095])
def test_link_targets_of_every_length(build, length: int) -> None:
    pieces = [symlink(f"s{number}", "x" * length) for number in range(7)]
    tree = build(tar(*pieces)).tree()
    assert {tree[b"s%d" % number].data for number in range(7)} == {b"x" * length}


@pytest.mark.parametrize("count", [0, 1, 20, 36, 37, 38, 500, 3000])
def test_directories_of_every_size(build, count: int) -> None:
    wanted = {"d", *(f"d/{number}" + "n" * (number % 200) for number in range(count))}
    tree = build(tar(directory("d"), *(file(name) for name in sorted(wanted - {"d"}, reverse=True))))
    assert names(tree) == wanted


def test_names_that_sort_before_the_dots(build) -> None:
    odd = {"!", "#", "+", "-", ".a", "..a", "...", " ", "0", "~"}
    assert names(build(tar(*(file(name) for name in odd)))) == odd


def test_layers_replace_and_remove(build) -> None:
    image = build(
        tar(
            directory("d"),
            file("d/a", b"1"),
            file("d/b", b"1"),
            directory("e"),
            file("e/x"),
            file("f"),
            symlink("l", "d"),
        ),
        tar(file("d/.wh.a"), file("e/.wh..wh..opq"), file("e/y"), directory("f"), file("f/in"), file("l/new", b"2")),
        tar(file("d/b", b"3"), file(".wh.nothing"), file("e"), link("hard", "d/b")),
    )
    tree = image.tree()
    assert names(image) == {"d", "d/b", "d/new", "e", "f", "f/in", "l", "hard"}
    assert tree[b"d/b"].data == b"3"
    assert tree[b"hard"].nid == tree[b"d/b"].nid
    assert tree[b"d/new"].data == b"2"
    assert stat.S_ISREG(tree[b"e"].mode)


def test_whiteouts_apply_to_lower_layers_only(build) -> None:
    image = build(
        tar(file("a", b"old"), directory("d"), file("d/old")),
        tar(file("a", b"new"), file(".wh.a"), directory("d"), file("d/new"), file(".wh.d")),
    )
    assert names(image) == {"a", "d", "d/new"}
    assert image.tree()[b"a"].data == b"new"


def test_directories_nobody_describes_keep_what_lies_below(build) -> None:
    low = tar(directory("etc", 0o750, uid=9, mtime_ns=5 * 10**9), file("etc/a"))
    tree = build(low, tar(file("etc/b"), file("new/deep/c"))).tree()
    assert (tree[b"etc"].mode, tree[b"etc"].uid, tree[b"etc"].mtime_ns) == (0o040750, 9, 5 * 10**9)
    assert (tree[b"new/deep"].mode, tree[b"new/deep"].uid, tree[b"new/deep"].mtime_ns) == (0o040755, 0, 0)


def test_the_last_of_several_entries_counts(build) -> None:
    tree = build(
        tar(
            file("a", b"1"), file("./a", b"2"), directory("d"), file("d/x"), file("d", b"f"), file("/e"), directory("e")
        )
    ).tree()
    assert tree[b"a"].data == b"2"
    assert tree[b"d"].data == b"f"
    assert stat.S_ISDIR(tree[b"e"].mode)


def test_link_counts_follow_what_is_removed(build) -> None:
    low = tar(directory("d"), file("d/a", b"x"), link("b", "d/a"), link("c", "b"), link("d/e", "c"))
    tree = build(low, tar(file(".wh.c"), file("d/.wh..wh..opq"))).tree()
    assert tree[b"b"].nlink == 1
    assert tree[b"b"].data == b"x"


def test_an_overlay_index_keeps_markers(build) -> None:
    image = build(
        tar(file("d/.wh.a"), directory("e", xattrs=((b"user.k", b"v"),)), file("e/.wh..wh..opq"), file("n/.wh..wh..opq"),
            file("f"), directory("f")),
        overlay=True,
    )  # fmt: skip
    tree = image.tree()
    assert tree[b"d/a"].mode == stat.S_IFCHR
    assert tree[b"d/a"].rdev == 0
    assert tree[b"e"].xattrs == ((b"trusted.overlay.opaque", b"y"), (b"user.k", b"v"))
    assert tree[b"n"].xattrs == ((b"trusted.overlay.opaque", b"y"),)
    assert tree[b"f"].xattrs == ((b"trusted.overlay.opaque", b"y"),)
    assert tree[b"d"].xattrs == ()


def test_markers_of_several_overlay_layers_meet(build) -> None:
    tree = build(
        tar(file("a"), file("b"), file("d/x")),
        tar(file(".wh.a"), file("d/.wh..wh..opq"), file(".wh.c")),
        tar(directory("c"), file("c/in")),
        overlay=True,
    ).tree()
    assert tree[b"a"].mode == stat.S_IFCHR
    assert set(tree) == {b"", b"a", b"b", b"c", b"c/in", b"d"}
    assert tree[b"c"].xattrs == tree[b"d"].xattrs == ((b"trusted.overlay.opaque", b"y"),)


def test_attributes_of_overlayfs_and_other_hosts_are_not_taken(build) -> None:
    bad = (
        (b"security.selinux", b"x"),
        (b"trusted.overlay.opaque", b"y"),
        (b"trusted.overlay.redirect", b"/etc"),
        (b"user.good", b"1"),
        (b"user.overlay.opaque", b"y"),
    )
    assert build(tar(directory("d", xattrs=bad))).tree()[b"d"].xattrs == ((b"user.good", b"1"),)


def test_sparse_files(build) -> None:
    content = os.urandom(9000)
    entry = TarEntry(b"s", size=3_000_000, sparse=((4096, 4096), (1_000_000, 4904)))
    tree = build(tar(file("first", b"x"), (entry, content)), tar((entry._replace(name=b"t"), content))).tree()
    wanted = bytearray(3_000_000)
    wanted[4096:8192] = content[:4096]
    wanted[1_000_000 : 1_000_000 + 4904] = content[4096:]
    assert tree[b"s"].data == tree[b"t"].data == bytes(wanted)


def test_the_same_layers_make_the_same_index(build) -> None:
    layers = [tar(file("a", b"1"), directory("d"), file("d/b")), tar(file("c"))]
    assert build(*layers).image == build(*layers).image


def test_devices_are_named_by_their_layers(build) -> None:
    import hashlib

    layer = tar(file("a"))
    assert build(layer).tags == [hashlib.sha256(layer).hexdigest().encode()]


def test_no_layers_are_an_empty_directory(build) -> None:
    assert names(build()) == set()
    assert names(build(tar())) == set()


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([file("../x")], "climbs out"),
        ([file("a/../../x")], "climbs out"),
        ([link("l", "../x")], "climbs out"),
        ([symlink("evil", "../../etc"), file("evil/x")], "climbs out"),
        ([symlink("evil", "/etc"), file("evil/passwd")], "leads to '/etc'"),
        ([symlink("a", "b"), symlink("b", "a"), file("a/x")], "circles"),
        ([link("l", "missing")], "does not exist"),
        ([link("l", "/etc/passwd")], "does not exist"),
        ([directory("d"), link("l", "d")], "directory"),
        ([directory("d"), file("d/f"), link("d", "d/f")], "replace what it leads to"),
        ([file("f"), file("f/x")], "not a directory"),
        ([symlink("./", "x")], "root directory"),
        ([file(".wh.")], "whiteout of nothing"),
        ([file("a/.wh...")], "whiteout of nothing"),
        ([file("x", uid=2**32 - 1)], "owner out of range"),
        ([device("x", 4096, 0)], "device out of range"),
        ([file("x", mtime_ns=10**26)], "time out of range"),
        ([symlink("x", "t" * 4096)], "target of 4096 bytes"),
        ([file("x", xattrs=((b"user.a", b"v" * 70_000),))], "extended attributes"),
    ],
)
def test_layers_that_must_not_be_are_refused(build, pieces: list[Piece], words: str) -> None:
    with pytest.raises(LayerError) as caught:
        build(tar(*pieces))
    assert words in caught.value.message


def test_links_inside_the_root_are_followed(build) -> None:
    low = tar(directory("usr"), directory("usr/bin"), symlink("bin", "usr/bin"), directory("run"), directory("var"),
              symlink("var/run", "/run"), file("usr/bin/sh", b"sh"))  # fmt: skip
    high = tar(file("bin/new"), file("var/run/pid"), link("bin/ash", "bin/sh"), file("bin/.wh.gone"))
    assert names(build(low, high)) == {
        "usr", "usr/bin", "bin", "run", "var", "var/run", "usr/bin/sh", "usr/bin/new", "run/pid", "usr/bin/ash",
    }  # fmt: skip


def test_a_link_to_itself_is_left_alone(build) -> None:
    assert names(build(tar(file("a", b"x"), link("a", "./a")))) == {"a"}


def test_a_scan_is_bounded() -> None:
    layer = tar(*(file(str(number)) for number in range(20)))
    with pytest.raises(LimitError) as caught:
        scan(io.BytesIO(layer), io.BytesIO(), limits=Limits(max_entries=10))
    assert "SCOW_MAX_LAYER_ENTRIES" in caught.value.hint
    with pytest.raises(LimitError):
        scan(io.BytesIO(tar(file("a", bytes(1 << 20)), file("b"))), io.BytesIO(), limits=Limits(max_size=1 << 19))


def test_a_table_made_from_a_file_is_the_same(tmp_path) -> None:
    layer = tar(directory("d"), file("d/a", b"x" * 2_000_000), file("d/.wh.b"), link("l", "d/a"))
    (tmp_path / "a.tar").write_bytes(layer)
    one, two = io.BytesIO(), io.BytesIO()
    applied = scan(io.BytesIO(layer), one)
    with open(tmp_path / "a.tar", "rb", buffering=0) as stream:
        assert scan_file(stream, applied.diff_id, two) == applied
    assert one.getvalue() == two.getvalue()
    footer = read_footer(two)
    assert (footer.diff_id, footer.size, footer.entries, footer.markers) == (applied.diff_id, len(layer), 4, 1)
    assert [name for _, name, _ in read_records(two)] == [b"d", b"d/a", b"d/b", b"l"]


def test_damaged_tables_are_refused(tmp_path) -> None:
    out = io.BytesIO()
    scan(io.BytesIO(tar(file("a"))), out)
    for damaged in (b"", out.getvalue()[:-1], b"x" * 100, out.getvalue()[:20]):
        with pytest.raises(CorruptError):
            read_footer(io.BytesIO(damaged))
    with pytest.raises(CorruptError):
        list(read_records(io.BytesIO(b"x" * 100)))


def test_file_sizes_beyond_four_gibibytes(tmp_path) -> None:
    from scow.layer.erofsformat import describe

    inode = describe(TarEntry(b"x", size=5 << 30, offset=(3 << 30) + 512), b"")
    assert int.from_bytes(inode[8:16], "little") == 5 << 30
    assert int.from_bytes(inode[68:72], "little") == ((3 << 30) + 512) // 512
