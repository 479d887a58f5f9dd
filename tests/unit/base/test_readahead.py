# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import threading

import pytest

from scow.base.readahead import ReadAhead
from scow.errors import CorruptError

DATA = bytes(range(256)) * 40


class Source:
    """Gives its data in small pieces, and remembers who asked."""

    def __init__(self, data: bytes, fail_at: int = -1) -> None:
        self.left = io.BytesIO(data)
        self.fail_at = fail_at
        self.threads: set[int] = set()
        self.reads = 0

    def read(self, size: int = -1, /) -> bytes:
        self.threads.add(threading.get_ident())
        self.reads += 1
        if 0 <= self.fail_at <= self.left.tell():
            raise CorruptError("it is damaged")
        return self.left.read(size)


def drain(reader, size=100):
    parts = []
    while data := reader.read(size):
        assert size < 0 or len(data) <= size
        parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize("size", [-1, 1, 7, 64, 1000])
@pytest.mark.parametrize("alone", [0, 300, len(DATA), 1 << 20])
def test_gives_every_byte_in_order(size, alone):
    source = Source(DATA)
    with ReadAhead(source, piece=64, depth=3, alone=alone) as reader:
        assert drain(reader, size) == DATA
        assert reader.read(5) == b""
    assert len(source.threads - {threading.get_ident()}) == (1 if alone <= len(DATA) else 0)


def test_reads_no_further_ahead_than_it_may():
    source = Source(DATA)
    with ReadAhead(source, piece=10, depth=3, alone=0) as reader:
        assert reader.read(10) == DATA[:10]
        deadline = threading.Event()
        deadline.wait(0.05)
        assert source.reads <= 4


def test_needs_no_thread_where_others_keep_the_cores_busy():
    source = Source(DATA)
    busy = [True] * 5
    with ReadAhead(source, piece=64, alone=0, crowded=lambda: bool(busy and busy.pop())) as reader:
        assert reader.read(5 * 64) + b"".join(reader.read(64) for _ in range(4)) == DATA[: 5 * 64]
        assert source.threads == {threading.get_ident()}
        assert drain(reader) == DATA[5 * 64 :]
    assert len(source.threads) == 2


def test_a_failure_comes_where_it_happened_and_stays():
    with ReadAhead(Source(DATA, fail_at=640), piece=64, depth=2, alone=128) as reader:
        assert b"".join(reader.read(64) for _ in range(10)) == DATA[:640]
        for _ in range(2):
            with pytest.raises(CorruptError, match="it is damaged"):
                reader.read(64)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    source = Source(DATA)

    def leave():
        with ReadAhead(source, piece=16, depth=2, alone=0) as reader:
            assert reader.read(16) == DATA[:16]
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert threading.active_count() == before
    assert source.reads <= 4


def test_uses_what_comes_in_pieces():
    class Pieces(Source):
        def read1(self, _size: int = -1, /) -> bytes:
            return self.left.read(3)

    with ReadAhead(Pieces(DATA), piece=64, alone=0) as reader:
        assert reader.read(64) == DATA[:3]
        assert drain(reader) == DATA[3:]
