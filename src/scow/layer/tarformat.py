# SPDX-License-Identifier: Apache-2.0
"""The tar format's own vocabulary: entry types, the fixed header, numbers, pax records, sparse maps.

Only values and pure functions; ``tar`` reads with them, ``tarwrite`` writes.
Source: POSIX.1-2018 pax; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".
"""

from __future__ import annotations

import struct
from zlib import adler32

from scow.errors import CorruptError
from scow.layer.names import show
from scow.typing import NamedTuple

BLOCK = 512
REGULAR, LINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
MAX_EXTENSION = 1 << 20
MAX_SEGMENTS = 1 << 20

# name mode uid gid size mtime chksum type linkname magic+version (uname gname) devmajor devminor prefix
HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")
_ADLER_MODULUS = 65521

Pairs = tuple[tuple[bytes, bytes], ...]
Segments = tuple[tuple[int, int], ...]


class TarEntry(NamedTuple):
    """One entry of a tar stream.

    Attributes:
        name: As in the archive, after pax and GNU long names are applied; not made safe (see ``names.clean``).
        type: ``REGULAR``, ``LINK``, ``SYMLINK``, ``CHAR``, ``BLOCKDEV``, ``DIRECTORY`` or ``FIFO``.
        mode: Permission bits, 12 of them.
        uid: Owner.
        gid: Group.
        size: Bytes of the file, holes included; 0 for everything that has no data.
        mtime_ns: Nanoseconds since the epoch.
        linkname: Target of a hard or symbolic link.
        major: Of a device.
        minor: Of a device.
        xattrs: (name, value) pairs, sorted.
        offset: Where the entry's data starts in the stream.
        stored: Bytes of data in the stream; differs from ``size`` for sparse files.
        sparse: (offset, length) of the parts that are not holes, ascending, or ``None`` when the file has none.
    """

    name: bytes
    type: bytes = REGULAR
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    linkname: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: Pairs = ()
    offset: int = 0
    stored: int = 0
    sparse: Segments | None = None

    @property
    def counted(self) -> int:
        """Bytes as docker counts the size of a layer: file data, and the text of symbolic links."""
        return self.stored + len(self.linkname) if self.type == SYMLINK else self.stored


def checksum_matches(header: bytes, stored: int) -> bool:
    """Whether a header's bytes add up, counted as unsigned or, as old writers did, as signed ones.

    The sum is taken from Adler-32, which holds it modulo a prime: 20 times faster than adding in Python, and a
    difference of exactly that prime is not something damage produces.
    """
    total = adler32(header[156:], adler32(b"        ", adler32(header[:148], 0))) & 0xFFFF
    if total == stored % _ADLER_MODULUS:
        return True
    signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 256
    return signed == stored


def number(field: bytes, where: int) -> int:
    """A numeric field: octal digits, or GNU's base-256.

    Args:
        field: The bytes.
        where: Offset of the header, for the message.

    Raises:
        CorruptError: Neither.
    """
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        if first & 0x40:
            return value - (1 << bits)
        return value & ((1 << (bits - 1)) - 1)
    digits = field.split(b"\0", 1)[0].strip()
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise CorruptError(f"the tar header at byte {where} has the invalid number {show(field)}") from None


def pax_records(body: bytes, where: int) -> list[tuple[bytes, bytes]]:
    """Split the body of a pax header into its records, in order.

    Raises:
        CorruptError: A record's length is wrong.
    """
    records = []
    position, end = 0, len(body)
    while position < end:
        space = body.find(b" ", position, position + 20)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            if not body[position:].strip(b"\0"):
                break
            raise CorruptError(f"the pax header at byte {where} is damaged")
        stop = position + int(digits)
        equals = body.find(b"=", space, stop)
        if stop > end or equals < 0 or body[stop - 1] != 0x0A:
            raise CorruptError(f"the pax header at byte {where} is damaged")
        records.append((body[space + 1 : equals], body[equals + 1 : stop - 1]))
        position = stop
    return records


def pax_integer(value: bytes, key: str, where: int) -> int:
    """A whole number from a pax record.

    Raises:
        CorruptError: It is none.
    """
    digits = value[1:] if value[:1] == b"-" else value
    if not digits.isdigit() or len(digits) > 20:
        raise CorruptError(f"the pax header at byte {where} has the invalid {key} {show(value)}")
    return int(value)


def pax_time(value: bytes, where: int) -> int:
    """Nanoseconds since the epoch from a pax time such as ``1700000000.25``.

    Raises:
        CorruptError: It is none.
    """
    negative = value[:1] == b"-"
    whole, _, fraction = (value[1:] if negative else value).partition(b".")
    if not whole.isdigit() or len(whole) > 18 or (fraction and not fraction.isdigit()):
        if value[-4:] in (b"e-05", b"e-06", b"e-07", b"e-08", b"e-09"):
            return int(float(value) * 1e9)  # as Python's tarfile writes small ones
        raise CorruptError(f"the pax header at byte {where} has the invalid time {show(value)}")
    nanoseconds = int(whole) * 1_000_000_000 + int((fraction + b"000000000")[:9])
    return -nanoseconds if negative else nanoseconds


def segments(numbers: list[int], size: int, where: int) -> Segments:
    """Check a sparse map and drop its empty parts.

    Args:
        numbers: Offset, length, offset, length, ...
        size: Bytes of the file.
        where: Offset of the header, for the message.

    Raises:
        CorruptError: Parts overlap, are out of order or reach beyond the file.
    """
    parts: list[tuple[int, int]] = []
    end = 0
    for index in range(0, len(numbers) - 1, 2):
        offset, length = numbers[index], numbers[index + 1]
        if offset < end or length < 0 or offset + length > size:
            raise CorruptError(f"the sparse map at byte {where} is damaged")
        end = offset + length
        if length:
            if parts and parts[-1][0] + parts[-1][1] == offset:
                parts[-1] = (parts[-1][0], parts[-1][1] + length)
            else:
                parts.append((offset, length))
    return tuple(parts)
