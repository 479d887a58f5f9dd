# SPDX-License-Identifier: Apache-2.0
"""Writing tar: the same entries make the same bytes, and others can read them."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.tars import device, directory, fifo, file, link, symlink, tar
from scow.layer.tar import (
    BLOCKDEV,
    CHAR,
    DIRECTORY,
    FIFO,
    LINK,
    REGULAR,
    SERIALISER,
    SYMLINK,
    TarEntry,
    TarReader,
    TarWriter,
)

NAMES = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))


@st.composite
def entries(draw: st.DrawFn) -> tuple[TarEntry, bytes]:
    kind = draw(st.sampled_from([REGULAR, DIRECTORY, SYMLINK, LINK, CHAR, BLOCKDEV, FIFO]))
    data = draw(st.binary(max_size=1500)) if kind == REGULAR else b""
    device = kind in (CHAR, BLOCKDEV)
    sparse = None
    size = len(data)
    if data and draw(st.booleans()):
        cut = draw(st.integers(1, len(data)))
        sparse = tuple(part for part in ((100, cut), (100_000, len(data) - cut)) if part[1])
        size = draw(st.integers(200_000, 300_000))
    name = draw(NAMES)
    return TarEntry(
        name + b"/" if kind == DIRECTORY else name,
        kind,
        draw(st.integers(0, 0o7777)),
        draw(st.integers(0, 2**32 - 2)),
        draw(st.integers(0, 2**32 - 2)),
        size,
        draw(st.integers(-(10**19), 10**19)),
        draw(NAMES) if kind in (SYMLINK, LINK) else b"",
        draw(st.integers(0, 4095)) if device else 0,
        draw(st.integers(0, 2**20 - 1)) if device else 0,
        tuple(sorted(draw(st.dictionaries(st.sampled_from([b"user.a", b"user.b"]), st.binary(max_size=50))).items())),
        sparse=sparse,
    ), data


@given(st.lists(entries(), max_size=5))
def test_what_is_written_is_read(pieces: list[tuple[TarEntry, bytes]]) -> None:
    reader = TarReader(io.BytesIO(tar(*pieces)))
    found = [(entry._replace(offset=0, stored=0), b"".join(reader.chunks())) for entry in reader]
    reader.finish()
    assert found == pieces


EXAMPLE = (
    directory("d/", 0o1755, uid=5, gid=6, mtime_ns=1_700_000_000_999_999_999),
    file("d/f", b"data", xattrs=((b"user.x", b"\0\xff"),)),
    file("d/" + "long/" * 40 + "name", b"x" * 600),
    symlink("d/s", "t" * 150),
    link("d/h", "d/f"),
    device("d/c", 4, 64),
    fifo("d/p"),
    file(b"\xff\xfe", b"", uid=3_000_000_000, mtime_ns=-1),
)


def test_the_bytes_of_serialiser_1_never_change() -> None:
    out = io.BytesIO()
    writer = TarWriter(out)
    for entry, data in EXAMPLE:
        writer.add(entry, [data])
    writer.close()
    assert SERIALISER == 1
    assert hashlib.sha256(out.getvalue()).hexdigest() == GOLDEN
    assert (writer.size, writer.entries, writer.usage) == (len(out.getvalue()), len(EXAMPLE), 754)


GOLDEN = "59d5db8c8e02b966d0936432ff7d7a8e4606b130128f869f93795c65a67a5cd3"


def test_layers_hold_whole_seconds() -> None:
    out = io.BytesIO()
    writer = TarWriter(out)
    writer.add(TarEntry(b"a", mtime_ns=1_700_000_000_999_999_999))
    writer.add(TarEntry(b"b", mtime_ns=-1))
    writer.close()
    assert [entry.mtime_ns for entry in TarReader(io.BytesIO(out.getvalue()))] == [1_700_000_000 * 10**9, -(10**9)]
    assert out.getvalue().count(b"PaxHeaders") == 1


def test_nothing_of_the_host_is_written() -> None:
    data = tar(*EXAMPLE)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert {(info.uname, info.gname) for info in archive} == {("", "")}


def test_short_entries_need_no_pax() -> None:
    data = tar(directory("a" * 90), file("a" * 90 + "/" + "b" * 99, b""), symlink("s", "t" * 100))
    assert b"PaxHeaders" not in data
    assert len(data) == 512 * 3 + 1024


def test_the_tar_command_reads_it(tmp_path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(*(piece for piece in EXAMPLE if piece[0].name != b"\xff\xfe")))
    listing = subprocess.run(
        ["tar", "--numeric-owner", "--full-time", "-tvf", path], capture_output=True, check=True, env={"TZ": "UTC"}
    ).stdout.decode()
    lines = [line.split() for line in listing.splitlines()]
    assert [line[0] for line in lines] == [
        "drwxr-xr-t", "-rw-r--r--", "-rw-r--r--", "lrwxrwxrwx", "hrw-r--r--", "crw-------", "prw-------",
    ]  # fmt: skip
    assert lines[0][1:5] == ["5/6", "0", "2023-11-14", "22:13:20.999999999"]
    assert lines[2][-1] == "d/" + "long/" * 40 + "name"
    assert lines[4][-4:] == ["d/h", "link", "to", "d/f"]


def test_data_must_be_as_long_as_promised() -> None:
    writer = TarWriter(io.BytesIO())
    with pytest.raises(ValueError, match="2 bytes of data for an entry of 3"):
        writer.add(TarEntry(b"x", size=3), [b"ab"])
