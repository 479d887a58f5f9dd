# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import io

import pytest

from scow.base.streams import (
    BlobMismatchError,
    BoundedReader,
    HashingReader,
    HashingWriter,
    VerifiedReader,
    copy_stream,
    write_all,
)
from scow.errors import CancelledError, LimitError
from scow.oci.digest import Digest, sha256_digest

DATA = bytes(range(256)) * 10


def drain(reader, size=100):
    parts = []
    while data := reader.read(size):
        parts.append(data)
    return b"".join(parts)


def test_hashing_reader_and_writer():
    reader = HashingReader(io.BytesIO(DATA))
    sink = io.BytesIO()
    writer = HashingWriter(sink, "sha512")
    assert copy_stream(reader, writer) == len(DATA)
    assert reader.digest == sha256_digest(DATA)
    assert writer.digest == "sha512:" + hashlib.sha512(DATA).hexdigest()
    assert reader.size == writer.size == len(DATA)
    assert sink.getvalue() == DATA


def test_hashing_writer_without_sink():
    writer = HashingWriter()
    writer.write(DATA)
    assert writer.digest == sha256_digest(DATA)


@pytest.mark.parametrize("size", [-1, 1, 7, len(DATA), len(DATA) + 5])
def test_bounded_reader_at_and_beyond_its_limit(size):
    assert drain(BoundedReader(io.BytesIO(DATA), len(DATA), "it"), size) == DATA
    with pytest.raises(LimitError, match="it is larger than the limit of 2559 bytes") as caught:
        drain(BoundedReader(io.BytesIO(DATA), len(DATA) - 1, "it", "SCOW_X"), size)
    assert "SCOW_X" in caught.value.hint


@pytest.mark.parametrize("size", [-1, 1, 100, len(DATA), 10 * len(DATA)])
@pytest.mark.parametrize("promised", [len(DATA), None])
def test_verified_reader_gives_what_was_promised(size, promised):
    reader = VerifiedReader(io.BytesIO(DATA), sha256_digest(DATA), promised)
    assert drain(reader, size) == DATA
    assert reader.read() == b""
    assert reader.read(0) == b""


@pytest.mark.parametrize("size", [-1, 1, 100, 10 * len(DATA)])
@pytest.mark.parametrize(
    ("data", "promised", "words"),
    [
        (DATA + b"x", len(DATA), "longer"),
        (DATA[:-1], len(DATA), "bytes instead of"),
        (DATA[:-1] + b"x", len(DATA), "has the digest"),
        (DATA[:-1], None, "has the digest"),
        (b"", len(DATA), "bytes instead of"),
    ],
)
def test_verified_reader_refuses_everything_else(size, data, promised, words):
    with pytest.raises(BlobMismatchError, match=words):
        drain(VerifiedReader(io.BytesIO(data), sha256_digest(DATA), promised), size)


def test_verified_reader_reads_at_most_one_byte_too_many():
    source = io.BytesIO(DATA + b"x" * 1000)
    with pytest.raises(BlobMismatchError):
        drain(VerifiedReader(source, sha256_digest(DATA), len(DATA)), 10_000)
    assert source.tell() == len(DATA) + 1


def test_other_algorithms():
    digest = Digest("sha512:" + hashlib.sha512(DATA).hexdigest())
    assert drain(VerifiedReader(io.BytesIO(DATA), digest)) == DATA


class Dripping:
    """Takes three bytes at a time."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data[:3])
        return min(3, len(data))


def test_write_all_insists():
    sink = Dripping()
    write_all(sink, DATA)
    assert sink.data == DATA


def test_copy_stream_stops_when_told():
    def stop():
        raise CancelledError("enough")

    sink = io.BytesIO()
    with pytest.raises(CancelledError):
        copy_stream(io.BytesIO(DATA), sink, stop, 16)
    assert len(sink.getvalue()) == 16
