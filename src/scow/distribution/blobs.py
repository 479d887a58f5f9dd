# SPDX-License-Identifier: Apache-2.0
"""Downloading blobs: resumed where they broke off, from several connections when one is slow.

A :class:`BlobReader` gives exactly ``size`` bytes or raises; :func:`download` also checks the digest and starts over
once, because a resumed download may stand on bad bytes. Neither holds more than a few buffers in memory.
"""

from __future__ import annotations

import io
import threading
import time

from scow.base.streams import BlobMismatchError, HashingWriter
from scow.distribution import spec
from scow.distribution.wire import ConnectionLostError
from scow.errors import CancelledError, ScowError
from scow.oci.mediatype import is_foreign
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scow.distribution.challenge import Scope
    from scow.distribution.repository import Repository
    from scow.distribution.session import Session
    from scow.distribution.wire import Response
    from scow.oci.digest import Digest
    from scow.oci.model import Descriptor

CHUNK = 1 << 20
_PROGRESS = 64 << 10
_MAX_RESUMES = 10_000


class Sink(Protocol):
    """Where downloaded bytes go: an ingest of the content store."""

    @property
    def offset(self) -> int:
        """Bytes so far."""

    @property
    def digest(self) -> Digest:
        """Of all bytes so far."""

    def write(self, data: memoryview, /) -> int:
        """Append bytes."""

    def rewind(self) -> None:
        """Forget all bytes."""


class Ranges(NamedTuple):
    """When one blob is fetched over several connections.

    Attributes:
        connections: How many; 1 for never.
        least: Bytes that must be left for it to be worth while.
        below: Bytes a second under which one connection counts as slow.
        segment: Bytes asked for at a time; ``connections`` of them are held in memory.
    """

    connections: int = 4
    least: int = 48 << 20
    below: float = 24e6
    segment: int = 4 << 20


class BlobReader(io.RawIOBase):
    """A blob as a stream that survives lost connections and falls back from mirrors to the registry.

    Args:
        repository: Where it is.
        desc: What.
        offset: How many bytes to skip.
        sources: Where to ask, in this order; by default wherever the repository is.
    """

    def __init__(
        self, repository: Repository, desc: Descriptor, offset: int = 0, sources: Sequence[Session] = ()
    ) -> None:
        super().__init__()
        self._repository = repository
        self._desc = desc
        self._sources = list(sources) or repository.sources()
        self._response: Response | None = None
        self._fails = 0
        self._resumes = 0
        self._mark = offset
        self.position = offset
        self.ranges = False

    def readable(self) -> bool:
        """It is."""
        return True

    @property
    def session(self) -> Session:
        """Where the bytes come from now."""
        return self._sources[0]

    @property
    def resumed(self) -> bool:
        """Whether the bytes came in more than one piece."""
        return self._resumes > 0

    def next_source(self) -> bool:
        """Give up the present source; ``False`` when there is no other."""
        self.drop()
        if len(self._sources) > 1:
            del self._sources[0]
            self._fails = 0
            return True
        return False

    def readinto(self, buffer: Any, /) -> int:
        """Read some bytes; 0 only after the last one.

        Raises:
            ConnectionLostError: All attempts failed.
            BlobMismatchError: The registry offers another number of bytes.
        """
        view = memoryview(buffer)
        while True:
            left = self._desc.size - self.position
            if left <= 0:
                self._end()
                return 0
            try:
                if self._response is None:
                    self._response = self._open()
                count = self._response.readinto(view[:left])
                if not count:
                    raise ConnectionLostError(f"blob {self._desc.digest} ended {left} bytes early")
            except ConnectionLostError as error:
                self._lost(error)
                continue
            except ScowError:
                if not self.next_source():
                    raise
                continue
            self.position += count
            if count == left:
                self._end()
            return count

    def _open(self) -> Response:
        session = self._sources[0]
        desc, at = self._desc, self.position
        headers = {"Range": f"bytes={at}-"} if at else {}
        response = _request(self._repository, session, desc, headers)
        response.stream()
        span = spec.content_range(response.headers.get("content-range"))
        self.ranges = response.headers.get("accept-ranges", "").lower() == "bytes" or response.status == 206
        start = 0
        if response.status == 206:
            start = span.first if span else -1
            if span is None or start != at or (span.total is not None and span.total != desc.size):
                response.abandon()
                raise spec.BadAnswerError(
                    f"blob {desc.digest}: the registry answered with another range than asked for"
                )
        if response.length is not None and start + response.length != desc.size:
            found = start + response.length
            response.abandon()
            raise BlobMismatchError(f"blob {desc.digest}: the registry offers {found} bytes instead of {desc.size}")
        self._skip(response, at - start)
        return response

    def _skip(self, response: Response, count: int) -> None:
        # the server does not do ranges: what is here already comes again, and is passed over
        buffer = memoryview(bytearray(min(CHUNK, count))) if count else memoryview(b"")
        while count:
            got = response.readinto(buffer[:count])
            if not got:
                raise ConnectionLostError(f"blob {self._desc.digest} ended early")
            count -= got

    def _lost(self, error: ConnectionLostError) -> None:
        self.drop()
        session = self._sources[0]
        session.stopper.check()
        self._resumes += 1
        if self.position - self._mark >= _PROGRESS:
            self._mark, self._fails = self.position, 0
        self._fails += 1
        if error.refused or self._fails >= session.retry.attempts or self._resumes > _MAX_RESUMES:
            if not self.next_source():
                raise error
            return
        if self._fails > 1:
            session.stopper.wait(session.retry.delay(self._fails - 1))

    def _end(self) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        if response.length is None:
            # not told how long the body is: it must end here
            try:
                more = response.readinto(memoryview(bytearray(1)))
            except ConnectionLostError:
                more = 0
            if more:
                response.abandon()
                raise BlobMismatchError(
                    f"blob {self._desc.digest}: the registry sends more than {self._desc.size} bytes"
                )
        response.close()

    def drop(self) -> None:
        """Close the connection; the next read makes another."""
        response, self._response = self._response, None
        if response is not None:
            response.abandon()

    def close(self) -> None:
        """Close the connection."""
        self.drop()
        super().close()


def _request(repository: Repository, session: Session, desc: Descriptor, headers: dict[str, str]) -> Response:
    what = f"blob {desc.digest} of {repository.shown}"
    scopes: tuple[Scope, ...] = ()
    path = ""
    if is_foreign(desc):
        # it is not in the registry, and the registry's credentials stay away from elsewhere
        path = desc.urls[0]
    else:
        path = spec.blob_path(session.endpoint.path, desc.digest)
        scopes = repository.scopes("pull", session=session)
    return session.request(what, "GET", path, scopes=scopes, headers=headers, ok={200, 206})


def download(
    repository: Repository,
    desc: Descriptor,
    sink: Sink,
    *,
    report: Callable[[int], None],
    ranges: Ranges | None = None,
) -> None:
    """Bring a blob into ``sink``, from the byte it has reached already.

    Args:
        repository: Where it is.
        desc: What.
        sink: Where to; on return it holds exactly the blob.
        report: Told how many bytes the sink has.
        ranges: When to use several connections.

    Raises:
        BlobMismatchError: The registry's bytes are not those of the descriptor; the sink is empty then.
        ScowError: The registry refuses, or cannot be reached.
    """
    if sink.offset > desc.size:
        sink.rewind()
    sources = repository.sources()
    # bytes of an earlier run, or pieces of different answers, may be to blame for a wrong digest: then the source has
    # a second chance, in one piece
    chances, patient = (2, False) if sink.offset else (1, True)
    allowed = ranges or Ranges()
    while True:
        with BlobReader(repository, desc, sink.offset, sources) as reader:
            _fill(reader, desc, sink, report, allowed)
            if sink.digest == desc.digest:
                return
            if reader.resumed and patient:
                chances, patient = chances + 1, False
        found = sink.digest
        sink.rewind()
        report(0)
        chances -= 1
        allowed = allowed._replace(connections=1)
        if not chances:
            del sources[0]
            chances = 1
        if not sources:
            raise BlobMismatchError(
                f"blob {desc.digest} of {repository.shown}: the registry's bytes have the digest {found}",
                hint="The registry's copy is damaged, or something between changed it; nothing was stored.",
            )


def read_blob(repository: Repository, desc: Descriptor) -> bytes:
    """Bring a small blob, such as a config, into memory.

    Args:
        repository: Where it is.
        desc: What; the caller has looked at its size.

    Raises:
        BlobMismatchError: The registry's bytes are not those of the descriptor.
        ScowError: The registry refuses, or cannot be reached.
    """
    sink = _Memory(desc.digest.algorithm)
    download(repository, desc, sink, report=lambda _: None)
    return sink.data.getvalue()


class _Memory:
    """Keeps a small blob."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self.rewind()

    def rewind(self) -> None:
        self.data = io.BytesIO()
        self._writer = HashingWriter(self.data, self._algorithm)

    @property
    def offset(self) -> int:
        return self._writer.size

    @property
    def digest(self) -> Digest:
        return self._writer.digest

    def write(self, data: memoryview, /) -> int:
        return self._writer.write(data)


def _fill(reader: BlobReader, desc: Descriptor, sink: Sink, report: Callable[[int], None], ranges: Ranges) -> None:
    stopper = reader.session.stopper
    buffer = memoryview(bytearray(min(CHUNK, max(1, desc.size))))
    started, base = time.monotonic(), sink.offset
    single = ranges.connections < 2
    while sink.offset < desc.size:
        stopper.check()
        count = reader.readinto(buffer)
        if not count:
            break
        sink.write(buffer[:count])
        report(sink.offset)
        if not single and reader.ranges and desc.size - sink.offset >= ranges.least:
            passed = time.monotonic() - started
            if passed >= 1.0:
                single = True
                if (sink.offset - base) / passed < ranges.below:
                    _fill_ranged(reader, desc, sink, report, ranges)
                    return


class _Segments:
    """Segments fetched ahead by several threads, handed out in order."""

    def __init__(self, start: int, size: int, ranges: Ranges) -> None:
        self.condition = threading.Condition()
        self.next = start
        self.written = start
        self.size = size
        self.step = ranges.segment
        self.ahead = ranges.segment * ranges.connections
        self.ready: dict[int, bytearray] = {}
        self.failure: BaseException | None = None

    def take(self) -> int | None:
        """Where the next segment begins; waits until it would not be too far ahead; ``None`` at the end."""
        with self.condition:
            while self.failure is None and self.next < self.size and self.next - self.written >= self.ahead:
                self.condition.wait(1.0)
            if self.failure is not None or self.next >= self.size:
                return None
            at = self.next
            self.next += self.step
            return at

    def put(self, at: int, data: bytearray) -> None:
        with self.condition:
            self.ready[at] = data
            self.condition.notify_all()

    def fail(self, error: BaseException) -> None:
        with self.condition:
            self.failure = self.failure or error
            self.condition.notify_all()

    def check(self) -> None:
        """Stop the caller when nobody wants segments any more.

        Raises:
            CancelledError: It is so.
        """
        if self.failure is not None:
            raise CancelledError("the download has ended")

    def get(self) -> bytearray:
        """The segment that comes next in the blob."""
        with self.condition:
            while self.written not in self.ready:
                if self.failure is not None:
                    raise self.failure
                self.condition.wait(1.0)
            return self.ready.pop(self.written)

    def advance(self, count: int) -> None:
        with self.condition:
            self.written += count
            self.condition.notify_all()


def _fill_ranged(
    reader: BlobReader, desc: Descriptor, sink: Sink, report: Callable[[int], None], ranges: Ranges
) -> None:
    from scow.base.tasks import start_thread

    repository, session = reader._repository, reader.session  # noqa: SLF001
    reader.drop()
    segments = _Segments(sink.offset, desc.size, ranges)

    def work() -> None:
        try:
            while (at := segments.take()) is not None:
                length = min(ranges.segment, desc.size - at)
                segments.put(at, _segment(repository, session, desc, at, length, segments.check))
        except BaseException as error:
            segments.fail(error)

    threads: list[threading.Thread] = []
    try:
        while len(threads) < ranges.connections:
            thread = threading.Thread(target=work, daemon=True)
            start_thread(thread)
            threads.append(thread)
        while sink.offset < desc.size:
            session.stopper.check()
            data = segments.get()
            sink.write(memoryview(data))
            segments.advance(len(data))
            report(sink.offset)
    except ConnectionLostError:
        pass  # the plain way has more patience
    except BaseException as error:
        segments.fail(error)
        raise
    finally:
        segments.fail(ConnectionLostError("the download has ended"))
        for thread in threads:
            thread.join()
    reader.position = sink.offset
    if sink.offset < desc.size:
        _fill(reader, desc, sink, report, ranges._replace(connections=1))


def _segment(
    repository: Repository, session: Session, desc: Descriptor, at: int, length: int, check: Callable[[], None]
) -> bytearray:
    failure: ScowError = ConnectionLostError("no attempt was made")
    for attempt in range(1, session.retry.attempts + 1):
        session.stopper.check()
        check()
        data = bytearray(length)
        view = memoryview(data)
        got = 0
        try:
            with _request(repository, session, desc, {"Range": f"bytes={at}-{at + length - 1}"}) as response:
                response.stream()
                span = spec.content_range(response.headers.get("content-range"))
                if response.status != 206 or span is None or (span.first, span.last) != (at, at + length - 1):
                    response.abandon()
                    raise ConnectionLostError("the server answers with other ranges than asked for")
                while got < length:
                    check()
                    count = response.readinto(view[got:])
                    if not count:
                        raise ConnectionLostError("a range ended early")
                    got += count
                return data
        except ConnectionLostError as error:
            failure = error
            session.stopper.wait(session.retry.delay(attempt))
    raise failure
