# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange: a connection, a body to send, a guarded answer to read.

Every read is guarded: a peer that goes silent, dribbles, sends headers without end or stops before the promised
length ends in a :class:`ConnectionLostError`, never in a hang and never in short data taken for the whole.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from scow.distribution import spec
from scow.errors import LimitError, UnavailableError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from http.client import HTTPConnection
    from typing import Self

    from scow.base.streams import Readable

BUFFER = 64 << 10
SEND_CHUNK = 256 << 10


class ConnectionLostError(UnavailableError):
    """The connection could not be made, broke, stalled or ended too early; trying again may help.

    Attributes:
        refused: Nobody listens there, or the name does not exist: trying again at once cannot help.
    """

    code = "connection-lost"
    refused = False


class Timeouts(NamedTuple):
    """How long to wait, in seconds; ``slowest`` is in bytes for each second, measured over ``window`` seconds."""

    connect: float = 20.0
    read: float = 60.0
    headers: float = 120.0
    slowest: int = 512
    window: float = 60.0


class Body(NamedTuple):
    """What a request sends.

    Attributes:
        open: Gives the bytes from the start; called again when the request has to be repeated.
        size: How many, or ``None`` when unknown (sent in chunks then).
    """

    open: Callable[[], Readable]
    size: int | None


def bytes_body(data: bytes) -> Body:
    """A body held in memory."""
    return Body(lambda: io.BytesIO(data), len(data))


class _Guard(io.RawIOBase):
    """A socket's reading side with a deadline and a lowest speed."""

    def __init__(self, sock: socket.socket, timeouts: Timeouts) -> None:
        super().__init__()
        self._sock = sock
        # makefile keeps the socket open until it is closed itself, whatever http.client closes before
        self._raw = cast("io.RawIOBase", sock.makefile("rb", buffering=0))
        self._timeouts = timeouts
        self.deadline: float | None = time.monotonic() + timeouts.headers
        self._window = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        now = time.monotonic()
        limits = self._timeouts
        wait = limits.read
        if self.deadline is not None:
            wait = min(wait, self.deadline - now)
            if wait <= 0:
                raise TimeoutError("no complete answer in time")
        elif now - self._window >= limits.window:
            if self._received < limits.slowest * limits.window and self._window:
                raise TimeoutError(f"fewer than {limits.slowest} bytes per second")
            self._window, self._received = now, 0
        self._sock.settimeout(wait)
        count = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """Gives whole lines only: http.client takes headers that were cut off for headers that ended."""

    def readline(self, size: int | None = -1, /) -> bytes:
        limit = -1 if size is None else size
        line = super().readline(limit)
        if not line.endswith(b"\n") and (limit < 0 or len(line) < limit):
            raise ConnectionResetError("the connection was closed in the middle of the answer")
        return line


class _GuardedSocket:
    """What HTTPResponse needs of a socket: only ``makefile``."""

    def __init__(self, guard: _Guard) -> None:
        self._guard = guard

    def makefile(self, _mode: str) -> io.BufferedReader:
        return _Lines(self._guard, BUFFER)


class Response:
    """An answer whose body is still to be read. Close it, or use it in a ``with`` block.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; values of repeated headers are joined by a comma.
        pairs: The headers as they came.
        url: What was asked in the end, after redirects.
        length: Bytes of the body still to come, or ``None`` when the server did not say.
    """

    def __init__(
        self, answer: HTTPResponse, guard: _Guard, url: str, method: str, done: Callable[[bool], None]
    ) -> None:
        self._answer = answer
        self._guard = guard
        self._done: Callable[[bool], None] | None = done
        self.status = answer.status
        self.pairs = [(str(name), str(value)) for name, value in answer.getheaders()]
        self.headers: dict[str, str] = {}
        for name, value in self.pairs:
            key = name.lower()
            self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else value
        self.url = url
        self.length: int | None = answer.length if method != "HEAD" else 0

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, by its lower-case name."""
        return [value for key, value in self.pairs if key.lower() == name]

    def stream(self) -> None:
        """From now on bound the speed, not the total time: for bodies of any size."""
        self._guard.deadline = None

    def readinto(self, buffer: memoryview) -> int:
        """Read what has arrived, at least one byte.

        Returns:
            How many bytes; 0 only at the true end of the body.

        Raises:
            ConnectionLostError: The peer stalled or ended before the promised length.
        """
        answer = self._answer
        if answer.fp is None or self.length == 0:
            return 0
        try:
            if answer.chunked:
                data = answer.read1(len(buffer))
                buffer[: len(data)] = data
                return len(data)
            if self.length is not None:
                buffer = buffer[: self.length]
            count = answer.fp.readinto1(buffer)  # fp is a BufferedReader, see _GuardedSocket
        except (OSError, HTTPException, ValueError) as error:
            self.abandon()
            raise lost(f"reading from {host_of(self.url)}", error) from error
        if self.length is not None:
            self.length -= count
            answer.length = self.length
            if not count:
                self.abandon()
                raise ConnectionLostError(f"{host_of(self.url)} closed the connection {self.length} bytes early")
        return int(count)

    def read(self, limit: int, what: str = "answer") -> bytes:
        """Read the whole body.

        Raises:
            LimitError: It has more than ``limit`` bytes.
            ConnectionLostError: The peer stalled or ended before the promised length.
        """
        if self.length is not None and self.length > limit:
            self.abandon()
            raise LimitError(
                f"the {what} of {host_of(self.url)} has {self.length} bytes, more than the {limit} allowed"
            )
        parts: list[bytes] = []
        total = 0
        buffer = memoryview(bytearray(min(BUFFER, limit + 1)))
        while count := self.readinto(buffer):
            total += count
            if total > limit:
                self.abandon()
                raise LimitError(f"the {what} of {host_of(self.url)} has more than {limit} bytes")
            parts.append(bytes(buffer[:count]))
        return b"".join(parts)

    def error_body(self) -> bytes:
        """As much of the body as is wanted of a failed request; never raises."""
        try:
            return self.read(spec.MAX_ERROR_BODY)
        except (LimitError, ConnectionLostError):
            return b""

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        answer = self._answer
        ended = answer.isclosed() or self.length == 0
        if not ended and self.length is not None and self.length <= BUFFER:
            self.error_body()
            ended = self.length == 0
        self._finish(ended and not answer.will_close)

    def abandon(self) -> None:
        """Close the connection, whatever is left to read."""
        self._finish(False)

    def _finish(self, reusable: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._answer.close()
            done(reusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def exchange(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: Body | None,
    timeouts: Timeouts,
) -> tuple[HTTPResponse, _Guard]:
    """Send one request over an open connection and read the head of the answer.

    Raises:
        OSError: The connection broke or stalled; or the source of the body failed.
        HTTPException: The peer does not speak HTTP.
    """
    connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None and body.size is not None:
        connection.putheader("Content-Length", str(body.size))
    elif body is not None:
        connection.putheader("Transfer-Encoding", "chunked")
    elif method in {"POST", "PUT", "PATCH"}:
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    sock: socket.socket = connection.sock
    if body is not None:
        sock.settimeout(timeouts.read)
        try:
            _send(sock, body)
        except (BrokenPipeError, ConnectionResetError):
            # the server may have answered before it hung up (413, 401): that answer is the better error
            connection.close_after = True  # type: ignore[attr-defined]
    guard = _Guard(sock, timeouts)
    guarded = cast("socket.socket", _GuardedSocket(guard))
    # getresponse keeps the books of the connection, without which it could not be used again
    connection.response_class = lambda _sock, **_: HTTPResponse(guarded, method=method)  # type: ignore[assignment]
    return connection.getresponse(), guard


def _send(sock: socket.socket, body: Body) -> None:
    source = body.open()
    try:
        _send_all(sock, source, body.size)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _send_all(sock: socket.socket, source: Readable, left: int | None) -> None:
    waits = _early_answer(sock)
    while left is None or left > 0:
        data = source.read(SEND_CHUNK if left is None else min(SEND_CHUNK, left))
        if left is None:
            sock.sendall(b"%x\r\n" % len(data) + data + b"\r\n" if data else b"0\r\n\r\n")
            if not data:
                return
        elif not data:
            raise ConnectionLostError(f"the content to send ended {left} bytes early")
        else:
            sock.sendall(data)
            left -= len(data)
        if left != 0 and waits():
            raise BrokenPipeError("the server answered before it had everything")


def _early_answer(sock: socket.socket) -> Callable[[], bool]:
    import select

    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if hasattr(sock, "pending"):
        # TLS session tickets arrive as readable bytes that are no answer
        return lambda: False
    return lambda: bool(poll.poll(0))


def host_of(url: str) -> str:
    """``host[:port]`` of a URL, without user and password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def lost(doing: str, error: BaseException) -> ConnectionLostError:
    """Map what a socket, TLS or http.client raises to one error.

    Args:
        doing: What was tried, such as ``"connecting to localhost:5000"``.
        error: What was raised.
    """
    import socket

    if isinstance(error, ConnectionLostError):
        return error
    if isinstance(error, TimeoutError):
        text = str(error) if str(error) not in {"timed out", ""} else "no answer in time"
    elif isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
        text = "no such host"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror[0].lower() + error.strerror[1:]
    else:
        text = str(error) or type(error).__name__
    made = ConnectionLostError(f"{doing}: {text[:300]}")
    made.refused = isinstance(error, ConnectionRefusedError) or (
        isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
    )
    return made
