# SPDX-License-Identifier: Apache-2.0
"""How a sparse file of a tar becomes the chunks of an EROFS file.

A tar keeps the parts of a sparse file one after the other. A chunk is a hole, or lies in the tar as it is, or, where a
part begins or ends inside it, is put together in the index itself. The chunk size is the one that costs the least.
"""

from __future__ import annotations

from scow.errors import LimitError
from scow.layer.erofsformat import BLOCK, BLOCK_BITS, CHUNK, HOLE, MAX_BLOCKS, MAX_CHUNK_BITS
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ENTRY = CHUNK.size
_TRIED = (12, 14, 16, 18, 20, 22, 24, 28, 32, 36, MAX_CHUNK_BITS)
_MAX_COST = 64 << 20

Part = tuple[int, int, int]
"""Offset in the file, length, place in the tar; in bytes."""


class Layout(NamedTuple):
    """A file's chunks.

    Attributes:
        bits: Size of a chunk, as a power of two.
        table: Eight bytes for each chunk; those of assembled chunks count blocks from 0, on device 0.
        assembled: What goes into the assembled chunks: (offset among them, place in the tar, length).
        size: Bytes of all assembled chunks.
    """

    bits: int
    table: bytes
    assembled: tuple[tuple[int, int, int], ...]
    size: int


def lay_out(size: int, parts: Sequence[Part], device: int, what: str) -> Layout:
    """Choose the chunks of a sparse file.

    Args:
        size: Bytes of the file.
        parts: Where its data is, ascending.
        device: Number of the tar's device.
        what: The file, for the message.

    Raises:
        LimitError: No chunk size makes the file's table and assembled chunks smaller than 64 MiB (or its data).
    """
    best, lowest = 0, -1
    stored = sum(length for _, length, _ in parts)
    for bits in sorted({_natural_bits(size, parts), *_TRIED}):
        count = -(-size >> bits) if size else 0
        if count * _ENTRY > max(_MAX_COST, stored):
            continue
        cost = count * _ENTRY + sum(min(1 << bits, size) for kind, _, _ in _chunks(size, parts, bits) if kind == 2)
        if lowest < 0 or cost < lowest:
            best, lowest = bits, cost
    if lowest < 0 or lowest > max(_MAX_COST, stored + (1 << 20)):
        raise LimitError(f"the sparse file {what} has holes of a pattern that cannot be mounted")
    return _table(size, parts, best, device)


def _natural_bits(size: int, parts: Sequence[Part]) -> int:
    """The largest chunk size at which no chunk has to be assembled, if there is one."""
    mixed = 0
    for offset, length, _ in parts:
        mixed |= offset
        if offset + length < size:
            mixed |= offset + length
    if not mixed:
        return MAX_CHUNK_BITS
    return min(max((mixed & -mixed).bit_length() - 1, BLOCK_BITS), MAX_CHUNK_BITS)


def _chunks(size: int, parts: Sequence[Part], bits: int) -> Iterator[tuple[int, int, int]]:
    """What each run of chunks is.

    Yields:
        (0, count, 0) for holes, (1, count, place) for data that lies in the tar, (2, first part, 0) for one chunk that
        must be assembled from the parts beginning there.
    """
    chunk = 1 << bits
    position = 0
    index = 0
    while position < size:
        while index < len(parts) and parts[index][0] + parts[index][1] <= position:
            index += 1
        if index == len(parts):
            yield 0, -(-(size - position) >> bits), 0
            return
        offset, length, place = parts[index]
        if offset >= position + chunk:
            count = (offset - position) >> bits
            yield 0, count, 0
            position += count << bits
            continue
        end = offset + length
        if offset <= position and (place + position - offset) % BLOCK == 0:
            count = -(-(end - position) >> bits) if end >= size else (end - position) >> bits
            if count:
                yield 1, count, place + position - offset
                position += count << bits
                continue
        yield 2, index, 0
        position += chunk


def _table(size: int, parts: Sequence[Part], bits: int, device: int) -> Layout:
    chunk = 1 << bits
    table: list[bytes] = []
    assembled: list[tuple[int, int, int]] = []
    used = position = 0
    for kind, value, place in _chunks(size, parts, bits):
        if kind == 0:
            table.append(HOLE * value)
            position += value << bits
        elif kind == 1:
            first = place >> BLOCK_BITS
            step = chunk >> BLOCK_BITS
            if first + step * (value - 1) >= MAX_BLOCKS:
                raise LimitError("a sparse file lies beyond 2 TiB of its layer")
            table.extend(CHUNK.pack(0, device, first + step * number) for number in range(value))
            position += value << bits
        else:
            table.append(CHUNK.pack(0, 0, used >> BLOCK_BITS))
            end = min(position + chunk, size)
            for offset, length, source in parts[value:]:
                if offset >= end:
                    break
                start, stop = max(offset, position), min(offset + length, end)
                if start < stop:
                    assembled.append((used + start - position, source + start - offset, stop - start))
            used += -(-(end - position) // BLOCK) * BLOCK
            position += chunk
    return Layout(bits, b"".join(table), tuple(assembled), used)
