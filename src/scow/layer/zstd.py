# SPDX-License-Identifier: Apache-2.0
"""zstd streams, walked frame by frame and block by block.

The library's streaming objects neither bound what one call gives nor say whether the input ended inside a frame.
Reading the 3-byte block headers here answers both: a block never expands to more than 128 KiB, and the end of a
stream is the end of a frame. Source: RFC 8878, sections 3.1.1 and 3.1.2.
"""

from __future__ import annotations

from scow.errors import CorruptError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_WINDOW = 1 << 27
_BATCH = 2  # blocks given to the library at once, so at most 256 KiB of output


class ZstdFrames:
    """Expands the frames of a stream.

    Args:
        read: Gives compressed bytes, none only at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        import zstandard

        self._read = read
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._object: zstandard.ZstdDecompressionObj | None = None
        self._checksum = False
        self._buffer = b""
        self._position = 0
        self._output = b""
        self._given = 0
        self._done = False

    def read(self, size: int) -> bytes:
        """Give up to ``size`` bytes; none only at the end.

        Raises:
            CorruptError: The stream is damaged or cut off.
        """
        while self._given == len(self._output) and not self._done:
            self._given = 0
            self._output = self._more()
        if self._given == 0 and size >= len(self._output):
            self._given = len(self._output)
            return self._output
        data = self._output[self._given : self._given + size]
        self._given += len(data)
        return data

    def _more(self) -> bytes:
        head = b""
        if self._object is None:
            head = self._frame()
            if not head or self._object is None:
                return b""
        pieces = [head]
        last = False
        for _ in range(_BATCH):
            header = self._take(3)
            word = int.from_bytes(header, "little")
            kind, length = (word >> 1) & 3, word >> 3
            if kind == 3:
                raise CorruptError("the zstd stream is damaged: it has a block of a reserved type")
            pieces += (header, self._take(1 if kind == 1 else length))
            if word & 1:
                last = True
                pieces.append(self._take(4) if self._checksum else b"")
                break
        try:
            output = self._object.decompress(b"".join(pieces))
        except self._error as error:
            raise CorruptError(f"the zstd stream is damaged: {error}") from error
        if last:
            if not self._object.eof:
                raise CorruptError("the zstd stream is damaged: a frame does not end where it should")
            self._object = None
        return output

    def _frame(self) -> bytes:
        """Read the next frame's header, or skip a frame that holds no data.

        Returns:
            The header; nothing at the end of the stream or after a skipped frame.
        """
        first = self._take(1, optional=True)
        if not first:
            self._done = True
            return b""
        magic = first + self._take(3)
        if magic != _MAGIC:
            if 0x50 <= magic[0] <= 0x5F and magic[1:] == b"\x2a\x4d\x18":
                length = int.from_bytes(self._take(4), "little")
                while length:
                    length -= len(self._take(min(length, 1 << 16)))
                return b""
            raise CorruptError("something else follows the end of the zstd stream")
        descriptor = self._take(1)
        flags = descriptor[0]
        single = flags >> 5 & 1
        content = (single, 2, 4, 8)[flags >> 6]
        header = magic + descriptor + self._take((1 - single) + (0, 1, 2, 4)[flags & 3] + content)
        self._checksum = bool(flags >> 2 & 1)
        self._object = self._decompressor.decompressobj()
        return header

    def _take(self, count: int, *, optional: bool = False) -> bytes:
        """Exactly ``count`` bytes of the input; none at its end when that is allowed here."""
        end = self._position + count
        if end > len(self._buffer):
            parts = [self._buffer[self._position :]]
            missing = count - len(parts[0])
            while missing > 0:
                piece = self._read(1 << 16)
                if not piece:
                    if optional:
                        return b""
                    raise CorruptError("the zstd stream is cut off")
                parts.append(piece)
                missing -= len(piece)
            self._buffer = b"".join(parts)
            self._position, end = 0, count
        data = self._buffer[self._position : end]
        self._position = end
        return data
