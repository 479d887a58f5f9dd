# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import tarfile

import pytest

from fakes.stores import tar_of
from scow.errors import CorruptError, LimitError
from scow.images import members
from scow.images.intake import Intake, Peeked
from scow.images.members import ArchiveError, DirectoryMembers, FileMembers, Section, StreamMembers, plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"a/b", "a/b"), (b"./a//b/", "a/b"), (b"/a", "a"), (b"a/../b", "b"), (b"../../etc/x", "etc/x"), (b"..", "")],
)
def test_plain_names(name, expected):
    assert plain(name) == expected


def test_peeked_gives_everything_once():
    peeked = Peeked(io.BytesIO(b"abcdef"), 4)
    assert peeked.head == b"abcd"
    assert peeked.read(2) == b"ab"
    assert peeked.read() == b"cdef"
    assert peeked.read() == b""
    assert Peeked(io.BytesIO(b"ab"), 10).head == b"ab"


def test_section_notices_a_file_that_got_shorter(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    section = Section(fd, 2, 20)
    assert section.read(3) == b"234"
    assert section.read() == b"56789"
    with pytest.raises(CorruptError):
        section.read(1)
    os.close(fd)


@pytest.fixture
def intake(store):
    with store.leases.hold("t") as lease:
        yield Intake(store.content, store.snapshots, lease)


def open_file(tmp_path, data, intake):
    path = tmp_path / "archive"
    path.write_bytes(data)
    return FileMembers(os.open(path, os.O_RDONLY), intake)


def test_links_are_followed_inside_only(tmp_path, intake):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("d/real")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"hi"))
        for name, kind, target in (
            ("d/soft", tarfile.SYMTYPE, "real"),
            ("up", tarfile.SYMTYPE, "../../../d/real"),
            ("hard", tarfile.LNKTYPE, "d/real"),
            ("abs", tarfile.SYMTYPE, "/d/soft"),
            ("outside", tarfile.SYMTYPE, "/etc/passwd"),
            ("loop", tarfile.SYMTYPE, "loop"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    for found in (open_file(tmp_path, out.getvalue(), intake), StreamMembers(io.BytesIO(out.getvalue()), intake)):
        for name in ("d/real", "d/soft", "up", "hard", "abs"):
            assert name in found
            assert found.read(name) == b"hi"
        for name in ("outside", "loop", "none"):
            assert name not in found
            with pytest.raises(ArchiveError):
                found.read(name)
            with pytest.raises(ArchiveError):
                found.layer(name, digest=None, diff_id=None)
        assert "d/real" in found.names()


def test_directories_do_not_lead_outside(tmp_path, intake):
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "secret").write_bytes(b"{}")
    (top / "real").write_bytes(b"{}")
    (top / "inside").symlink_to("real")
    (top / "outside").symlink_to("../secret")
    os.mkfifo(top / "fifo")
    found = DirectoryMembers(str(top), intake)
    assert found.read("real") == found.read("inside") == b"{}"
    for name in ("outside", "../secret", "none"):
        with pytest.raises(ArchiveError):
            found.read(name)
    assert "fifo" not in found
    assert "outside" not in found
    assert found.names() == ["fifo", "inside", "outside", "real"]


def test_documents_are_bounded(tmp_path, intake, monkeypatch):
    monkeypatch.setattr(members, "MAX_DOCUMENT", 100)
    data = tar_of({"big.json": b"{" + b" " * 200, "small.json": b"{}"})
    found = open_file(tmp_path, data, intake)
    assert found.read("small.json") == b"{}"
    with pytest.raises(LimitError, match=r"'big.json' is larger than the limit of 100 bytes"):
        found.read("big.json")
    with pytest.raises(LimitError):
        StreamMembers(io.BytesIO(data), intake).read("big.json")


def test_entries_are_counted(tmp_path, intake, monkeypatch):
    monkeypatch.setattr(members, "MAX_ENTRIES", 3)
    data = tar_of({str(number): b"" for number in range(4)})
    with pytest.raises(LimitError, match="more than 3 entries"):
        open_file(tmp_path, data, intake)
    with pytest.raises(LimitError, match="more than 3 entries"):
        StreamMembers(io.BytesIO(data), intake)


def test_big_files_nobody_names_do_not_fail_the_stream(intake):
    junk = b"\xff" + os.urandom(2 << 20)  # neither a document nor anything compressed
    found = StreamMembers(io.BytesIO(tar_of({"junk": junk, "doc.json": b"{}"})), intake)
    assert found.read("doc.json") == b"{}"
    assert "junk" in found
    with pytest.raises(CorruptError):
        found.layer("junk", digest=None, diff_id=None)
    with pytest.raises(CorruptError):
        found.read("junk")
