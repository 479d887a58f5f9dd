# SPDX-License-Identifier: Apache-2.0
"""Writing tar streams that depend on nothing but the entries given: the same entries make the same bytes everywhere.

Rules of serialiser 1: ustar headers, user and group names empty; a pax header precedes an entry only when ustar
cannot say it (long names, large or negative numbers, parts of a second, extended attributes, holes), with its records
sorted and a fixed name of its own; numbers are octal, zero-padded, ended by a zero byte; two zero blocks end it all.
Source: POSIX.1-2018, pax, "ustar Interchange Format" and "pax Header Block".
"""

from __future__ import annotations

from zlib import adler32

from scow.layer.tarformat import BLOCK, DIRECTORY, HEADER, REGULAR, SYMLINK
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.layer.changeset import Writable
    from scow.layer.tarformat import Segments, TarEntry

SERIALISER = 1
"""Version of the rules above; part of every cache key that stands for bytes written by them."""

_EXTENDED = b"x"
_SECOND = 1_000_000_000
_MAX_OCTAL_7 = 0o7777777
_MAX_OCTAL_11 = 0o77777777777
_BUFFER = 64 * 1024


class TarWriter:
    """Writes entries one after the other.

    Args:
        out: Where to; its ``write`` takes everything it is given. Not closed.
        subsecond: Keep the parts of a second of times. Layers do not, as Docker's do not.
    """

    def __init__(self, out: Writable, *, subsecond: bool = False) -> None:
        self._write = out.write
        self._subsecond = subsecond
        self._pending: list[bytes] = []
        self._waiting = 0
        self.size = 0
        """Bytes written so far."""
        self.entries = 0
        """Entries written so far."""
        self.placed = 0
        """Where the data of the last entry begins, as ``TarEntry.offset``."""
        self.usage = 0
        """Bytes written so far as ``TarEntry.counted`` counts them."""

    def add(self, entry: TarEntry, data: Iterable[bytes | memoryview] = ()) -> None:
        """Write an entry.

        Args:
            entry: Its ``offset`` and ``stored`` are ignored; directories get the slash at their end here.
            data: The stored bytes of a regular file: all of them, or those of the ``sparse`` parts.

        Raises:
            ValueError: ``data`` is not as long as the entry says.
        """
        head, stored = _headers(entry, subsecond=self._subsecond)
        self._put(head)
        self.placed = self.size + self._waiting
        self.entries += 1
        if entry.type != REGULAR:
            self.usage += len(entry.linkname) if entry.type == SYMLINK else 0
            return
        done = 0
        for piece in data:
            done += len(piece)
            if len(piece) < _BUFFER:
                self._put(bytes(piece))
            else:
                self._flush()
                self._write(piece)
                self.size += len(piece)
        if done != stored:
            raise ValueError(f"{done} bytes of data for an entry of {stored}")
        self.usage += done
        if done % BLOCK:
            self._put(bytes(-done % BLOCK))

    def close(self) -> None:
        """End the archive; the sink stays open."""
        self._put(bytes(2 * BLOCK))
        self._flush()

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._waiting = 0
            self._write(data)
            self.size += len(data)


def _headers(entry: TarEntry, *, subsecond: bool) -> tuple[bytes, int]:
    """The header blocks of an entry, and how many bytes of data must follow them."""
    name, kind, mode, uid, gid, size, mtime_ns, linkname, major, minor, xattrs, _, _, sparse = entry
    records: dict[bytes, bytes] = {}
    if kind == DIRECTORY and name[-1:] != b"/":
        name += b"/"
    holes = b""
    stored = size if kind == REGULAR else 0
    if sparse is not None and kind == REGULAR:
        stored = sum(length for _, length in sparse)
        holes = _sparse_map(sparse, size)
        records[b"GNU.sparse.major"] = b"1"
        records[b"GNU.sparse.minor"] = b"0"
        records[b"GNU.sparse.name"] = name
        records[b"GNU.sparse.realsize"] = b"%d" % size
    prefix, short = _split(name)
    if len(name) > 100 and not prefix:
        records[b"path"] = name
    if len(linkname) > 100:
        records[b"linkpath"] = linkname
    seconds, fraction = divmod(mtime_ns, _SECOND)
    if (subsecond and fraction) or not 0 <= seconds <= _MAX_OCTAL_11:
        records[b"mtime"] = _decimal(mtime_ns if subsecond else seconds * _SECOND)
        seconds = min(max(seconds, 0), _MAX_OCTAL_11)
    for key, count, limit in (
        (b"uid", uid, _MAX_OCTAL_7),
        (b"gid", gid, _MAX_OCTAL_7),
        (b"size", stored + len(holes), _MAX_OCTAL_11),
    ):
        if count > limit:
            records[key] = b"%d" % count
    for attribute, value in xattrs:
        records[b"SCHILY.xattr." + attribute] = value
    if records and not _is_utf8(name, linkname):
        # Source: POSIX pax, hdrcharset: values are UTF-8 unless this says otherwise.
        records[b"hdrcharset"] = b"BINARY"
    fields = (
        short if not records.get(b"path") else name[:100],
        b"%07o\0" % (mode & 0o7777),
        b"%07o\0" % (uid if uid <= _MAX_OCTAL_7 else 0),
        b"%07o\0" % (gid if gid <= _MAX_OCTAL_7 else 0),
        b"%011o\0" % (stored + len(holes) if b"size" not in records else 0),
        b"%011o\0" % seconds,
        b"        ",
        kind,
        linkname[:100],
        b"ustar\x0000",
        b"%07o\0" % major,
        b"%07o\0" % minor,
        prefix,
    )
    head = _sealed(HEADER.pack(*fields))
    if records:
        head = _extended(records, name) + head
    return head + holes, stored


def _sealed(header: bytes) -> bytes:
    """A header with its checksum filled in."""
    # Adler-32 holds the sum modulo 65521, which 512 bytes below 128 cannot reach.
    total = adler32(header, 0) & 0xFFFF if header.isascii() else sum(header)
    return header[:148] + b"%06o\0 " % total + header[156:]


def _extended(records: dict[bytes, bytes], name: bytes) -> bytes:
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    base = name.rstrip(b"/").rpartition(b"/")[2]
    size = b"%011o\0" % len(body)
    zero = b"%07o\0" % 0
    header = HEADER.pack(
        (b"PaxHeaders.0/" + base)[:100],
        b"%07o\0" % 0o644,
        zero,
        zero,
        size,
        b"%011o\0" % 0,
        b"        ",
        _EXTENDED,
        b"",
        b"ustar\x0000",
        zero,
        zero,
        b"",
    )
    return _sealed(header) + body + bytes(-len(body) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE``, the length counting its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Prefix and name as ustar keeps them; an empty prefix with a cut name when they do not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    if cut > 0 and len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :]
    return b"", name[:100]


def _sparse_map(sparse: Segments, size: int) -> bytes:
    """GNU's pax format 1.0: counts and offsets as lines before the data, padded to a block.

    Source: GNU tar manual, "Storing Sparse Files", PAX 1.
    """
    parts = list(sparse)
    if not parts or parts[-1][0] + parts[-1][1] < size:
        parts.append((size, 0))
    text = b"%d\n" % len(parts) + b"".join(b"%d\n%d\n" % part for part in parts)
    return text + bytes(-len(text) % BLOCK)


def _decimal(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    seconds, fraction = divmod(abs(nanoseconds), _SECOND)
    if not fraction:
        return b"%s%d" % (sign, seconds)
    return (b"%s%d.%09d" % (sign, seconds, fraction)).rstrip(b"0")


def _is_utf8(*names: bytes) -> bool:
    try:
        for name in names:
            name.decode()
    except UnicodeDecodeError:
        return False
    return True
