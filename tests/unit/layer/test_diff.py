# SPDX-License-Identifier: Apache-2.0
"""Making layers from trees."""

from __future__ import annotations

import io
import os
import socket
from typing import TYPE_CHECKING

import pytest

from scow.errors import ConflictError, UnsupportedError
from scow.layer.diff import Change, changes_upper, diff_trees, diff_upper, tar_tree
from scow.layer.tar import LINK, SYMLINK, TarReader
from scow.layer.walk import contents, find_holes

if TYPE_CHECKING:
    from scow.layer.tar import TarEntry


def read(data: bytes) -> list[tuple[TarEntry, bytes]]:
    reader = TarReader(io.BytesIO(data))
    return [(entry, b"".join(reader.chunks())) for entry in reader]


def names(data: bytes) -> list[str]:
    return [entry.name.decode() for entry, _ in read(data)]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "d/sub").mkdir(parents=True)
    (root / "d/a").write_bytes(b"hello")
    os.link(root / "d/a", root / "b")
    (root / "z").symlink_to("../outside")
    (root / "d.x").write_bytes(b"")
    os.mkfifo(root / "pipe")
    for path in (root / "d/a", root / "d.x", root / "pipe", root / "d/sub", root / "d", root):
        os.utime(path, ns=(1, 1_600_000_000_500_000_000))
    os.utime(root / "z", ns=(1, 1), follow_symlinks=False)
    return root


def test_a_tree_is_written_sorted_with_hard_links_as_links(tree) -> None:
    out = io.BytesIO()
    applied = tar_tree(str(tree), out)
    found = read(out.getvalue())
    assert [entry.name for entry, _ in found] == [b"b", b"d/", b"d/a", b"d/sub/", b"d.x", b"pipe", b"z"]
    assert (found[0][1], found[2][0].type, found[2][0].linkname) == (b"hello", LINK, b"b")
    assert (found[6][0].type, found[6][0].linkname) == (SYMLINK, b"../outside")
    assert {entry.mtime_ns for entry, _ in found[:6]} == {1_600_000_000 * 10**9}
    assert (applied.entries, applied.usage, applied.size) == (7, 15, len(out.getvalue())), (
        "five bytes of files, ten of links"
    )


def test_sockets_are_left_out(tree, monkeypatch) -> None:
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
    out = io.BytesIO()
    tar_tree(str(tree), out)
    assert "sock" not in names(out.getvalue())


def test_who_no_longer_reads_is_not_the_files_fault(tree) -> None:
    class Gone(io.RawIOBase):
        def write(self, data) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        tar_tree(str(tree), Gone())


def test_prefix_root_and_single_files(tree) -> None:
    out = io.BytesIO()
    tar_tree(str(tree), out, prefix="new/name/", include_root=True)
    assert names(out.getvalue())[:3] == ["new/name/", "new/name/b", "new/name/d/"]
    out = io.BytesIO()
    tar_tree(str(tree), out, include_root=True)
    assert names(out.getvalue())[0] == "./"
    out = io.BytesIO()
    tar_tree(str(tree / "d/a"), out, prefix="only")
    assert names(out.getvalue()) == ["only"]
    out = io.BytesIO()
    tar_tree(str(tree / "z"), out)
    assert read(out.getvalue())[0][0].linkname == b"../outside"


def test_times_are_held_to_an_epoch(tree) -> None:
    out = io.BytesIO()
    tar_tree(str(tree), out, epoch=1_500_000_000, include_root=True)
    times = {entry.name: entry.mtime_ns // 10**9 for entry, _ in read(out.getvalue())}
    assert times == dict.fromkeys(times, 1_500_000_000) | {b"z": 0}


def test_the_same_tree_makes_the_same_bytes_wherever_it_is(tree, tmp_path) -> None:
    import shutil

    shutil.copytree(tree / "d", tmp_path / "copy", symlinks=True)
    outputs = []
    for root in (tree / "d", tmp_path / "copy"):
        out = io.BytesIO()
        tar_tree(str(root), out)
        outputs.append(out.getvalue())
    assert outputs[0] == outputs[1]


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    with open(path, "rb") as stream, pytest.raises(ConflictError, match="became shorter"):
        list(contents(stream.fileno(), 10, None, b"f"))


def test_attributes_of_this_host_stay_here(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    os.setxattr(path, "user.keep", b"1")
    os.setxattr(path, "user.overlay.origin", b"x")
    out = io.BytesIO()
    tar_tree(str(tmp_path), out)
    assert read(out.getvalue())[0][0].xattrs == ((b"user.keep", b"1"),)


def test_holes_are_found_by_content(tmp_path) -> None:
    path = tmp_path / "f"
    size = 20 << 20
    with open(path, "wb") as stream:
        stream.truncate(size)
        stream.seek(5 << 20)
        stream.write(b"x" * 5000 + bytes(8192) + b"y")
        stream.seek(10 << 20)
        stream.write(bytes(100_000))  # zeros on disk are a hole all the same
        stream.seek(size - 1)
        stream.write(b"z")
    with open(path, "rb") as stream:
        parts = find_holes(stream.fileno(), size)
    start = 5 << 20
    assert parts == ((start, 4 * 4096), (size - 4096, 4096))
    out = io.BytesIO()
    applied = tar_tree(str(tmp_path), out)
    assert applied.size < 100_000
    ((entry, data),) = read(out.getvalue())
    assert (entry.size, entry.sparse) == (size, parts)
    rebuilt = bytearray(size)
    for offset, length in parts:
        rebuilt[offset : offset + length], data = data[:length], data[length:]
    assert bytes(rebuilt) == path.read_bytes()


@pytest.mark.parametrize("size", [0, 5, 1 << 20, 5 << 20])
def test_files_without_holes_are_written_as_they_are(tmp_path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    with open(path, "rb") as stream:
        assert find_holes(stream.fileno(), size) is None


def test_a_file_that_is_one_hole(tmp_path) -> None:
    with open(tmp_path / "f", "wb") as stream:
        stream.truncate(3 << 30)
    out = io.BytesIO()
    tar_tree(str(tmp_path), out)
    ((entry, data),) = read(out.getvalue())
    assert (entry.size, entry.sparse, data) == (3 << 30, (), b"")


def differing(old, new) -> list[str]:
    out = io.BytesIO()
    diff_trees(str(old), str(new), out)
    return names(out.getvalue())


@pytest.fixture
def pair(tree, tmp_path):
    import subprocess

    subprocess.run(["cp", "-a", tree, tmp_path / "new"], check=True)
    return tree, tmp_path / "new"


def test_equal_trees_differ_in_nothing(pair) -> None:
    assert differing(*pair) == []


def test_differences_come_with_their_directories(pair) -> None:
    old, new = pair
    (new / "d/a").unlink()
    (new / "d/a").write_bytes(b"HELLO")
    (new / "d/sub").rmdir()
    (new / "d/sub").write_bytes(b"")
    (new / "pipe").unlink()
    (new / "more").mkdir()
    (new / "more/x").write_bytes(b"")
    assert differing(old, new) == ["d/", "d/a", "d/sub", "more/", "more/x", ".wh.pipe"]


@pytest.mark.parametrize("change", ["content", "mode", "time", "xattr", "target"])
def test_each_property_counts(pair, change: str) -> None:
    old, new = pair
    path = new / "d.x"
    for root in pair:
        (root / "d.x").write_bytes(b"aaaa")
        os.utime(root / "d.x", ns=(0, 10**18))
    if change == "content":
        path.write_bytes(b"bbbb")
        os.utime(path, ns=(0, 10**18))
    elif change == "mode":
        path.chmod(0o600)
    elif change == "time":
        os.utime(path, ns=(0, 10**18 + 10**9))
    elif change == "xattr":
        os.setxattr(path, "user.x", b"1")
    else:
        path = new / "z"
        path.unlink()
        path.symlink_to("elsewhere")
        os.utime(path, ns=(0, 1), follow_symlinks=False)
    assert differing(old, new) == [path.name]


def test_user_markers_of_an_upper_directory(tmp_path) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "d/x").write_bytes(b"")
    os.setxattr(upper / "d", "user.overlay.opaque", b"y")
    out = io.BytesIO()
    diff_upper(str(upper), out)
    assert names(out.getvalue()) == ["d/", "d/.wh..wh..opq", "d/x"]


def test_overlays_with_redirects_are_refused(tmp_path) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "user.overlay.redirect", b"/other")
    with pytest.raises(UnsupportedError) as caught:
        diff_upper(str(tmp_path), io.BytesIO())
    assert "redirect_dir=off" in caught.value.hint


def test_changes_as_docker_shows_them(tmp_path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in (lower / "etc", lower / "opaque", upper / "etc", upper / "opaque", upper / "new/deep"):
        path.mkdir(parents=True)
    for path in (lower / "etc/passwd", lower / "opaque/gone", lower / "opaque/kept", upper / "etc/passwd",
                 upper / "etc/added", upper / "new/deep/f", upper / "opaque/kept"):  # fmt: skip
        path.write_bytes(b"")
    os.setxattr(upper / "opaque", "user.overlay.opaque", b"y")
    assert list(changes_upper(str(upper), str(lower))) == [
        Change("C", "/etc"),
        Change("A", "/etc/added"),
        Change("C", "/etc/passwd"),
        Change("A", "/new"),
        Change("A", "/new/deep"),
        Change("A", "/new/deep/f"),
        Change("C", "/opaque"),
        Change("C", "/opaque/kept"),
        Change("D", "/opaque/gone"),
    ]
    assert {change.kind for change in changes_upper(str(upper), None)} == {"A"}
