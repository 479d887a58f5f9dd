# SPDX-License-Identifier: Apache-2.0
"""One exchange with a registry: a body to send, an answer to read, and one error for all that can break."""

from __future__ import annotations

import io

from scow.distribution import spec
from scow.distribution.http1 import BUFFER, Answer, HttpError, Reader, head
from scow.errors import LimitError, UnavailableError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Self

    from scow.base.streams import Readable
    from scow.distribution.http1 import Connection, Timeouts

SEND_CHUNK = 256 << 10


class ConnectionLostError(UnavailableError):
    """The connection could not be made, broke, stalled or ended too early; trying again may help.

    Attributes:
        refused: Nobody listens there, or the name does not exist: trying again at once cannot help.
    """

    code = "connection-lost"
    refused = False


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


class Response:
    """An answer whose body is still to be read. Close it, or use it in a ``with`` block.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; values of repeated headers are joined by a comma.
        pairs: The headers as they came.
        url: What was asked in the end, after redirects.
    """

    def __init__(self, answer: Answer, url: str, done: Callable[[bool], None]) -> None:
        self._answer = answer
        self._done: Callable[[bool], None] | None = done
        self.status = answer.status
        self.pairs = answer.pairs
        self.headers: dict[str, str] = {}
        for name, value in self.pairs:
            key = name.lower()
            self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else value
        self.url = url

    @property
    def length(self) -> int | None:
        """Bytes of the body still to come, or ``None`` when the server did not say."""
        return self._answer.left

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, by its lower-case name."""
        return [value for key, value in self.pairs if key.lower() == name]

    def stream(self) -> None:
        """From now on bound the speed, not the total time: for bodies of any size."""
        self._answer.reader.deadline = None

    def readinto(self, buffer: memoryview) -> int:
        """Read what has arrived, at least one byte.

        Returns:
            How many bytes; 0 only at the true end of the body.

        Raises:
            ConnectionLostError: The peer stalled or ended before the promised length.
        """
        try:
            return self._answer.readinto(buffer)
        except (OSError, HttpError) as error:
            self.abandon()
            raise lost(f"reading from {host_of(self.url)}", error) from error

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
        if not answer.ended and answer.left is not None and answer.left <= BUFFER:
            self.error_body()
        self._finish(answer.ended and answer.keep and not answer.reader.has_rest)

    def abandon(self) -> None:
        """Close the connection, whatever is left to read."""
        self._finish(False)

    def _finish(self, reusable: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(reusable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def exchange(
    connection: Connection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: Body | None,
    timeouts: Timeouts,
) -> Answer:
    """Send one request over an open connection and read the head of the answer.

    Args:
        connection: Open.
        method: Such as ``GET``.
        target: A path, or an absolute URL for a proxy.
        headers: ``Host`` among them.
        body: What to send.
        timeouts: How long to wait.

    Raises:
        OSError: The connection broke or stalled; or the source of the body failed.
        HttpError: The peer does not speak HTTP.
    """
    lines = list(headers.items())
    if body is not None:
        lines.append(("Transfer-Encoding", "chunked") if body.size is None else ("Content-Length", str(body.size)))
    elif method in {"POST", "PUT", "PATCH"}:
        lines.append(("Content-Length", "0"))
    sock = connection.sock
    if sock is None:
        raise ConnectionResetError("the connection is closed")
    sock.settimeout(timeouts.read)
    sock.sendall(head(method, target, lines))
    if body is not None:
        try:
            _send(sock, body)
        except (BrokenPipeError, ConnectionResetError):
            # the server may have answered before it hung up (413, 401): that answer is the better error
            connection.broken = True
    return Answer(Reader(sock, timeouts), method)


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
    """Map what a socket, TLS or HTTP raises to one error.

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
