# SPDX-License-Identifier: Apache-2.0
"""Reading tar streams of every dialect: v7, ustar, GNU, pax, star; one pass, bounded memory.

Promises: names, owners, times and extended attributes come out as GNU tar and Go's archive/tar understand them;
whatever is cut off or damaged raises ``CorruptError`` from the iteration that meets it; extension headers and sparse
maps are bounded. After the last entry :meth:`TarReader.finish` has read the stream to its end, so that a hash over the
stream is the DiffID. Writing is in ``tarwrite``.
"""

from __future__ import annotations

import os

from scow.errors import CorruptError
from scow.layer.names import show
from scow.layer.paxstate import PaxState
from scow.layer.tarformat import (
    BLOCK,
    BLOCKDEV,
    CHAR,
    DIRECTORY,
    FIFO,
    HEADER,
    LINK,
    MAX_EXTENSION,
    MAX_SEGMENTS,
    REGULAR,
    SYMLINK,
    TarEntry,
    checksum_matches,
    number,
    segments,
)
from scow.layer.tarwrite import SERIALISER, TarWriter
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.layer.changeset import Readable
    from scow.layer.tarformat import Segments

__all__ = [
    "BLOCKDEV",
    "CHAR",
    "DIRECTORY",
    "FIFO",
    "LINK",
    "REGULAR",
    "SERIALISER",
    "SYMLINK",
    "TarEntry",
    "TarReader",
    "TarWriter",
    "read_entries",
]

CHUNK = 512 * 1024
_ZERO = bytes(BLOCK)
_HEADER_ONLY = frozenset({LINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO})
_EXTENSIONS = frozenset({b"x", b"X", b"g", b"L", b"K", b"V", b"M", b"N", b"A"})
_CACHED = 4096


class TarReader:
    """Iterates over the entries of a tar stream.

    The data of an entry can be read with :meth:`chunks` until the next entry is asked for; what is not read is
    skipped.

    Args:
        stream: Uncompressed tar.
        seek: The stream is a file that can be moved in, and the data of entries need not pass through ``read``.
    """

    def __init__(self, stream: Readable, *, seek: bool = False) -> None:
        self._read = stream.read
        self._seek = getattr(stream, "seek", None) if seek else None
        self._size = os.fstat(stream.fileno()).st_size if seek else 0  # type: ignore[attr-defined]
        self._buffer = b""
        self._position = 0
        self._base = 0  # offset in the stream of the buffer's first byte
        self._left = 0  # data bytes of the current entry not yet read
        self._padding = 0
        self._numbers: dict[bytes, int] = {}
        self._pax = PaxState()

    @property
    def offset(self) -> int:
        """How many bytes of the stream are behind."""
        return self._base + self._position

    def __iter__(self) -> Iterator[TarEntry]:
        """Walk the entries.

        Raises:
            CorruptError: The stream is damaged, cut off or no tar.
        """
        unpack = HEADER.unpack
        while True:
            if self._left or self._padding:
                self._skip()
            block = self._block()
            if block is None:
                return
            start = self._base + self._position - BLOCK
            fields = unpack(block)
            kind = fields[7]
            try:
                right = checksum_matches(block, self._number(fields[6], start))
            except CorruptError:  # not even a number stands there
                right = False
            if not right:
                self._complain(start)
            if kind in _EXTENSIONS:
                self._extension(fields, kind, start)
            else:
                yield self._entry(fields, kind, block, start)

    def chunks(self) -> Iterator[bytes]:
        """The stored data of the current entry, in pieces of at most 256 KiB.

        Raises:
            CorruptError: The stream ends inside the data.
        """
        while self._left:
            available = len(self._buffer) - self._position
            if not available:
                self._next_buffer()
                continue
            take = min(available, self._left)
            whole = take == len(self._buffer)
            piece = self._buffer if whole else self._buffer[self._position : self._position + take]
            self._position += take
            self._left -= take
            yield piece

    def finish(self) -> None:
        """Read what follows the end of the archive, which may only be zeros.

        Raises:
            CorruptError: Something else follows.
        """
        rest = self._buffer[self._position :]
        while True:
            if rest.count(0) != len(rest):
                raise CorruptError(
                    f"something else follows the end of the tar archive at byte {self._base + self._position}"
                )
            self._base += len(self._buffer)
            self._position = 0
            self._buffer = rest = self._read(CHUNK)
            if not rest:
                return

    # What follows works on the buffer: one read's worth of the stream, replaced as a whole.

    def _next_buffer(self) -> None:
        self._base += len(self._buffer)
        self._position = 0
        self._buffer = self._read(CHUNK)
        if not self._buffer:
            raise CorruptError(f"the tar stream is cut off after {self._base} bytes")

    def _skip(self) -> None:
        count = self._left + self._padding
        self._left = self._padding = 0
        available = len(self._buffer) - self._position
        if count <= available:
            self._position += count
            return
        if self._seek is not None:
            target = self._base + self._position + count
            if target > self._size:
                raise CorruptError(f"the tar stream is cut off after {self._size} bytes")
            self._seek(target)
            self._buffer = b""
            self._base, self._position = target, 0
            return
        count -= available
        self._position = len(self._buffer)
        while count:
            self._next_buffer()
            take = min(count, len(self._buffer))
            self._position = take
            count -= take

    def _take(self, count: int) -> bytes:
        """The next bytes, of which there must be enough."""
        data = self._buffer[self._position : self._position + count]
        self._position += len(data)
        if len(data) == count:
            return data
        parts = [data]
        missing = count - len(data)
        while missing:
            self._next_buffer()
            data = self._buffer[:missing]
            self._position = len(data)
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def _block(self) -> bytes | None:
        """The next header block, or ``None`` at the end of the archive."""
        position = self._position
        block = self._buffer[position : position + BLOCK]
        if len(block) == BLOCK:
            self._position = position + BLOCK
        else:
            if not block:
                self._base += len(self._buffer)
                self._position = 0
                self._buffer = self._read(CHUNK)
                if not self._buffer:
                    self._pax.end(self._base)
                    return None
            block = self._take(BLOCK)
        if block == _ZERO:
            self._pax.end(self._base + self._position)
            return None
        return block

    def _complain(self, start: int) -> None:
        if start == 0:
            raise CorruptError("this is not a tar archive")
        raise CorruptError(f"there is no valid tar header at byte {start}", hint="The archive is damaged.")

    def _number(self, field: bytes, start: int) -> int:
        value = self._numbers.get(field)
        if value is None:
            value = number(field, start)
            if len(self._numbers) >= _CACHED:
                self._numbers.clear()
            self._numbers[field] = value
        return value

    def _entry(self, fields: tuple[bytes, ...], kind: bytes, block: bytes, start: int) -> TarEntry:
        name, mode, uid, gid, size, mtime, _, _, linkname, magic, major, minor, prefix = fields
        number = self._number
        name = name.partition(b"\0")[0]
        if magic[:6] == b"ustar\0":
            if prefix[0]:
                if block[508:512] == b"tar\0":  # Source: star(5): its prefix is shorter, times follow it
                    prefix = prefix[:131]
                name = prefix.partition(b"\0")[0] + b"/" + name
        elif magic != b"ustar  \0":
            major = minor = b"\0"
        stored = number(size, start)
        total = stored
        sparse: Segments | None = None
        first = second = 0
        if kind in (CHAR, BLOCKDEV):
            first, second = number(major, start), number(minor, start)
        if kind not in _HEADER_ONLY:
            if kind == b"S":
                sparse, total = self._old_sparse(block, start)
            kind = REGULAR
        else:
            total = 0
        entry = TarEntry(
            name,
            kind,
            number(mode, start) & 0o7777,
            number(uid, start),
            number(gid, start),
            total,
            number(mtime, start) * 1_000_000_000,
            linkname.partition(b"\0")[0] if linkname[0] else b"",
            first,
            second,
            (),
            self._base + self._position,
            stored,
            sparse,
        )
        if self._pax.active:
            return self._settle(self._pax.apply(entry, start, self._left_map), start)
        if kind != REGULAR or sparse is not None or stored < 0 or name[-1:] == b"/":
            return self._settle(entry, start)
        self._left, self._padding = stored, -stored % BLOCK
        return entry

    def _settle(self, entry: TarEntry, start: int) -> TarEntry:
        """Fix where the data is and how much of it there is."""
        stored = entry.stored
        if stored < 0 or entry.size < 0:
            raise CorruptError(f"the tar header at byte {start} has a negative size")
        offset = self._base + self._position
        if entry.type != REGULAR:
            # Source: POSIX pax, ustar typeflag: no data records follow these, whatever their size field says.
            return entry._replace(size=0, stored=0, offset=offset, sparse=None)
        self._left, self._padding = stored, -stored % BLOCK
        if entry.name[-1:] == b"/":
            # Source: GNU tar manual: old writers mark directories by a slash.
            return entry._replace(type=DIRECTORY, size=0, stored=0, offset=offset, sparse=None)
        sparse = entry.sparse
        if sparse is not None:
            if sum(length for _, length in sparse) != stored:
                raise CorruptError(f"the sparse map of {show(entry.name)} does not fit its data")
            if stored == entry.size:
                sparse = None
        return entry._replace(offset=offset, sparse=sparse)

    def _extension(self, fields: tuple[bytes, ...], kind: bytes, start: int) -> None:
        """Take in a header that describes the next one."""
        size = self._number(fields[4], start)
        if kind in (b"M", b"N"):
            raise CorruptError(f"the tar header at byte {start} continues another volume, which is not supported")
        if not 0 <= size <= MAX_EXTENSION:
            raise CorruptError(f"the extension header at byte {start} is larger than {MAX_EXTENSION} bytes")
        body = self._take(size)
        self._take(-size % BLOCK)
        if kind not in (b"V", b"A"):  # a volume's label, an access list of Solaris
            self._pax.take(kind, body, start)

    def _left_map(self, stored: int, start: int) -> tuple[list[int], int]:
        """Read the sparse map that pax format 1.0 puts before the data.

        Returns:
            The numbers, and how many of the ``stored`` bytes they took.
        """
        numbers: list[int] = []
        text = b""
        used = 0
        needed = 1
        while len(numbers) < needed:
            if used + BLOCK > stored:
                raise CorruptError(f"the sparse map at byte {start} is damaged")
            lines = (text + self._take(BLOCK)).split(b"\n")
            used += BLOCK
            text = lines.pop()
            for line in lines[: needed - len(numbers)]:
                if not line.isdigit() or len(line) > 20:
                    raise CorruptError(f"the sparse map at byte {start} is damaged")
                numbers.append(int(line))
            if needed == 1 and numbers:
                if numbers[0] > MAX_SEGMENTS:
                    raise CorruptError(f"the sparse map at byte {start} has more than {MAX_SEGMENTS} parts")
                needed = 1 + 2 * numbers[0]
                for line in lines[1:needed]:
                    if not line.isdigit() or len(line) > 20:
                        raise CorruptError(f"the sparse map at byte {start} is damaged")
                    numbers.append(int(line))
            if len(text) > 20 and len(numbers) < needed:
                raise CorruptError(f"the sparse map at byte {start} is damaged")
        return numbers[1:], used

    def _old_sparse(self, block: bytes, start: int) -> tuple[Segments, int]:
        """The map of GNU's old sparse format, which may go on in further blocks."""
        numbers: list[int] = []
        size = number(block[483:495], start)

        def collect(data: bytes, count: int) -> None:
            for index in range(0, 24 * count, 24):
                if data[index] == 0 and data[index + 12] == 0:
                    return
                numbers.append(number(data[index : index + 12], start))
                numbers.append(number(data[index + 12 : index + 24], start))

        collect(block[386:482], 4)
        more = block[482]
        while more:
            if len(numbers) > 2 * MAX_SEGMENTS:
                raise CorruptError(f"the sparse map at byte {start} has more than {MAX_SEGMENTS} parts")
            extension = self._take(BLOCK)
            collect(extension, 21)
            more = extension[504]
        return segments(numbers, size, start), size


def read_entries(stream: Readable) -> TarReader:
    """Read a tar stream.

    Args:
        stream: Uncompressed tar; not closed.

    Returns:
        An iterable over its entries, which also gives their data.
    """
    return TarReader(stream)
