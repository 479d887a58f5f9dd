# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import stat
import tarfile

import pytest

from scow.build.copying import CopyRules, CopySource, Filter, copy, fingerprint, has_wildcards, lexical, matches
from scow.build.dest import DestinationError, DestTree
from scow.build.modes import parse_mode
from scow.build.sources import DirTree, FilesTree, SourceNotFoundError, clean, resolve
from scow.errors import InvalidArgumentError


def make(root, files):
    """Files (bytes), directories (None) and links (str) below a directory."""
    root.mkdir(exist_ok=True)
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if value is None:
            path.mkdir(exist_ok=True)
        elif isinstance(value, str):
            path.symlink_to(value)
        else:
            path.write_bytes(value)
    return DirTree(str(root))


def put(dest, tree, source, target, **rules):
    """COPY source target."""
    wanted = source if isinstance(source, CopySource) else CopySource("/" + source)
    for match in matches(tree, wanted):
        copy(dest, tree, match, target, CopyRules(**rules), wanted)


def written(dest, time=7):
    dest.settle(time)
    out = io.BytesIO()
    dest.write(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        found = {}
        for member in tar:
            if member.isdir():
                found[member.name + "/"] = member.mode
            elif member.issym():
                found[member.name] = "-> " + member.linkname
            elif member.islnk():
                found[member.name] = "= " + member.linkname
            else:
                found[member.name] = tar.extractfile(member).read()
        return found


@pytest.fixture
def source(tmp_path):
    return make(
        tmp_path / "src",
        {
            "a.txt": b"a",
            "b.txt": b"b",
            "d/one": b"1",
            "d/sub/two": b"2",
            "d/link": "one",
            "to_d": "d",
            "up": "../../etc",
        },
    )


def test_file_to_a_new_name(source):
    dest = DestTree(None)
    put(dest, source, "a.txt", "/x")
    assert written(dest) == {"x": b"a"}


def test_file_into_a_directory_that_is_made(source):
    dest = DestTree(None)
    put(dest, source, "a.txt", "/x/y/")
    assert written(dest) == {"x/": 0o755, "x/y/": 0o755, "x/y/a.txt": b"a"}


def test_directory_means_its_contents(source):
    dest = DestTree(None)
    put(dest, source, "d", "/x")
    assert written(dest) == {"x/": 0o755, "x/link": "-> one", "x/one": b"1", "x/sub/": 0o755, "x/sub/two": b"2"}


def test_links_of_the_source_are_followed_inside_it(source):
    dest = DestTree(None)
    put(dest, source, "to_d/one", "/x")
    assert written(dest) == {"x": b"1"}
    with pytest.raises(SourceNotFoundError, match="'/up' not found"):
        put(DestTree(None), source, "up", "/x")


@pytest.mark.parametrize("pattern", ["/[", "/d/[a", "/[]", "/[]a]*", "/[a-]*", "/[-a]", "/[^]", "/*\\", "/[\\"])
def test_a_pattern_that_nobody_can_read_is_an_error(source, pattern):
    with pytest.raises(InvalidArgumentError, match="syntax error in pattern"):
        matches(source, CopySource(pattern))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/[a-b].txt", [b"a.txt", b"b.txt"]),
        ("/[!a].txt", [b"a.txt"]),
        ("/[b-a].txt", []),
        ("/[^b-a].txt", [b"a.txt", b"b.txt"]),
        ("/[\\a-\\b].tx?", [b"a.txt", b"b.txt"]),
        ("/[ab]*].txt", []),
        ("/?\\.txt", [b"a.txt", b"b.txt"]),
    ],
)
def test_classes_are_gos(source, pattern, found):
    assert matches(source, CopySource(pattern)) == found


def test_patterns(source):
    dest = DestTree(None)
    put(dest, source, "*.txt", "/x/")
    assert written(dest) == {"x/": 0o755, "x/a.txt": b"a", "x/b.txt": b"b"}
    assert matches(source, CopySource("/d*/o?e")) == [b"d/one"]
    assert matches(source, CopySource("/[ab].txt")) == [b"a.txt", b"b.txt"]
    assert matches(source, CopySource("/[^a].txt")) == [b"b.txt"]
    assert matches(source, CopySource("/nothing*")) == []
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        matches(source, CopySource("/nowhere/*"))
    assert matches(source, CopySource("/a.txt/*")) == []
    assert matches(source, CopySource("/a\\.txt")) == [b"/a\\.txt"]
    assert has_wildcards("a\\*b") is False


def test_parents_keep_the_folders(source):
    dest = DestTree(None)
    put(dest, source, CopySource("/", includes=("d/sub/two",)), "/x/")
    assert written(dest) == {"x/": 0o755, "x/d/": 0o755, "x/d/sub/": 0o755, "x/d/sub/two": b"2"}
    with pytest.raises(SourceNotFoundError):
        matches(source, CopySource("/", includes=("no/such",), required="/no/such"))


@pytest.mark.parametrize(("path", "there"), [("up", True), ("to_d", True), ("d/link", True), ("to_d/one", False)])
def test_parents_take_links_and_do_not_go_through_them(source, path, there):
    wanted = CopySource("/", includes=(path,), required=f"/{path}")
    if not there:
        with pytest.raises(SourceNotFoundError):
            matches(source, wanted)
        return
    dest = DestTree(None)
    put(dest, source, wanted, "/x/")
    assert written(dest)[f"x/{path}"].startswith("-> ")


def test_excludes(source):
    dest = DestTree(None)
    put(dest, source, "d", "/x", excludes=("sub", "link"))
    assert written(dest) == {"x/": 0o755, "x/one": b"1"}
    dest = DestTree(None)
    put(dest, source, "d", "/x", excludes=("*", "!sub/two"))
    assert written(dest) == {"x/": 0o755, "x/sub/": 0o755, "x/sub/two": b"2"}


def test_owner_and_mode(source):
    dest = DestTree(None)
    put(dest, source, "d", "/x/y", owner=(5, 6), mode=parse_mode("700"))
    dest.settle(0)
    out = io.BytesIO()
    dest.write(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert {(member.uid, member.gid) for member in tar} == {(5, 6)}
        assert {member.name: oct(member.mode) for member in tar if not member.issym()} == {
            "x": "0o700", "x/y": "0o700", "x/y/one": "0o700", "x/y/sub": "0o700", "x/y/sub/two": "0o700",
        }  # fmt: skip


def test_hard_links_stay_links(source, tmp_path):
    os.link(tmp_path / "src/d/one", tmp_path / "src/d/again")
    dest = DestTree(None)
    put(dest, source, "d", "/x", excludes=("sub", "link"))
    assert written(dest) == {"x/": 0o755, "x/again": b"1", "x/one": "= x/again"}


def test_a_replaced_first_name_leaves_its_content_to_the_others(source, tmp_path):
    os.link(tmp_path / "src/d/one", tmp_path / "src/d/again")
    dest = DestTree(None)
    put(dest, source, "d", "/x", excludes=("sub", "link"))
    put(dest, source, "a.txt", "/x/again")
    assert written(dest) == {"x/": 0o755, "x/again": b"a", "x/one": b"1"}


def test_what_is_below_decides(source, tmp_path):
    below = make(
        tmp_path / "low", {"dir/old": b"o", "file": b"f", "ln": "dir", "abs": "/dir/inner", "dangling": "gone/x"}
    )
    (tmp_path / "low/dir").chmod(0o1777)
    cases = {
        "/dir": {"dir/": 0o1777, "dir/a.txt": b"a"},
        "/file": {"file": b"a"},
        "/ln": {"dir/": 0o1777, "dir/a.txt": b"a"},
        "/ln/new": {"dir/": 0o1777, "dir/new": b"a"},
        "/abs/x": {"dir/": 0o1777, "dir/inner/": 0o755, "dir/inner/x": b"a"},
        "/dangling/": {"gone/": 0o755, "gone/x/": 0o755, "gone/x/a.txt": b"a"},
        "/../../out": {"out": b"a"},
        "/ln/../y": {"y": b"a"},
    }
    for target, expected in cases.items():
        dest = DestTree(below)
        put(dest, source, "a.txt", target)
        assert written(dest) == expected, target


def test_wrong_kinds(source, tmp_path):
    below = make(tmp_path / "low", {"f": b"f", "d/a.txt/x": b"x", "l": "f"})
    for what, target in (("d", "/f"), ("a.txt", "/f/x"), ("a.txt", "/d"), ("a.txt", "/f/"), ("d", "/l")):
        with pytest.raises(DestinationError):
            put(DestTree(below), source, what, target)


def test_a_copied_directory_tells_a_new_file_apart_from_one_below(source, tmp_path):
    below = make(tmp_path / "low", {"x/one": "elsewhere"})
    dest = DestTree(below)
    put(dest, source, "d", "/x", excludes=("sub", "link"))
    assert written(dest) == {"x/": 0o755, "x/one": b"1"}


def test_copying_twice_gives_the_same_bytes(source):
    outs = []
    for _ in range(2):
        dest = DestTree(None)
        put(dest, source, "d", "/x")
        dest.settle(1)
        out = io.BytesIO()
        dest.write(out)
        outs.append(out.getvalue())
    assert outs[0] == outs[1]


def test_epoch_clamps(source):
    dest = DestTree(None)
    put(dest, source, "a.txt", "/x/")
    dest.settle(50)
    out = io.BytesIO()
    dest.write(out, epoch=10)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert {int(member.mtime) for member in tar} == {10}


def test_fingerprint_ignores_time_and_sees_the_rest(source, tmp_path):
    keep = Filter((), ())
    first = fingerprint(source, b"d", keep)
    os.utime(tmp_path / "src/d/one", (1, 1))
    assert fingerprint(source, b"d", keep) == first
    (tmp_path / "src/d/one").chmod(0o600)
    second = fingerprint(source, b"d", keep)
    assert second != first
    (tmp_path / "src/d/one").write_bytes(b"other")
    assert fingerprint(source, b"d", keep) != second
    assert fingerprint(source, b"d", Filter((), ("one",))) == fingerprint(source, b"d", Filter((), ("one",)))
    with pytest.raises(SourceNotFoundError):
        fingerprint(source, b"missing", keep)


def test_files_in_memory():
    tree = FilesTree({b"EOF": b"hello"})
    dest = DestTree(None)
    put(dest, tree, CopySource("/EOF", wildcards=False), "/x")
    assert written(dest) == {"x": b"hello"}
    assert tree.look(b"other") is None
    assert stat.S_ISDIR(tree.look(b"").mode)


def test_paths():
    assert clean(b"/a//b/./../c/") == b"a/c"
    assert clean(b"/../..") == b""
    assert lexical(b"/a/../b/") == b"/b/"
    assert lexical(b"/b/.") == b"/b/."
    assert lexical(b"/") == b"/"


def test_resolve_stays_inside(tmp_path):
    tree = make(tmp_path / "t", {"d/e": None, "l": "/d/../../x", "r": "d", "q": "..", "loop": "loop", "d/up": "../r/e"})
    assert resolve(tree, b"/l/y") == b"x/y"
    assert resolve(tree, b"r/e") == b"d/e"
    assert resolve(tree, b"q/q/d") == b"d"
    assert resolve(tree, b"d/up") == b"d/e"
    assert resolve(tree, b"r", last=False) == b"r"
    assert resolve(tree, b"up/x", root=b"d") == b"d/r/e/x"
    assert resolve(tree, b"../..", root=b"d") == b"d"
    with pytest.raises(Exception, match="too many symbolic links"):
        resolve(tree, b"loop/x")
