# SPDX-License-Identifier: Apache-2.0
"""Compressed streams: whole, in several members, cut off, damaged, and bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import zlib

import pytest
import zstandard

from scow.errors import CorruptError, InvalidArgumentError, LimitError
from scow.layer.changeset import Limits
from scow.layer.compression import CompressWriter, detect, open_stream

DATA = b"".join(b"line %d of some text\n" % number for number in range(40_000)) + random.Random(1).randbytes(200_000)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


WRITERS = {"gzip": gzip.compress, "zstd": zstd, "xz": lzma.compress, "bzip2": bz2.compress}
FORMS = sorted(WRITERS)


@pytest.fixture(params=["isal", "zlib"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    else:
        pytest.importorskip("isal")
    return request.param


@pytest.mark.parametrize("form", [*FORMS, "none"])
def test_streams_are_detected_and_read(form: str, engine: str) -> None:
    stream = open_stream(io.BytesIO(WRITERS.get(form, bytes)(DATA)))
    assert stream.compression == form
    assert stream.read() == DATA
    assert stream.read(10) == b""
    assert stream.size == len(DATA)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_pieces_of_any_size_come_out(form: str, step: int, engine: str) -> None:
    data = DATA[: step * 5000]
    source = io.BytesIO(WRITERS[form](data))
    stream = open_stream(source)
    pieces = []
    while piece := stream.read(step):
        assert len(piece) == step or len(b"".join(pieces)) + len(piece) == len(data)
        pieces.append(piece)
    assert b"".join(pieces) == data


@pytest.mark.parametrize("form", FORMS)
def test_members_that_follow_each_other_are_one_stream(form: str, engine: str) -> None:
    compressed = WRITERS[form](DATA) + WRITERS[form](b"") + WRITERS[form](b"more")
    assert open_stream(io.BytesIO(compressed)).read() == DATA + b"more"


@pytest.mark.parametrize("form", ["gzip", "xz", "bzip2"])
def test_zeros_may_fill_up_the_end(form: str, engine: str) -> None:
    assert open_stream(io.BytesIO(WRITERS[form](DATA) + bytes(100_000))).read() == DATA


def test_zstd_frames_that_hold_no_data_are_skipped() -> None:
    skip = b"\x53\x2a\x4d\x18" + (200_000).to_bytes(4, "little") + bytes(200_000)
    assert detect(skip[:6]) == "zstd"
    assert open_stream(io.BytesIO(skip + zstd(DATA) + skip + zstd(b"x") + skip)).read() == DATA + b"x"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rest", [b"garbage", b"\0\0x", DATA[:70_000]])
def test_something_after_the_end_is_refused(form: str, rest: bytes, engine: str) -> None:
    with pytest.raises(CorruptError):
        open_stream(io.BytesIO(WRITERS[form](DATA) + rest)).read()


@pytest.mark.parametrize("form", FORMS)
def test_every_truncation_is_noticed(form: str, engine: str) -> None:
    compressed = WRITERS[form](DATA[:30_000])
    for length in {*range(6, 60), *range(60, len(compressed), 501), *range(len(compressed) - 20, len(compressed))}:
        with pytest.raises(CorruptError):
            open_stream(io.BytesIO(compressed[:length]), form).read()


@pytest.mark.parametrize("form", FORMS)
def test_flipped_bits_never_give_other_bytes(form: str, engine: str) -> None:
    compressed = WRITERS[form](DATA[:30_000])
    chance = random.Random(form)
    for _ in range(300):
        damaged = bytearray(compressed)
        bit = chance.randrange(len(damaged) * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = open_stream(io.BytesIO(bytes(damaged)), form).read()
        except CorruptError:
            continue
        assert found == DATA[:30_000]


def test_an_empty_stream_is_empty() -> None:
    assert open_stream(io.BytesIO(b"")).read() == b""
    assert open_stream(io.BytesIO(b""), "gzip").read() == b""


@pytest.mark.parametrize("form", FORMS)
def test_bombs_are_stopped_and_the_setting_named(form: str, engine: str) -> None:
    bomb = WRITERS[form](bytes(3 << 20)) * 60
    limits = Limits(max_ratio=5)
    stream = open_stream(io.BytesIO(bomb), limits=limits)
    with pytest.raises(LimitError) as caught:
        while stream.read(1 << 20):
            pass
    assert "SCOW_MAX_RATIO" in caught.value.hint
    assert "5 times" in caught.value.message
    assert stream.size <= (64 << 20) + 6 * len(bomb) + (1 << 20)


@pytest.mark.parametrize("form", FORMS)
def test_one_read_never_gives_more_than_was_asked(form: str, engine: str) -> None:
    stream = open_stream(io.BytesIO(WRITERS[form](bytes(64 << 20))))
    assert len(stream.read1(1000)) <= 1000
    assert len(stream.read1()) <= 1 << 20


def test_size_is_bounded_and_the_setting_named() -> None:
    stream = open_stream(io.BytesIO(DATA), limits=Limits(max_size=1000))
    with pytest.raises(LimitError) as caught:
        stream.read()
    assert "SCOW_MAX_LAYER_SIZE" in caught.value.hint
    assert "1000 bytes" in caught.value.message


def test_small_streams_may_be_dense() -> None:
    assert len(open_stream(io.BytesIO(gzip.compress(bytes(60 << 20))), limits=Limits(max_ratio=2)).read()) == 60 << 20


class Sink:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


@pytest.mark.parametrize("level", [None, 0, 1, 6, 9])
def test_gzip_names_no_time_file_or_system(level: int | None, engine: str) -> None:
    outputs = []
    for step in (1000, len(DATA)):
        sink = Sink()
        with CompressWriter(sink, "gzip", level) as writer:
            for start in range(0, len(DATA), step):
                assert writer.write(DATA[start : start + step]) == len(DATA[start : start + step])
        assert writer.size == len(sink.data)
        outputs.append(sink.data)
    assert outputs[0][:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert [gzip.decompress(output) for output in outputs] == [DATA, DATA]
    assert [zlib.decompress(output, 31) for output in outputs] == [DATA, DATA]


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_the_same_writes_make_the_same_bytes(form: str) -> None:
    sinks = [Sink(), Sink()]
    for sink in sinks:
        with CompressWriter(sink, form) as writer:
            writer.write(DATA)
    assert sinks[0].data == sinks[1].data
    assert len(sinks[0].data) < len(DATA)
    assert open_stream(io.BytesIO(sinks[0].data)).read() == DATA


def test_none_passes_through_and_empty_streams_are_whole() -> None:
    sink = Sink()
    with CompressWriter(sink, "none") as writer:
        writer.write(DATA)
    assert sink.data == DATA
    for form in ("gzip", "zstd"):
        sink = Sink()
        CompressWriter(sink, form).close()
        assert open_stream(io.BytesIO(sink.data), form).read() == b""


def test_a_failed_writer_does_not_end_the_stream() -> None:
    sink = Sink()
    with pytest.raises(RuntimeError), CompressWriter(sink, "gzip") as writer:
        writer.write(DATA)
        raise RuntimeError
    with pytest.raises(CorruptError):
        open_stream(io.BytesIO(sink.data), "gzip").read()


def test_other_compressions_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        open_stream(io.BytesIO(b""), "lz4")
    with pytest.raises(InvalidArgumentError):
        CompressWriter(Sink(), "xz")
