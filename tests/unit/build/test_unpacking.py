# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from scow.build.dest import DestinationError, DestTree
from scow.build.sources import FilesTree
from scow.build.unpacking import open_archive, unpack
from scow.errors import CorruptError, LimitError
from scow.layer.changeset import Limits


def archive(*members, compress=bytes):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member["name"])
            info.type = member.get("type", tarfile.REGTYPE)
            info.mode, info.uid, info.gid = member.get("mode", 0o644), member.get("uid", 0), member.get("gid", 0)
            info.mtime = member.get("mtime", 5)
            info.linkname = member.get("link", "")
            data = member.get("data", b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if data else None)
    return compress(out.getvalue())


def opened(data, tmp_path, limits=None):
    return open_archive(FilesTree({b"f": data}), b"f", str(tmp_path), limits or Limits())


def written(dest):
    dest.settle(9)
    out = io.BytesIO()
    dest.write(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return {
            member.name: (tar.extractfile(member).read() if member.isreg() else member.linkname or None, member.mode)
            for member in tar
        }


def unpacked(data, tmp_path, target="/x", owner=None, dest=None):
    tree = opened(data, tmp_path)
    dest = dest or DestTree(None)
    try:
        unpack(dest, tree, target, owner, Limits())
        return written(dest)
    finally:
        tree.close()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_compression(compress, tmp_path):
    data = archive({"name": "a/f", "data": b"hello"}, compress=compress)
    assert unpacked(data, tmp_path) == {"x": (None, 0o755), "x/a": (None, 0o755), "x/a/f": (b"hello", 0o644)}


@pytest.mark.parametrize(
    "data",
    [b"", b"text", gzip.compress(b"text"), bytes(1024), gzip.compress(b"x" * 9)[:12]],
    ids=["nothing", "text", "packed text", "zeros", "cut"],  # bytes as names would change with gzip's clock
)
def test_what_is_no_archive(data, tmp_path):
    assert opened(data, tmp_path) is None


def test_a_hard_link_brings_its_own_metadata(tmp_path):
    data = archive(
        {"name": "f", "data": b"1", "mode": 0o640, "uid": 5},
        {"name": "g", "type": tarfile.LNKTYPE, "link": "f", "mode": 0o600},
    )
    found = unpacked(data, tmp_path)
    assert found["x/f"] == (b"1", 0o600)
    assert found["x/g"][0] == "x/f"


def test_links_lead_nowhere_out_of_the_destination(tmp_path):
    data = archive(
        {"name": "etc/", "type": tarfile.DIRTYPE},
        {"name": "ln", "type": tarfile.SYMTYPE, "link": "/etc"},
        {"name": "ln/passwd", "data": b"evil"},
        {"name": "up", "type": tarfile.SYMTYPE, "link": "../../.."},
        {"name": "up/y", "data": b"y"},
    )
    found = unpacked(data, tmp_path, "/a/b")
    assert found["a/b/etc/passwd"] == (b"evil", 0o644)
    assert found["a/b/y"] == (b"y", 0o644)
    assert "etc/passwd" not in found


@pytest.mark.parametrize("member", ["ln/f", "ln/d/f"])
def test_nothing_is_made_behind_a_link_that_leads_nowhere(tmp_path, member):
    data = archive({"name": "ln", "type": tarfile.SYMTYPE, "link": "/etc"}, {"name": member, "data": b"1"})
    with pytest.raises(CorruptError, match="behind '/x/ln', a link to '/etc', which does not exist"):
        unpacked(data, tmp_path)


def test_the_root_of_an_archive(tmp_path):
    as_it_is = archive({"name": "./", "type": tarfile.DIRTYPE, "mode": 0o700}, {"name": "./f", "data": b"1"})
    assert unpacked(as_it_is, tmp_path)["x"] == (None, 0o755)
    changed = archive({"name": "/", "type": tarfile.DIRTYPE, "mode": 0o700}, {"name": "f", "data": b"1"})
    assert unpacked(changed, tmp_path)["x"] == (None, 0o700)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_an_archive_whose_compression_breaks_off_is_no_plain_file(tmp_path, compress):
    whole = archive({"name": "a", "data": bytes(range(256)) * 300}, {"name": "b", "data": b"2"}, compress=compress)
    with pytest.raises(CorruptError):
        opened(whole[:-20], tmp_path)


def test_a_wrong_checksum_is_found(tmp_path):
    whole = archive({"name": "a", "data": b"1"}, compress=gzip.compress)
    with pytest.raises(CorruptError, match="damaged"):
        opened(whole[:-8] + bytes(8), tmp_path)


def test_members_lead_nowhere_out_of_the_destination(tmp_path):
    data = archive({"name": "../x", "data": b"1"}, {"name": "d/../../../y", "data": b"2"}, {"name": "/z", "data": b"3"})
    found = unpacked(data, tmp_path, "/a/b")
    assert {name for name, (content, _) in found.items() if content is not None} == {"a/b/x", "a/b/y", "a/b/z"}


def test_later_members_win(tmp_path):
    data = archive(
        {"name": "f", "data": b"1"},
        {"name": "f", "data": b"2"},
        {"name": "d", "data": b"file"},
        {"name": "d/", "type": tarfile.DIRTYPE, "mode": 0o700},
        {"name": "d/in", "data": b"in"},
    )
    found = unpacked(data, tmp_path)
    assert found["x/f"] == (b"2", 0o644)
    assert found["x/d"] == (None, 0o700)
    assert found["x/d/in"] == (b"in", 0o644)


def test_refusals(tmp_path):
    with pytest.raises(CorruptError, match="missing"):
        unpacked(archive({"name": "h", "type": tarfile.LNKTYPE, "link": "nope"}), tmp_path)
    with pytest.raises(CorruptError, match="which is a directory"):
        unpacked(archive({"name": "d/f"}, {"name": "h", "type": tarfile.LNKTYPE, "link": "d"}), tmp_path)
    data = archive({"name": "a", "data": b"1"}, {"name": "b", "data": b"1"})
    tree = opened(data, tmp_path)
    with pytest.raises(LimitError):
        unpack(DestTree(None), tree, "/", None, Limits(max_entries=1))
    tree.close()
    dest = DestTree(FilesTree({b"x": b"a file"}))
    with pytest.raises(DestinationError):
        unpacked(data, tmp_path, dest=dest)


def test_a_cut_archive_is_corrupt(tmp_path):
    whole = archive({"name": "a", "data": b"1" * 2000}, {"name": "b", "data": b"2" * 2000})
    with pytest.raises(CorruptError):
        unpacked(whole[:3000], tmp_path)


def test_owner_of_everything(tmp_path):
    tree = opened(archive({"name": "f", "data": b"1", "uid": 7}), tmp_path)
    dest = DestTree(None)
    unpack(dest, tree, "/", (3, 4), Limits())
    dest.settle(0)
    out = io.BytesIO()
    dest.write(out)
    tree.close()
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert [(member.uid, member.gid) for member in tar] == [(3, 4)]
