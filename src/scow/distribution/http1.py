# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as a client of registries needs it: one connection, one exchange after the other, read strictly.

Every read is guarded: a peer that goes silent, dribbles, sends a head without end or stops before the promised length
ends in an error, never in a hang and never in short data taken for the whole. Python's ``http.client`` takes a head
that was cut off for one that ended, and brings a parser of e-mails with it, which costs a third of a small pull.

Source: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import socket
import time

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

BUFFER = 64 << 10
_MAX_LINE = 64 << 10
_MAX_HEAD = 256 << 10
_MAX_INTERIM = 8
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_NO_BODY = frozenset({204, 304})


class HttpError(Exception):
    """The peer does not speak HTTP/1.1 as it should."""


class Timeouts(NamedTuple):
    """How long to wait, in seconds; ``slowest`` is in bytes for each second, measured over ``window`` seconds."""

    connect: float = 20.0
    read: float = 60.0
    headers: float = 120.0
    slowest: int = 512
    window: float = 60.0


class Reader:
    """A socket's reading side with a deadline and a lowest speed.

    Args:
        sock: The socket.
        timeouts: How long to wait.

    Attributes:
        deadline: When everything must have been read (``time.monotonic``), or ``None`` to bound the speed only.
    """

    def __init__(self, sock: socket.socket, timeouts: Timeouts) -> None:
        self._sock = sock
        self._timeouts = timeouts
        self._timeout = -1.0
        self._window = 0.0
        self._received = 0
        self._buffer = b""
        self._at = 0
        self.deadline: float | None = time.monotonic() + timeouts.headers

    @property
    def has_rest(self) -> bool:
        """Whether bytes came that nobody has read."""
        return self._at < len(self._buffer)

    def _await(self) -> None:
        """Set how long the next read may take.

        Raises:
            TimeoutError: All the time is over, or too little came in the last while.
        """
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
        if wait != self._timeout:
            self._sock.settimeout(wait)
            self._timeout = wait

    def _fill(self) -> bool:
        self._await()
        data = self._sock.recv(BUFFER)
        self._received += len(data)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return bool(data)

    def readinto(self, buffer: memoryview) -> int:
        """Read what has arrived, at least one byte; 0 at the end of the stream."""
        if self._at < len(self._buffer):
            count = min(len(buffer), len(self._buffer) - self._at)
            buffer[:count] = memoryview(self._buffer)[self._at : self._at + count]
            self._at += count
            return count
        self._await()
        count = self._sock.recv_into(buffer)
        self._received += count
        return count

    def line(self, limit: int = _MAX_LINE) -> bytes:
        """Read a line, without its end.

        Raises:
            ConnectionResetError: The stream ended within it.
            HttpError: It is longer than ``limit`` bytes.
        """
        searched = self._at
        while True:
            end = self._buffer.find(b"\n", searched)
            if (end if end >= 0 else len(self._buffer)) - self._at > limit:
                raise HttpError(f"a line of the answer has more than {limit} bytes")
            if end >= 0:
                found = self._buffer[self._at : end]
                self._at = end + 1
                return found[:-1] if found[-1:] == b"\r" else found
            searched = len(self._buffer) - self._at
            if not self._fill():
                raise ConnectionResetError(
                    "the connection was closed in the middle of the answer"
                    if searched
                    else "the connection was closed without an answer"
                )


class Answer:
    """The head of an answer, and its body still to be read.

    Args:
        reader: Where it comes from.
        method: What was asked, which decides whether there is a body.

    Raises:
        OSError: The connection broke or stalled.
        HttpError: It is no HTTP.

    Attributes:
        status: The HTTP status.
        reason: The words beside it.
        pairs: Names and values of the headers as they came.
        left: Bytes of the body still to come, or ``None`` when that is not known.
        keep: Whether the connection can be used again after the body.
    """

    def __init__(self, reader: Reader, method: str) -> None:
        self.reader = reader
        self.status, self.reason, minor = _status(reader)
        for _ in range(_MAX_INTERIM):
            if not 100 <= self.status < 200 or self.status == 101:
                break
            _headers(reader)
            self.status, self.reason, minor = _status(reader)
        else:
            raise HttpError("the answer never begins")
        self.pairs = _headers(reader)
        options = {option.strip().lower() for value in self._all("connection") for option in value.split(",")}
        self.keep = "close" not in options and (minor >= 1 or "keep-alive" in options)
        self._chunk: int | None = None
        """Bytes left of the chunk that is read; ``None`` for a body that has no chunks."""
        self._frame(method)

    def _all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name]

    def _frame(self, method: str) -> None:
        """Find out where the body ends.

        Source: RFC 9112, section 6.3.
        """
        self.left: int | None = 0
        codings = [part.strip().lower() for value in self._all("transfer-encoding") for part in value.split(",")]
        lengths = {part.strip() for value in self._all("content-length") for part in value.split(",")}
        if method == "HEAD" or self.status in _NO_BODY or self.status < 200:
            return
        if codings:
            if codings != ["chunked"]:
                raise HttpError(f"the answer has the unknown transfer coding {', '.join(codings)[:100]}")
            self.left, self._chunk = None, 0
            # Source: RFC 9112, section 6.1: who sends both may try to smuggle something
            self.keep = self.keep and not lengths
        elif lengths:
            text = lengths.pop()
            if lengths or not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise HttpError("the answer's length makes no sense")
            self.left = int(text)
        else:
            self.left = None
            self.keep = False

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end."""
        return self.left == 0

    def readinto(self, buffer: memoryview) -> int:
        """Read what has arrived of the body, at least one byte.

        Returns:
            How many bytes; 0 only at the true end.

        Raises:
            OSError: The connection broke, stalled, or was closed too early.
            HttpError: The chunks make no sense.
        """
        if self.left == 0 or not buffer:
            return 0
        if self._chunk is not None:
            return self._from_chunk(buffer)
        count = self.reader.readinto(buffer if self.left is None else buffer[: self.left])
        if self.left is not None:
            if not count:
                raise ConnectionResetError(f"the connection was closed {self.left} bytes early")
            self.left -= count
        elif not count:
            self.left = 0
        return count

    def _from_chunk(self, buffer: memoryview) -> int:
        if not self._chunk:
            size = self.reader.line().partition(b";")[0].strip()
            if not size or len(size) > 16 or not _HEX.issuperset(size):
                raise HttpError("a chunk of the answer has no size")
            self._chunk = int(size, 16)
            if not self._chunk:
                _headers(self.reader)  # trailers
                self.left = 0
                return 0
        count = self.reader.readinto(buffer[: self._chunk])
        if not count:
            raise ConnectionResetError("the connection was closed in the middle of the answer")
        self._chunk -= count
        if not self._chunk and self.reader.line():
            raise HttpError("a chunk of the answer is longer than it says")
        return count


def _status(reader: Reader) -> tuple[int, str, int]:
    line = reader.line()
    version, _, rest = line.partition(b" ")
    code, _, reason = rest.strip().partition(b" ")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or len(code) != 3 or not code.isdigit() or code < b"100":
        raise HttpError(f"the answer is no HTTP: {line[:60].decode('latin-1')!r}")
    return int(code), reason.strip().decode("latin-1"), int(version[-1:])


def _headers(reader: Reader) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    total = 0
    while line := reader.line():
        total += len(line)
        if total > _MAX_HEAD:
            raise HttpError(f"the head of the answer has more than {_MAX_HEAD} bytes")
        if line[:1] in b" \t" and pairs:  # Source: RFC 9112, section 5.2: old servers fold lines
            name, value = pairs[-1]
            pairs[-1] = name, f"{value} {line.strip().decode('latin-1')}"
            continue
        raw, colon, rest = line.partition(b":")
        if not colon or not raw or not _TOKEN.issuperset(raw):
            raise HttpError(f"the answer has a header that is none: {line[:60].decode('latin-1')!r}")
        pairs.append((raw.decode("ascii"), rest.strip(b" \t\r").decode("latin-1")))
    return pairs


def head(method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The head of a request.

    Args:
        method: Such as ``GET``.
        target: A path, an absolute URL for a proxy, or ``host:port`` for a tunnel.
        headers: Names and values.

    Raises:
        ValueError: One holds what would end it.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if not target.isascii() or any(ord(sign) <= 32 or ord(sign) == 127 for sign in target):
        raise ValueError(f"{target[:200]!r} cannot be asked for")
    if any("\n" in line or "\r" in line or "\0" in line for line in lines):
        raise ValueError("a header of the request holds more than one line")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Connection:
    """A connection to a server, perhaps through a proxy; not yet open.

    Args:
        host: Name or address, without brackets.
        port: The port.
        context: For TLS.

    Attributes:
        sock: The socket, ``None`` while it is closed.
        timeout: For opening it, in seconds.
        proxy: Host and port to dial instead.
        tunnel: What the proxy is told besides to lead us on; ``None`` for a proxy that is asked for URLs.
        broken: It must not be used again.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self.context = context
        self.sock: socket.socket | None = None
        self.timeout = 20.0
        self.proxy: tuple[str, int] | None = None
        self.tunnel: Mapping[str, str] | None = None
        self.broken = False

    def connect(self) -> None:
        """Open it.

        Raises:
            OSError: Nobody listens, the certificate is wrong, or the proxy refuses.
            HttpError: The proxy does not speak HTTP.
        """
        # the socket is kept at once, so that somebody else can end what it waits for
        self.sock = _dial(self.proxy or (self.host, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tunnel is not None:
            self._pass_through(self.sock, self.tunnel)
        if self.context is not None:
            self.sock.settimeout(self.timeout)
            self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)

    def _pass_through(self, sock: socket.socket, headers: Mapping[str, str]) -> None:
        place = f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        sock.sendall(head("CONNECT", place, [("Host", place), *headers.items()]))
        reader = Reader(sock, Timeouts(headers=self.timeout))
        answer = Answer(reader, "HEAD")
        if not 200 <= answer.status < 300 or reader.has_rest:
            raise OSError(f"the proxy refuses: {answer.status} {answer.reason}".rstrip())

    def close(self) -> None:
        """Close it; harmless when it is closed."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()


def _dial(address: tuple[str, int], timeout: float) -> socket.socket:
    """Connect; a name in ASCII is handed over as bytes, for text would load tables of Unicode for nothing."""
    host, port = address
    return socket.create_connection((host.encode() if host.isascii() else host, port), timeout)  # type: ignore[arg-type]
