# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 for registries: a pool of connections, TLS, proxies and redirects.

Promises: credentials never follow a redirect to another origin, a redirect never leads from TLS to plain HTTP, and no
more than ``IDLE`` connections are kept for a host. Safe to use from several threads. Nothing is retried here except a
request without a body on a kept connection that the server had closed in the meantime.
"""

from __future__ import annotations

import threading

from scow.distribution import spec
from scow.distribution.address import parse_address, same_origin
from scow.distribution.http1 import HttpError, Timeouts
from scow.distribution.wire import ConnectionLostError, Response, bytes_body, exchange, host_of, lost
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.distribution.address import Address
    from scow.distribution.http1 import Connection
    from scow.distribution.proxies import Proxies
    from scow.distribution.tls import TlsPolicy
    from scow.distribution.wire import Body

IDLE = 8
MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RedirectError(spec.BadAnswerError):
    """A redirect that may not be followed."""

    code = "bad-redirect"


class Transport(Protocol):
    """The one seam to the network; tests put their own in its place."""

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | bytes | None = None,
        redirects: bool = True,
    ) -> Response:
        """Send one request.

        Args:
            method: Such as ``GET``.
            url: Absolute, http or https.
            headers: Of the request.
            body: What to send.
            redirects: Whether to follow them.

        Returns:
            The answer, whatever its status; the caller closes it.

        Raises:
            ConnectionLostError: No answer came.
            RedirectError: Redirects in a circle, or to somewhere that may not be followed.
        """

    def close(self) -> None:
        """Close every connection, also those that other threads wait for."""


class _Key(NamedTuple):
    scheme: str
    host: str
    port: int
    proxy: str


class HttpTransport:
    """The :class:`Transport` over real sockets.

    Args:
        tls: Certificates for each host.
        proxies: Which proxy serves which host.
        user_agent: What scow calls itself.
        timeouts: How long to wait.
    """

    def __init__(self, tls: TlsPolicy, proxies: Proxies, user_agent: str, timeouts: Timeouts | None = None) -> None:
        self._tls = tls
        self._proxies = proxies
        self._agent = user_agent
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._closed = False

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | bytes | None = None,
        redirects: bool = True,
    ) -> Response:
        """See :meth:`Transport.send`."""
        payload = bytes_body(body) if isinstance(body, bytes) else body
        wanted = dict(headers)
        wanted.setdefault("User-Agent", self._agent)
        seen = 0
        while True:
            response = self._once(method, url, wanted, payload)
            location = response.headers.get("location", "")
            if not redirects or response.status not in _REDIRECTS or not location:
                return response
            response.close()
            seen += 1
            if seen > MAX_REDIRECTS:
                raise RedirectError(f"{host_of(url)} redirects more than {MAX_REDIRECTS} times")
            target = spec.join(url, location).partition("#")[0]
            _check_redirect(url, target)
            if not same_origin(url, target):
                wanted = {name: value for name, value in wanted.items() if name.lower() not in _PRIVATE}
            if response.status == 303 and method not in {"GET", "HEAD"}:
                method, payload = "GET", None
            url = target

    def _once(self, method: str, url: str, headers: dict[str, str], body: Body | None) -> Response:
        address = _address(url)
        key = self._key(address)
        target = address.target
        headers = {"Host": address.netloc, **headers}
        if key.proxy and key.scheme == "http":
            target, headers = url, headers | self._proxies.authorization(key.proxy)
        while True:
            connection = self._take(key)
            fresh = connection is None
            if connection is None:
                connection = self._connect(key)
            try:
                answer = exchange(connection, method, target, headers, body, self._timeouts)
            except (OSError, HttpError, ValueError) as error:
                self._give(key, connection, reusable=False)
                # a body may have been taken in part: whether to send it again is not decided here
                if fresh or body is not None or isinstance(error, TimeoutError) or self._closed:
                    raise lost(f"{method} {_shown(url)}", error) from error
                continue
            except BaseException:
                self._give(key, connection, reusable=False)
                raise

            def done(reusable: bool, held: Connection = connection) -> None:
                self._give(key, held, reusable=reusable and not held.broken)

            return Response(answer, url, done)

    def _key(self, address: Address) -> _Key:
        scheme, host, port, _ = address
        return _Key(scheme, host, port, self._proxies.proxy_for(scheme, host, port))

    def _take(self, key: _Key) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(key)
                if not idle:
                    return None
                connection = idle.pop()
                self._busy.add(connection)
            if not _has_news(connection):
                return connection
            self._give(key, connection, reusable=False)

    def _give(self, key: _Key, connection: Connection, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            idle = self._idle.setdefault(key, [])
            if reusable and not self._closed and len(idle) < IDLE and connection.sock is not None:
                idle.append(connection)
                return
        connection.close()

    def _connect(self, key: _Key) -> Connection:
        connection = self._tls.connection(key.scheme, key.host, key.port)
        connection.timeout = self._timeouts.connect
        if key.proxy:
            self._proxies.lead(connection, key.proxy)
        with self._lock:
            if self._closed:
                raise ConnectionLostError(f"connecting to {key.host}: the transport is closed")
            self._busy.add(connection)
        try:
            connection.connect()
        except (OSError, HttpError, ValueError) as error:
            self._give(key, connection, reusable=False)
            raise lost(f"connecting to {key.scheme}://{_bracket(key.host)}:{key.port}", error) from error
        if self._closed:  # close() came while there was no socket yet, and could not shut it down
            self._give(key, connection, reusable=False)
            raise ConnectionLostError(f"connecting to {key.host}: the transport is closed")
        return connection

    def close(self) -> None:
        """Close every connection; threads that wait for one fail with :class:`ConnectionLostError`."""
        import socket

        with self._lock:
            self._closed = True
            idle = [connection for held in self._idle.values() for connection in held]
            busy = list(self._busy)
            self._idle.clear()
        for connection in idle:
            connection.close()
        for connection in busy:
            try:
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _has_news(connection: Connection) -> bool:
    """Whether something came on a connection that nobody asked on: the peer's goodbye, as a rule."""
    import select

    poll = select.poll()
    if connection.sock is None:
        return True
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})


def _address(url: str) -> Address:
    try:
        return parse_address(url)
    except ValueError as error:
        raise RedirectError(f"{_shown(url)!r} is not an address of a registry") from error


def _check_redirect(url: str, target: str) -> None:
    try:
        address = parse_address(target)
    except ValueError as error:
        raise RedirectError(f"{host_of(url)} redirects to {_shown(target)!r}, which is not a web address") from error
    if url.startswith("https:") and address.scheme != "https":
        raise RedirectError(f"{host_of(url)} redirects from https to http, which is refused")


def _shown(url: str) -> str:
    # queries of signed addresses hold secrets
    return url.partition("?")[0][:300]


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
