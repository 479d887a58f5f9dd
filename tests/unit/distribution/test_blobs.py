# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
import threading
from types import SimpleNamespace

import pytest

from fakes.registry import FakeRegistry, Fault
from fakes.sinks import Sink
from scow.base.files import NoSpaceError
from scow.base.streams import BlobMismatchError
from scow.distribution import spec
from scow.distribution.blobs import Ranges, _fill_ranged, download, read_blob
from scow.distribution.client import RegistryClient
from scow.distribution.http1 import Timeouts
from scow.distribution.session import RetryPolicy, Stopper
from scow.distribution.wire import ConnectionLostError
from scow.errors import UnavailableError
from scow.oci.digest import Digest
from scow.oci.model import Descriptor
from scow.oci.reference import Reference

QUICK = RetryPolicy(attempts=3, first=0.001, longest=0.002, patience=1.0)


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


def client(tmp_path, **kwargs):
    return RegistryClient(str(tmp_path), {}, retry=QUICK, **kwargs)


def repository(registry, tmp_path, **kwargs):
    return client(tmp_path, **kwargs).repository(Reference.parse(f"{registry.address}/a/b"))


def blob(registry, size, seed=1):
    data = random.Random(seed).randbytes(size)
    digest = registry.put_blob("a/b", data)
    return data, Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", Digest(digest), size)


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_blob_arrives_whole(registry, tmp_path, size, chunked):
    registry.chunked = chunked
    data, desc = blob(registry, size)
    sink, told = Sink(), []
    download(repository(registry, tmp_path), desc, sink, report=told.append)
    assert bytes(sink.data) == data
    assert not size or told[-1] == size


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_that_is_cut_again_and_again_is_resumed(registry, tmp_path, ranges):
    registry.cut_after, registry.ranges = 700_000, ranges
    data, desc = blob(registry, 3_000_000)
    sink = Sink()
    if ranges:
        download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
        assert bytes(sink.data) == data
        # each connection brings its 700,000 bytes, and none comes twice
        assert registry.blob_bytes_out() == len(data)
    else:
        with pytest.raises(ConnectionLostError):
            download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
        assert sink.offset == 700_000


@pytest.mark.parametrize("ranges", [True, False])
def test_an_earlier_run_is_continued(registry, tmp_path, ranges):
    registry.ranges = ranges
    data, desc = blob(registry, 1_000_000)
    sink = Sink(data[:400_000])
    download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
    assert bytes(sink.data) == data
    assert sink.rewinds == 0
    assert registry.blob_bytes_out() == (600_000 if ranges else 1_000_000)


def test_wrong_bytes_of_an_earlier_run_are_fetched_again(registry, tmp_path):
    data, desc = blob(registry, 500_000)
    sink = Sink(b"x" * 100_000)
    download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
    assert bytes(sink.data) == data
    assert sink.rewinds == 1


def test_wrong_bytes_are_named_and_dropped(registry, tmp_path):
    _data, desc = blob(registry, 300_000)
    registry.blob_hook = lambda _r, d: d[:-1] + bytes([d[-1] ^ 1])
    sink = Sink()
    with pytest.raises(BlobMismatchError, match=desc.digest):
        download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
    assert not sink.data
    assert len(registry.requests("GET", "blob")) == 1


def test_a_small_blob_comes_into_memory_over_every_cut(registry, tmp_path):
    registry.cut_after = 70_000
    data, desc = blob(registry, 200_000)
    assert read_blob(repository(registry, tmp_path), desc) == data


def test_wrong_bytes_of_a_small_blob_are_refused(registry, tmp_path):
    _data, desc = blob(registry, 900)
    registry.blob_hook = lambda _r, d: bytes(len(d))
    with pytest.raises(BlobMismatchError, match=desc.digest):
        read_blob(repository(registry, tmp_path), desc)


@pytest.mark.parametrize("change", [lambda d: d + b"more", lambda d: d[:-1]])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_wrong_length_is_refused(registry, tmp_path, change, chunked):
    registry.chunked = chunked
    _, desc = blob(registry, 300_000)
    registry.blob_hook = lambda _r, d: change(d)
    with pytest.raises((BlobMismatchError, ConnectionLostError, spec.BadAnswerError, spec.RegistryRefusedError)):
        download(repository(registry, tmp_path), desc, Sink(), report=lambda _: None)


def test_a_body_without_end_is_not_read_beyond_the_promised_size(registry, tmp_path):
    _, desc = blob(registry, 100_000)

    def endless(request, data):
        return data * 1000

    registry.blob_hook, registry.chunked = endless, True
    sink = Sink()
    with pytest.raises(BlobMismatchError):
        download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
    assert registry.blob_bytes_out() < 20_000_000


def test_a_dribbling_server_is_given_up(registry, tmp_path):
    _, desc = blob(registry, 3_000_000)
    registry.rate, registry.piece = 20_000, 1000
    slow = Timeouts(connect=90, read=90, headers=90, slowest=100_000, window=0.2)
    with pytest.raises(ConnectionLostError, match="bytes per second"):
        download(repository(registry, tmp_path, timeouts=slow), desc, Sink(), report=lambda _: None)


def test_headers_without_end_are_given_up(registry, tmp_path):
    _, desc = blob(registry, 10)

    def dribble(request):
        import time

        for _ in range(50):
            time.sleep(0.1)
        raise Fault

    registry.hook = lambda r: dribble(r) if r.route == "blob" else None
    with pytest.raises(ConnectionLostError):
        download(
            repository(registry, tmp_path, timeouts=Timeouts(1, 0.2, 0.2, 1, 1)), desc, Sink(), report=lambda _: None
        )


def test_one_slow_connection_becomes_several(registry, tmp_path):
    data, desc = blob(registry, 6_000_000)
    registry.rate = 1_500_000
    ranges = Ranges(connections=4, least=1_000_000, below=1e9, segment=500_000)
    sink = Sink()
    download(repository(registry, tmp_path), desc, sink, report=lambda _: None, ranges=ranges)
    assert bytes(sink.data) == data
    spans = [r.headers.get("Range") for r in registry.requests("GET", "blob")]
    assert sum(span is not None for span in spans) >= 4


def test_several_connections_fall_back_to_one(registry, tmp_path):
    data, desc = blob(registry, 4_000_000)
    registry.rate = 1_500_000
    seen = []

    def lie(request, body):
        seen.append(request.headers.get("Range"))
        if request.headers.get("Range", "").count("-") == 1 and not request.headers["Range"].endswith("-"):
            registry.ranges = False  # answers 200 from now on
        return body

    registry.blob_hook = lie
    ranges = Ranges(connections=2, least=1_000_000, below=1e9, segment=500_000)
    sink = Sink()
    download(repository(registry, tmp_path), desc, sink, report=lambda _: None, ranges=ranges)
    assert bytes(sink.data) == data


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_passing_failures_are_tried_again(registry, tmp_path, status):
    data, desc = blob(registry, 1000)
    left = [2]

    def fail(request):
        if request.route == "blob" and left[0]:
            left[0] -= 1
            return status, {"Retry-After": "0"}, b""
        return None

    registry.hook = fail
    sink = Sink()
    download(repository(registry, tmp_path), desc, sink, report=lambda _: None)
    assert bytes(sink.data) == data


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "unauthenticated"), (403, "denied"), (404, "not-found"), (400, "refused")],
)
def test_lasting_failures_are_not(registry, tmp_path, status, kind):
    _, desc = blob(registry, 1000)
    registry.hook = lambda r: (status, {}, b"") if r.route == "blob" else None
    with pytest.raises(Exception) as caught:
        download(repository(registry, tmp_path), desc, Sink(), report=lambda _: None)
    assert kind in caught.value.code
    assert len(registry.requests("GET", "blob")) == 1


@pytest.mark.parametrize(
    "told",
    ["", "bytes 0-99/100", "bytes 41-99/100", "bytes 40-99/101", "bytes */100", "junk"],
)
def test_another_range_than_asked_for_is_refused(registry, tmp_path, told):
    data, desc = blob(registry, 100)
    registry.hook = lambda r: (
        (206, {"Content-Range": told} if told else {}, data[40:]) if r.headers.get("Range") else None
    )
    with pytest.raises(spec.BadAnswerError, match="another range than asked for"):
        download(repository(registry, tmp_path), desc, Sink(data[:40]), report=lambda _: None)


class Segmented:
    """Stands for a repository and its session: gives segments, all but the first one a byte at a time."""

    shown = "a/b"
    retry = QUICK

    def __init__(self):
        self.stopper = Stopper()
        self.over = threading.Event()
        self.late = 0

    endpoint = SimpleNamespace(path="a/b")

    def scopes(self, *_, session=None):
        return ()

    def request(self, _what, _method, _path, *, headers, **_):
        first, _, last = headers["Range"].removeprefix("bytes=").partition("-")
        return Piece(self, int(first), int(last))


class Piece:
    status = 206

    def __init__(self, owner, first, last):
        self.owner, self.left, self.slow = owner, last - first + 1, first > 0
        self.headers = {"content-range": f"bytes {first}-{last}/{1 << 20}"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def stream(self):
        pass

    def readinto(self, buffer):
        if self.slow:
            self.owner.over.wait()
            self.owner.late += 1
        count = min(1 if self.slow else len(buffer), self.left)
        self.left -= count
        return count


class FullSink(Sink):
    """The disk is full at the first segment."""

    def __init__(self, over):
        super().__init__()
        self.over = over

    def write(self, data):
        self.over.set()
        raise NoSpaceError("no space left")


def ranged(fake, sink):
    reader = SimpleNamespace(_repository=fake, session=fake, drop=lambda: None, position=0)
    desc = Descriptor("x", Digest("sha256:" + "0" * 64), 1 << 20)
    _fill_ranged(reader, desc, sink, lambda _: None, Ranges(connections=3, segment=1 << 16))


def test_segments_on_their_way_are_given_up_when_the_disk_is_full():
    fake = Segmented()
    with pytest.raises(NoSpaceError):
        ranged(fake, FullSink(fake.over))
    assert fake.late < 100  # of 65,536 bytes for each, one at a time


def test_no_thread_is_left_waiting_when_there_can_be_no_more_of_them(monkeypatch):
    started = []
    start = threading.Thread.start

    def reluctant(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", reluctant)
    fake = Segmented()
    fake.over.set()
    with pytest.raises(UnavailableError):
        ranged(fake, Sink())
    assert not started[0].is_alive()
