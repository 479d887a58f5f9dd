# SPDX-License-Identifier: Apache-2.0
"""Compressed streams: gzip, zstd, xz, bzip2 and none; detected, opened and made.

Promises: a stream is read to its end as one, however many members or frames it has; one that is cut off, damaged or
followed by something else raises ``CorruptError`` from the ``read`` that meets it; what a stream may expand to is
bounded by ``Limits``. Compressing the same bytes with the same engine gives the same bytes: no time, no name, no host.
"""

from __future__ import annotations

import io

from scow.errors import CorruptError, InvalidArgumentError
from scow.layer.changeset import Limits, too_dense, too_large
from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from scow.layer.changeset import Readable, Writable

INPUT = 512 * 1024
OUTPUT = 512 * 1024
_GRACE = 64 << 20  # Source: settings.Settings.max_ratio: only beyond this much output
_MAGIC = (
    ("gzip", b"\x1f\x8b\x08"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("xz", b"\xfd7zXZ\x00"),
    ("bzip2", b"BZh"),
)
_DEFAULT_LEVELS = {"gzip": 2, "zstd": 3, "none": 0}


class Inflater(Protocol):
    """The part of CPython's decompressor objects that is used; one for each member of a stream."""

    @property
    def eof(self) -> bool:
        """The member has ended."""

    @property
    def needs_input(self) -> bool:
        """Nothing can be given without more input."""

    @property
    def unused_data(self) -> bytes:
        """What follows the member's end."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Give at most ``max_length`` bytes."""


def detect(head: bytes) -> str:
    """Name the compression of a stream by its first bytes.

    Args:
        head: At least six bytes, or all there are.

    Returns:
        ``gzip``, ``zstd``, ``xz``, ``bzip2`` or ``none``.
    """
    for name, magic in _MAGIC:
        if head.startswith(magic):
            return name
    if len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18":
        return "zstd"  # Source: RFC 8878, section 3.1.2: a skippable frame may come first
    return "none"


def open_stream(raw: Readable, compression: str | None = None, *, limits: Limits | None = None) -> Stream:
    """Open a stream for reading what it expands to.

    Args:
        raw: The compressed bytes; not closed.
        compression: ``gzip``, ``zstd``, ``xz``, ``bzip2`` or ``none``; ``None`` looks at the first bytes.
        limits: Bounds on size and ratio; the defaults when ``None``.

    Raises:
        InvalidArgumentError: No such compression.
    """
    head = b""
    if compression is None:
        while len(head) < 6 and (piece := raw.read(6 - len(head))):
            head += piece
        compression = detect(head)
    source = _Source(raw, head)
    bounds = limits or Limits()
    if compression == "none":
        return Stream(source, source.read, compression, bounds)
    if compression == "zstd":
        from scow.layer.zstd import ZstdFrames

        return Stream(source, ZstdFrames(source.read).read, compression, bounds)
    return Stream(source, _Members(source, _factory(compression), compression).read, compression, bounds)


class _Source:
    """Compressed input, counted, with bytes that were read ahead."""

    def __init__(self, raw: Readable, head: bytes) -> None:
        self._raw = raw
        self._head = head
        self.count = 0

    def read(self, size: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._raw.read(size)
        self.count += len(data)
        return data


class Stream(io.BufferedIOBase):
    """Expanded bytes, bounded.

    Attributes:
        compression: What was found or given.
        size: Bytes given so far.
    """

    def __init__(self, source: _Source, give: Callable[[int], bytes], compression: str, limits: Limits) -> None:
        self._source = source
        self._give = give
        self._limits = limits
        self.compression = compression
        self.size = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes, fewer only at the end; everything when negative.

        Raises:
            CorruptError: The stream is damaged or cut off.
            LimitError: It expands to more than the limits allow.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read1(OUTPUT), b""))
        data = self.read1(size)
        if len(data) == size or not data:
            return data
        parts = [data]
        missing = size - len(data)
        while missing and (data := self.read1(missing)):
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; none only at the end.

        Raises:
            CorruptError: The stream is damaged or cut off.
            LimitError: It expands to more than the limits allow.
        """
        data = self._give(OUTPUT if size < 0 else size) if size else b""
        self.size += len(data)
        if self.size > self._limits.max_size:
            raise too_large(self._limits.max_size)
        if self.size > _GRACE and self.size - _GRACE > self._limits.max_ratio * self._source.count:
            raise too_dense(self._limits.max_ratio)
        return data


class _Members:
    """Expands gzip members, xz streams or bzip2 streams that follow each other."""

    def __init__(self, source: _Source, make: Callable[[], Inflater], compression: str) -> None:
        self._source = source
        self._make = make
        self._name = compression
        self._inflater: Inflater | None = make()
        self._input = b""
        self._started = False

    def read(self, size: int) -> bytes:
        while self._inflater is not None:
            data = b""
            if self._inflater.needs_input:
                data = self._input or self._source.read(INPUT)
                self._input = b""
                if not data:
                    if not self._started:
                        self._inflater = None
                        return b""
                    raise CorruptError(f"the {self._name} stream is cut off")
                self._started = True
            try:
                output = self._inflater.decompress(data, size)
            except EOFError:
                raise CorruptError(f"the {self._name} stream is cut off") from None
            except Exception as error:
                if type(error) is MemoryError:
                    raise
                raise CorruptError(f"the {self._name} stream is damaged: {error}") from error
            if self._inflater.eof:
                self._next()
            if output:
                return output
        return b""

    def _next(self) -> None:
        """Go on with the next member, if there is one; zeros may fill up the end, as on tapes."""
        rest = self._inflater.unused_data if self._inflater is not None else b""
        while True:
            rest = rest.lstrip(b"\0")
            if len(rest) >= 6:
                break
            more = self._source.read(INPUT)
            if not more:
                break
            rest += more
        self._inflater = None
        if not rest:
            return
        if detect(rest) != self._name:
            raise CorruptError(f"something else follows the end of the {self._name} stream")
        self._inflater = self._make()
        self._input = rest


class _ZlibInflater:
    """zlib's decompressor with the manners of bz2's and lzma's."""

    def __init__(self) -> None:
        import zlib

        self._object = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max(max_length, 0))


def _factory(compression: str) -> Callable[[], Inflater]:
    if compression == "gzip":
        try:
            from isal import igzip_lib
        except ImportError:
            return _ZlibInflater
        return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if compression == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    raise InvalidArgumentError(f"{compression!r} is not a compression that can be read")


class Deflater(Protocol):
    """The part of compressor objects that is used."""

    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes:
        """Take bytes, give some."""

    def flush(self) -> bytes:
        """End the stream."""


class CompressWriter:
    """Compresses what is written to it.

    Leaving the ``with`` block, or :meth:`close`, ends the stream; the sink stays open.

    Args:
        out: Where to.
        compression: ``gzip``, ``zstd`` or ``none``.
        level: How hard to try; ``None`` for a level that keeps up with a network. gzip: 0 to 9, where 0 to 3 use ISA-L
            when it is installed.

    Raises:
        InvalidArgumentError: No such compression.
    """

    def __init__(self, out: Writable, compression: str, level: int | None = None) -> None:
        if compression not in _DEFAULT_LEVELS:
            raise InvalidArgumentError(f"{compression!r} is not a compression that can be written")
        self._out = out
        self._deflater = _deflater(compression, _DEFAULT_LEVELS[compression] if level is None else level)
        self._closed = False
        self.size = 0
        """Compressed bytes given to the sink so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all the bytes."""
        self._put(data if self._deflater is None else self._deflater.compress(data))
        return len(data)

    def close(self) -> None:
        """End the stream; harmless when done before."""
        if not self._closed and self._deflater is not None:
            self._put(self._deflater.flush())
        self._closed = True

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._out.write(data)
            self.size += len(data)


def _deflater(compression: str, level: int) -> Deflater | None:
    if compression == "gzip":
        return _gzip(level)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return None


class _Gzip:
    """A gzip member around raw deflate, its header free of time, name and system. Source: RFC 1952, section 2.3."""

    def __init__(self, deflate: Deflater, crc32: Callable[[bytes | bytearray | memoryview, int], int]) -> None:
        self._deflate = deflate
        self._crc32 = crc32
        self._crc = 0
        self._size = 0
        self._head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        head, self._head = self._head, b""
        return head + self._deflate.compress(data)

    def flush(self) -> bytes:
        trailer = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        head, self._head = self._head, b""
        return head + self._deflate.flush() + trailer


def _gzip(level: int) -> _Gzip:
    if level <= 3:
        try:
            from isal import isal_zlib
        except ImportError:
            pass
        else:
            return _Gzip(isal_zlib.compressobj(level, wbits=-15), isal_zlib.crc32)
    import zlib

    return _Gzip(zlib.compressobj(min(level, 9), wbits=-15), zlib.crc32)
