# SPDX-License-Identifier: Apache-2.0
"""A layer's table of contents: what its tar says, in the form an index is made from, kept beside it.

Making an index of many layers again and again then reads tables, not tars. On disk, all little-endian:

    magic "scowtoc1"
    pages: u32 length, u32 records, then the records
    footer: u32 0, then DIFF ID (32 bytes), tar size, entries, usage, markers (u64 each), magic "scowtoc1"

A record is kind (u8), name length (u16), body length (u32), name, body. The body of a hard link is its target, of a
sparse file its inode's length (u32), the inode, and its parts as (offset, length, place in the tar) u64; of markers
nothing; of everything else what ``erofsformat.describe`` answers, for device 1. Records are in the tar's order and
names are clean.
"""

from __future__ import annotations

import struct

from scow.base.streams import HashingReader, TeeReader
from scow.errors import CorruptError, LimitError
from scow.layer.admit import admit
from scow.layer.changeset import Applied, LayerError, Limits, too_large, too_many
from scow.layer.erofsformat import BLOCK, FILE_TYPES, MAX_BLOCKS, describe, xattr_area
from scow.layer.names import clean, show
from scow.layer.tar import TarReader
from scow.layer.tarformat import CHAR, DIRECTORY, LINK
from scow.layer.whiteout import PREFIX, accepted, hidden_name, is_marker
from scow.oci.digest import DiffID, Digest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from scow.layer.changeset import Readable, Writable
    from scow.layer.tarformat import TarEntry

_MAGIC = b"scowtoc1"
_RECORD = struct.Struct("<BHI")
_PAGE = struct.Struct("<II")
_FOOTER = struct.Struct("<I32sQQQQ8s")
_PART = struct.Struct("<QQQ")
_PAGE_SIZE = 64 * 1024

KIND_WHITEOUT, KIND_OPAQUE, KIND_LINK, KIND_SPARSE = 64, 65, 66, 67
"""Kinds of record besides the file types of EROFS."""


class Table(NamedTuple):
    """What a table's footer says.

    Attributes:
        diff_id: The layer.
        size: Bytes of its tar.
        entries: How many entries the tar has.
        usage: Bytes of file data.
        markers: How many of the records are whiteouts or opaque markers.
    """

    diff_id: DiffID
    size: int
    entries: int
    usage: int
    markers: int


def scan(stream: Readable, table: Writable, *, copy: Writable | None = None, limits: Limits | None = None) -> Applied:
    """Read a layer once: hash it, write its table, and keep its bytes if wanted.

    Args:
        stream: Uncompressed tar; read to its end, not closed.
        table: Takes the table.
        copy: Takes all the bytes of the stream.
        limits: Bounds; the defaults when ``None``.

    Raises:
        CorruptError: The stream is damaged.
        LayerError: An entry cannot be, such as one that climbs out.
        LimitError: More bytes or entries than allowed.
    """
    bounds = limits or Limits()
    hashed = HashingReader(stream if copy is None else TeeReader(stream, copy))
    writer = _TableWriter(table)
    reader = TarReader(hashed)
    entries = usage = 0
    for entry in reader:
        entries += 1
        if entries > bounds.max_entries:
            raise too_many(bounds.max_entries)
        if hashed.size > bounds.max_size:
            raise too_large(bounds.max_size)
        usage += entry.counted
        writer.add(entry)
    reader.finish()
    applied = Applied(DiffID(hashed.digest), hashed.size, entries, usage)
    writer.close(applied)
    return applied


def scan_file(file: BinaryIO, diff_id: DiffID, table: Writable, *, limits: Limits | None = None) -> Applied:
    """Write the table of a layer that lies in a file and whose digest is known to be right; only headers are read.

    Args:
        file: Opened unbuffered or at its start.
        diff_id: Its digest; not checked.
        table: Takes the table.
        limits: Bounds; the defaults when ``None``.

    Raises:
        ScowError: As :func:`scan`.
    """
    bounds = limits or Limits()
    size = file.seek(0, 2)
    if size > bounds.max_size:
        raise too_large(bounds.max_size)
    file.seek(0)
    writer = _TableWriter(table)
    entries = usage = 0
    for entry in TarReader(file, seek=True):
        entries += 1
        if entries > bounds.max_entries:
            raise too_many(bounds.max_entries)
        usage += entry.counted
        writer.add(entry)
    applied = Applied(diff_id, size, entries, usage)
    writer.close(applied)
    return applied


class _TableWriter:
    """Writes records, a page at a time."""

    def __init__(self, out: Writable) -> None:
        self._out = out
        self._parts: list[bytes] = []
        self._length = 0
        self._records = 0
        self._markers = 0
        out.write(_MAGIC)

    def add(self, entry: TarEntry) -> None:
        """Write what an entry says.

        Raises:
            LayerError: It cannot be.
        """
        admit(entry)
        name = clean(entry.name)
        kind = entry.type
        if not name and kind != DIRECTORY:
            raise LayerError(f"the entry {show(entry.name)} would replace the root directory")
        if PREFIX in name and is_marker(name):
            self._mark(name)
            return
        if kind == LINK:
            self._put(KIND_LINK, name, clean(entry.linkname))
            return
        if kind == CHAR and entry.major == 0 and entry.minor == 0:
            self._markers += 1
            self._put(KIND_WHITEOUT, name, b"")
            return
        area = xattr_area(accepted(entry.xattrs)) if entry.xattrs else b""
        if entry.sparse is not None:
            self._put(KIND_SPARSE, name, _sparse_body(entry, area))
            return
        if kind == b"0" and entry.offset // BLOCK >= MAX_BLOCKS:
            raise LimitError(f"the entry {show(entry.name)} lies beyond 2 TiB of its layer")
        self._put(FILE_TYPES[kind], name, describe(entry, area))

    def close(self, applied: Applied) -> None:
        """Write the rest and the footer."""
        self._flush()
        digest = bytes.fromhex(applied.diff_id.encoded)
        self._out.write(_FOOTER.pack(0, digest, applied.size, applied.entries, applied.usage, self._markers, _MAGIC))

    def _mark(self, name: bytes) -> None:
        hidden = hidden_name(name)
        if hidden is None:
            return
        self._markers += 1
        if hidden[-1:] == b"/":
            self._put(KIND_OPAQUE, hidden[:-1], b"")
        else:
            self._put(KIND_WHITEOUT, hidden, b"")

    def _put(self, kind: int, name: bytes, body: bytes) -> None:
        record = _RECORD.pack(kind, len(name), len(body)) + name + body
        self._parts.append(record)
        self._length += len(record)
        self._records += 1
        if self._length >= _PAGE_SIZE:
            self._flush()

    def _flush(self) -> None:
        if self._records:
            self._out.write(_PAGE.pack(self._length, self._records) + b"".join(self._parts))
        self._parts.clear()
        self._length = self._records = 0


def _sparse_body(entry: TarEntry, area: bytes) -> bytes:
    inode = describe(entry._replace(sparse=None, size=0), area)
    # The size is put back where the inode has it; without one, no chunk was made.
    inode = inode[:8] + entry.size.to_bytes(8, "little") + inode[16:]
    parts = [struct.pack("<I", len(inode)), inode]
    place = entry.offset
    for offset, length in entry.sparse or ():
        parts.append(_PART.pack(offset, length, place))
        place += length
    return b"".join(parts)


def sparse_parts(body: bytes) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Take apart the body of a sparse file's record.

    Returns:
        The inode with its attributes, and the parts as (offset, length, place in the tar).
    """
    length = int.from_bytes(body[:4], "little")
    parts: list[tuple[int, int, int]] = [(a, b, c) for a, b, c in _PART.iter_unpack(body[4 + length :])]
    return body[4 : 4 + length], parts


def read_footer(file: BinaryIO) -> Table:
    """What a table is about.

    Args:
        file: The table; afterwards it stands at its start.

    Raises:
        CorruptError: It is no whole table.
    """
    try:
        file.seek(-_FOOTER.size, 2)
        zero, digest, size, entries, usage, markers, magic = _FOOTER.unpack(file.read(_FOOTER.size))
        file.seek(0)
    except (OSError, struct.error):
        zero, magic = 1, b""
        digest, size, entries, usage, markers = b"", 0, 0, 0, 0
    if zero or magic != _MAGIC:
        raise CorruptError("a layer's table of contents is cut off", hint="Run 'scow system fsck --repair'.")
    return Table(DiffID(Digest("sha256:" + digest.hex())), size, entries, usage, markers)


def read_records(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """Walk a table.

    Args:
        file: The table, at its start.

    Yields:
        Kind, name and body of each record, in the tar's order.

    Raises:
        CorruptError: It is damaged.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise CorruptError("this is not a layer's table of contents", hint="Run 'scow system fsck --repair'.")
    unpack = _RECORD.unpack_from
    head = _RECORD.size
    while True:
        length, records = _PAGE.unpack(file.read(_PAGE.size))
        if not length:
            return
        page = file.read(length)
        position = 0
        for _ in range(records):
            kind, name_length, body_length = unpack(page, position)
            middle = position + head + name_length
            yield kind, page[position + head : middle], page[middle : middle + body_length]
            position = middle + body_length
        if position != len(page):
            raise CorruptError("a layer's table of contents is damaged", hint="Run 'scow system fsck --repair'.")
