# SPDX-License-Identifier: Apache-2.0
"""Sparse files as chunks: put together again, they are the file."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import LimitError
from scow.layer.chunks import lay_out

GRAIN = st.sampled_from([1, 100, 512, 1024, 4096, 10_000, 65_536])


@st.composite
def sparse(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    position, place = 0, 512 * draw(st.integers(0, 5))
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        position += draw(st.integers(0, 8)) * draw(GRAIN)
        length = draw(st.integers(1, 6)) * draw(GRAIN)
        if parts and parts[-1][0] + parts[-1][1] == position:
            position += 1
        parts.append((position, length, place))
        position += length
        place += length
    return position + draw(st.integers(0, 4)) * draw(GRAIN), parts


@given(sparse())
def test_chunks_give_back_the_file(case: tuple[int, list[tuple[int, int, int]]]) -> None:
    size, parts = case
    end = max((place + length for _, length, place in parts), default=0)
    tar = bytes((index * 7 + index // 251) % 256 for index in range(-(-end // 512) * 512))
    wanted = bytearray(size)
    for offset, length, place in parts:
        wanted[offset : offset + length] = tar[place : place + length]
    layout = lay_out(size, parts, 3, "'x'")
    own = bytearray(layout.size)
    for offset, place, length in layout.assembled:
        own[offset : offset + length] = tar[place : place + length]
    chunk = 1 << layout.bits
    found = b""
    for index, (high, device, block) in enumerate(struct.iter_unpack("<HHI", layout.table)):
        assert high == 0
        length = min(chunk, size - index * chunk)
        if block == 0xFFFFFFFF:
            found += bytes(length)
        else:
            assert device in (0, 3)
            source = tar if device == 3 else own
            piece = bytes(source[block * 512 : block * 512 + length])
            assert len(piece) == length
            found += piece
    assert found == bytes(wanted)


def test_whole_grains_need_nothing_assembled() -> None:
    layout = lay_out(1 << 18, [(0, 4096, 512), (1 << 16, 8192, 4608)], 1, "'x'")
    assert layout.size == 0
    assert layout.bits == 12


def test_a_huge_hole_costs_little() -> None:
    layout = lay_out((1 << 42) + 5, [(1 << 41, 700, 512)], 1, "'x'")
    assert len(layout.table) + layout.size < 64 << 20


def test_a_hostile_pattern_is_refused() -> None:
    parts = [(index * ((1 << 22) + 1) + 1, 1, 512 + index) for index in range(40_000)]
    with pytest.raises(LimitError) as caught:
        lay_out(1 << 60, parts, 1, "'evil'")
    assert "'evil'" in caught.value.message
