# SPDX-License-Identifier: Apache-2.0
"""Reading tar: every dialect, and every way of being broken."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.tars import directory, file, tar
from scow.errors import CorruptError, ScowError
from scow.layer.tar import DIRECTORY, LINK, REGULAR, TarReader, read_entries

if TYPE_CHECKING:
    from scow.layer.tar import TarEntry


def read(data: bytes) -> list[tuple[TarEntry, bytes]]:
    reader = read_entries(io.BytesIO(data))
    found = [(entry, b"".join(reader.chunks())) for entry in reader]
    reader.finish()
    return found


def header(name: bytes, size: int = 0, kind: bytes = b"0", *, magic: bytes = b"ustar\x0000", **fields: bytes) -> bytes:
    """A header by hand; fields are put at their offsets as they are."""
    offsets = {
        "mode": 100,
        "uid": 108,
        "gid": 116,
        "number": 124,
        "mtime": 136,
        "linkname": 157,
        "prefix": 345,
        "tail": 386,
    }
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"0000644\x000000001\x000000002\x00"
    block[124:148] = b"%011o\0%011o\0" % (size, 1_000_000)
    block[156:157] = kind
    block[257 : 257 + len(magic)] = magic
    for field, value in fields.items():
        start = offsets[field]
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_python_archives_are_read(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, linkname, data in (
            ("d", tarfile.DIRTYPE, "", b""),
            ("d/" + "p" * 90 + "/" + "n" * 90, tarfile.REGTYPE, "", b"hello"),
            ("d/l", tarfile.SYMTYPE, "../x" * 20, b""),
            ("d/h", tarfile.LNKTYPE, "d/f", b""),
            ("d/dev", tarfile.CHRTYPE, "", b""),
            ("d/pipe", tarfile.FIFOTYPE, "", b""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mtime, info.uid = kind, linkname, len(data), 1234567890, 1000
            info.mode, info.devmajor, info.devminor = 0o4711, 5, 1
            archive.addfile(info, io.BytesIO(data))
    found = read(out.getvalue())
    assert [entry.name for entry, _ in found] == [
        b"d/",
        b"d/" + b"p" * 90 + b"/" + b"n" * 90,
        b"d/l",
        b"d/h",
        b"d/dev",
        b"d/pipe",
    ]
    assert found[1][1] == b"hello"
    assert found[2][0].linkname == b"../x" * 20
    assert found[3][0].type == LINK
    assert (found[4][0].major, found[4][0].minor) == (5, 1)
    assert {entry.mtime_ns for entry, _ in found} == {1234567890 * 10**9}
    assert {(entry.uid, entry.mode) for entry, _ in found} == {(1000, 0o4711)}


def test_v7_has_no_magic_and_marks_directories_by_a_slash() -> None:
    data = header(b"dir/", kind=b"\0", magic=b"") + header(b"file", 3, b"\0", magic=b"") + padded(b"abc") + END
    (one, _), (two, content) = read(data)
    assert (one.type, one.name) == (DIRECTORY, b"dir/")
    assert (two.type, two.uid, two.gid, two.mtime_ns, content) == (REGULAR, 1, 2, 10**15, b"abc")


def test_a_directory_by_its_slash_may_have_data_which_is_skipped() -> None:
    found = read(header(b"dir/", 3, b"0") + padded(b"abc") + header(b"next") + END)
    assert [(entry.name, entry.type) for entry, _ in found] == [(b"dir/", DIRECTORY), (b"next", REGULAR)]


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_entries_without_data_ignore_their_size(kind: bytes) -> None:
    found = read(header(b"x", 5, kind, linkname=b"y") + header(b"next") + END)
    assert [entry.name for entry, _ in found] == [b"x", b"next"]
    assert found[0][0].size == 0


@pytest.mark.parametrize("kind", [b"7", b"Z", b"\0"])
def test_other_types_are_regular_files(kind: bytes) -> None:
    ((entry, data),) = read(header(b"x", 3, kind) + padded(b"abc") + END)
    assert (entry.type, data) == (REGULAR, b"abc")


def test_prefixes_of_ustar_and_star_but_not_of_gnu() -> None:
    ustar = header(b"name", prefix=b"a/b")
    star = header(b"name", prefix=b"a" * 131 + b"00000000000\0" * 2 + b"\0" * 8 + b"tar\0")
    gnu = header(b"name", magic=b"ustar  \0", prefix=b"14631000000\0")
    assert [entry.name for entry, _ in read(ustar + star + gnu + END)] == [b"a/b/name", b"a" * 131 + b"/name", b"name"]


def test_base_256_numbers() -> None:
    big = header(
        b"x",
        uid=b"\x80" + (3_000_000_000).to_bytes(7, "big"),
        mtime=b"\xff" * 11 + b"\xfe",
        number=b"\x80" + (0).to_bytes(11, "big"),
    )
    ((entry, _),) = read(big + END)
    assert (entry.uid, entry.mtime_ns, entry.size) == (3_000_000_000, -2 * 10**9, 0)


def test_numbers_with_spaces_and_empty_numbers() -> None:
    ((entry, _),) = read(header(b"x", uid=b"   12 \0\0", gid=b"\0" * 8) + END)
    assert (entry.uid, entry.gid) == (0o12, 0)


def test_signed_checksums_of_old_writers() -> None:
    block = bytearray(header(b"\xff\xfe"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)
    assert read(bytes(block) + END)[0][0].name == b"\xff\xfe"


def test_gnu_long_names_and_links() -> None:
    data = (
        header(b"././@LongLink", 301, b"L")
        + padded(b"n" * 300 + b"\0")
        + header(b"././@LongLink", 401, b"K")
        + padded(b"t" * 400 + b"\0")
        + header(b"n" * 100, kind=b"2", linkname=b"t" * 100)
        + header(b"after")
        + END
    )
    (one, _), (two, _) = read(data)
    assert (one.name, one.linkname) == (b"n" * 300, b"t" * 400)
    assert (two.name, two.linkname) == (b"after", b"")


def record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def extended(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    body = b"".join(record(key, value) for key, value in records)
    return header(b"pax", len(body), kind) + padded(body)


def test_pax_records_describe_the_next_entry_only() -> None:
    data = (
        extended(
            (b"path", "naïve/\N{SNOWMAN}".encode()),
            (b"linkpath", b"to"),
            (b"uid", b"4294967290"),
            (b"mtime", b"-1.25"),
            (b"size", b"3"),
            (b"SCHILY.xattr.user.a", b"1=\n\0"),
            (b"LIBARCHIVE.xattr.user.b%20c", b"aGk"),
            (b"LIBARCHIVE.xattr.user.a", b"aGk"),
            (b"RHT.security.selinux", b"x"),
            (b"comment", b"x"),
        )
        + header(b"short", 0)
        + padded(b"abc")
        + header(b"after")
        + END
    )
    (one, content), (two, _) = read(data)
    assert (one.name, one.uid, one.mtime_ns) == ("naïve/\N{SNOWMAN}".encode(), 4294967290, -1_250_000_000)
    assert (one.size, content) == (3, b"abc")
    assert one.xattrs == ((b"user.a", b"1=\n\0"), (b"user.b c", b"hi"))
    assert (two.name, two.xattrs, two.uid) == (b"after", (), 1)


def test_global_pax_records_last_and_can_be_taken_back() -> None:
    data = (
        extended((b"uid", b"77"), (b"mtime", b"5"), kind=b"g")
        + header(b"a")
        + extended((b"uid", b"78"))
        + header(b"b")
        + header(b"c")
        + extended((b"uid", b""), kind=b"g")
        + header(b"d")
        + END
    )
    assert [(entry.uid, entry.mtime_ns) for entry, _ in read(data)] == [
        (77, 5 * 10**9),
        (78, 5 * 10**9),
        (77, 5 * 10**9),
        (1, 5 * 10**9),
    ]


def test_old_gnu_sparse_with_a_continued_map() -> None:
    parts = [(index * 8192, 512) for index in range(6)]
    numbers = b"".join(b"%011o\0%011o\0" % part for part in parts[:4])
    more = b"".join(b"%011o\0%011o\0" % part for part in parts[4:]).ljust(504, b"\0") + bytes(8)
    real = 6 * 8192
    head = header(b"s", 6 * 512, b"S", magic=b"ustar  \0", tail=numbers + b"\1" + b"%011o\0" % real)
    data = head + more + b"".join(bytes([index + 1]) * 512 for index in range(6)) + header(b"after") + END
    (entry, content), (after, _) = read(data)
    assert (entry.size, entry.stored, entry.sparse) == (real, 3072, tuple(parts))
    assert content == b"".join(bytes([index + 1]) * 512 for index in range(6))
    assert entry.offset == 1024
    assert after.name == b"after"


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_pax_sparse(version: str) -> None:
    parts, size, content = [(4096, 3), (10_000, 2)], 20_000, b"abcde"
    flat = [number for part in parts for number in part]
    records = [(b"GNU.sparse.realsize" if version == "1.0" else b"GNU.sparse.size", b"%d" % size)]
    before = b""
    if version == "0.0":
        for offset, length in parts:
            records += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % length)]
    elif version == "0.1":
        records += [(b"GNU.sparse.map", b",".join(b"%d" % n for n in flat)), (b"GNU.sparse.name", b"real")]
    else:
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"real")]
        before = padded(b"2\n" + b"".join(b"%d\n" % n for n in flat))
    data = extended(*records) + header(b"GNUSparseFile.0/x", len(before + content)) + padded(before + content) + END
    ((entry, stored),) = read(data)
    assert (entry.size, entry.sparse, stored) == (size, tuple(parts), content)
    assert entry.name == (b"GNUSparseFile.0/x" if version == "0.0" else b"real")


def test_a_map_without_holes_is_no_sparse_file() -> None:
    data = extended((b"GNU.sparse.size", b"3"), (b"GNU.sparse.map", b"0,3")) + header(b"x", 3) + padded(b"abc") + END
    assert read(data)[0][0].sparse is None


@pytest.mark.parametrize(
    ("numbers", "size"),
    [(b"0,3,2,3", 100), (b"0,3,3", 100), (b"99,3", 100), (b"0,4", 100), (b"0,2", 100), (b"-1,3", 100), (b"x", 100)],
)
def test_impossible_sparse_maps_are_refused(numbers: bytes, size: int) -> None:
    records = extended((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", numbers))
    with pytest.raises(CorruptError):
        read(records + header(b"x", 3) + padded(b"abc") + END)


@pytest.mark.parametrize("text", [b"9999999999\n", b"x\n", b"1\n0\n", b"1" * 600, b"1\n" + b"1" * 600, b"-1\n"])
def test_impossible_maps_before_the_data_are_refused(text: bytes) -> None:
    records = extended((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"100"))
    body = padded(text)
    with pytest.raises(CorruptError):
        read(records + header(b"x", len(body)) + body + END)


@pytest.mark.parametrize(
    "body",
    [b"0 a=b\n", b"5 a=b\n", b"999 a=b\n", b"a=b\n", b"6 abc\n", b"6 a=bc", b" 6 a=b\n", b"6 a=b\n3", b"\xb2 a=b\n"],
)
def test_damaged_pax_headers_are_refused(body: bytes) -> None:
    with pytest.raises(CorruptError):
        read(header(b"pax", len(body), b"x") + padded(body) + header(b"x") + END)


def test_what_is_no_tar_at_all_is_called_that() -> None:
    text = b"root:x:0:0:root:/root:/bin/bash\n" * 100
    with pytest.raises(CorruptError, match="not a tar archive"):
        read(text)
    with pytest.raises(CorruptError, match="no valid tar header at byte 512"):
        read(header(b"a") + text)


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"size", b"-1"), (b"size", b"x"), (b"uid", b"1.5"), (b"mtime", b"now"), (b"mtime", b"1.x"), (b"path", b"a\0b")],
)
def test_values_that_make_no_sense_are_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(CorruptError):
        read(extended((key, value)) + header(b"x") + END)


def test_extension_headers_are_bounded() -> None:
    with pytest.raises(CorruptError, match="larger than"):
        read(header(b"pax", 1 << 21, b"x") + bytes(1 << 21) + END)
    several = b"".join(header(b"././@LongLink", 1 << 20, b"L") + b"n" * (1 << 20) for _ in range(5))
    with pytest.raises(CorruptError, match="larger than"):
        read(several + header(b"x") + END)
    endless = b"".join(extended((b"k%d" % n, b"v" * 1_000_000), kind=b"g") for n in range(3))
    with pytest.raises(CorruptError, match="global"):
        read(endless + header(b"x") + END)


def test_an_extension_header_needs_its_entry() -> None:
    with pytest.raises(CorruptError, match="should follow"):
        read(extended((b"path", b"x")) + END)


def test_volumes_that_continue_are_refused_and_labels_skipped() -> None:
    assert [entry.name for entry, _ in read(header(b"label", kind=b"V") + header(b"x") + END)] == [b"x"]
    with pytest.raises(CorruptError, match="volume"):
        read(header(b"part", kind=b"M") + END)


def test_an_archive_may_end_with_zeros_or_with_the_stream() -> None:
    assert read(b"") == []
    assert read(bytes(512)) == []
    assert read(bytes(10240)) == []
    assert len(read(header(b"x"))) == 1
    assert len(read(header(b"x") + bytes(512))) == 1


@pytest.mark.parametrize("zeros", [512, 1024, 300_000])
def test_something_after_the_end_is_refused(zeros: int) -> None:
    with pytest.raises(CorruptError, match="follows the end"):
        read(header(b"x") + bytes(zeros) + header(b"hidden") + END)


@pytest.mark.parametrize("data", [b"x", b"hello " * 200, os.urandom(2048), b"\x1f\x8b\x08" + bytes(600)])
def test_other_files_are_not_tar(data: bytes) -> None:
    with pytest.raises(CorruptError):
        read(data)


WHOLE = tar(directory("d"), file("d/a", b"a" * 1000), file("d/" + "n" * 120, b"b" * 513), file("e", os.urandom(5000)))


@given(st.integers(1, len(WHOLE) - 1025))
def test_truncated_archives_are_refused(length: int) -> None:
    entries = [(entry.name, data) for entry, data in read(WHOLE)]
    try:
        found = [(entry.name, data) for entry, data in read(WHOLE[:length])]
    except CorruptError:
        return
    # Cut between two entries, an archive without its end is a whole one: tar has no count of entries.
    assert found == entries[: len(found)]
    assert length % 512 == 0


@given(st.integers(0, len(WHOLE) * 8 - 1))
def test_a_flipped_bit_is_noticed_or_harmless(bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found = read(bytes(damaged))
    except CorruptError:
        return
    assert len(found) <= 4  # the checksum covers headers only: data is the business of the DiffID


@given(st.binary(max_size=4000), st.integers(0, 10))
def test_garbage_never_escapes_as_another_error(garbage: bytes, blocks: int) -> None:
    data = WHOLE[: blocks * 512] + garbage
    try:
        read(data)
    except ScowError:
        pass


class Dribble(io.RawIOBase):
    """Gives a few bytes at a time, as sockets do."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.step = io.BytesIO(data), step

    def read(self, size: int = -1, /) -> bytes:
        return self.data.read(min(size, self.step) if size >= 0 else self.step)


@pytest.mark.parametrize("step", [1, 511, 512, 700])
def test_short_reads_change_nothing(step: int) -> None:
    reader = TarReader(Dribble(WHOLE, step))
    found = [(entry, b"".join(reader.chunks())) for entry in reader]
    reader.finish()
    assert found == read(WHOLE)


def test_seeking_reads_headers_only(tmp_path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(file("a", b"x" * 3_000_000), file("b", b"y" * 10), file("c", b"z" * 1_000_000)))
    with open(path, "rb", buffering=0) as stream:
        entries = list(TarReader(stream, seek=True))
    assert entries == [entry for entry, _ in read(path.read_bytes())]
    path.write_bytes(path.read_bytes()[:3_500_000])
    with open(path, "rb", buffering=0) as stream, pytest.raises(CorruptError, match="cut off"):
        list(TarReader(stream, seek=True))


def test_data_offsets_point_at_the_data() -> None:
    for entry, data in read(WHOLE):
        assert WHOLE[entry.offset : entry.offset + entry.stored] == data


def test_the_size_of_a_struct_is_the_format() -> None:
    from scow.layer.tarformat import HEADER

    assert HEADER.size == 512 == struct.calcsize("512s")
