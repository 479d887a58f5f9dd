# SPDX-License-Identifier: Apache-2.0
"""Requests to one registry: the right scheme, authentication, waiting and trying again.

Promises: 401, 403 and 404 are never tried again (but for one new token); a ``Retry-After`` is honoured up to a bound;
every error is a ``ScowError`` that names host and deed; ``stop`` ends every wait.
"""

from __future__ import annotations

import threading
import time

from scow.distribution import spec
from scow.distribution.address import same_origin, split_host
from scow.distribution.wire import ConnectionLostError, bytes_body
from scow.errors import CancelledError, InvalidArgumentError, RateLimitError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from scow.distribution.challenge import Scope
    from scow.distribution.mirrors import Endpoint
    from scow.distribution.tls import TlsPolicy
    from scow.distribution.tokens import Authorizer
    from scow.distribution.transport import Transport
    from scow.distribution.wire import Body, Response
    from scow.errors import ScowError

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which trying again may help."""
_OK = frozenset({200})


class RetryPolicy(NamedTuple):
    """How often and how patiently to try again; times in seconds."""

    attempts: int = 4
    first: float = 0.5
    longest: float = 20.0
    patience: float = 90.0
    """The longest ``Retry-After`` that is waited for; beyond it the error is raised at once."""

    def delay(self, attempt: int) -> float:
        """How long to wait before attempt ``attempt`` (from 1), with jitter so that clients spread out."""
        import random

        return min(self.longest, self.first * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311


class Stopper:
    """Ends waits, retries and connections of every session that shares it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hooks: list[Callable[[], None]] = []

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Call something when stopped, such as what closes the sockets that threads wait for."""
        self._hooks.append(hook)

    def stop(self) -> None:
        """End all waits; for good."""
        self._event.set()
        for hook in self._hooks:
            hook()

    def check(self) -> None:
        """Stop the caller when stopped.

        Raises:
            CancelledError: It is.
        """
        if self._event.is_set():
            raise CancelledError("the transfer was stopped")

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            CancelledError: Stopped before the time was over.
        """
        if self._event.wait(seconds):
            raise CancelledError("the transfer was stopped")


class _Shared:
    """What sessions for several repositories of one registry find out once."""

    def __init__(self, base: str) -> None:
        self.lock = threading.Lock()
        self.base = base


class Session:
    """Speaks to one endpoint; safe to share between threads.

    Args:
        endpoint: Where.
        transport: How.
        tls: Told when the endpoint's certificate is not to be checked.
        retry: How patiently.
        stopper: Ends waits.
        headers: Sent with every request.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        tls: TlsPolicy,
        retry: RetryPolicy,
        stopper: Stopper,
        headers: Mapping[str, str],
    ) -> None:
        self.endpoint = endpoint
        self.retry = retry
        self.stopper = stopper
        self._transport = transport
        self._tls = tls
        self._headers = dict(headers)
        self._shared = _Shared(f"{endpoint.scheme}://{endpoint.host}{endpoint.root}" if endpoint.scheme else "")
        self.authorizer: Authorizer | None = None

    def at(self, path: str) -> Session:
        """The same session for another repository; address, connections and tokens are shared.

        Args:
            path: The repository's name at this endpoint.
        """
        from copy import copy

        other = copy(self)
        other.endpoint = self.endpoint._replace(path=path)
        return other

    @property
    def base(self) -> str:
        """The URL before ``/v2``; finds out once whether the host speaks TLS when the configuration leaves it open.

        Raises:
            ConnectionLostError: It cannot be reached.
        """
        shared = self._shared
        with shared.lock:
            if not shared.base:
                shared.base = self._probe()
            return shared.base

    def _probe(self) -> str:
        from scow.distribution.proxies import is_loopback

        endpoint = self.endpoint
        host, port = _split(endpoint.host)
        schemes = ["https", "http"]
        if self._tls.has_certificates(host, port):
            schemes = ["https"]
        else:
            # on this machine there is no one to listen in: plain HTTP first spares loading TLS
            self._tls.allow_insecure(f"{host}:{port}")
            if is_loopback(host):
                schemes = ["http", "https"]
        failure: ScowError | None = None
        for scheme in schemes:
            base = f"{scheme}://{endpoint.host}{endpoint.root}"
            try:
                with self._transport.send("GET", base + spec.ping_path(), headers=self._headers) as response:
                    body = response.error_body()
                    plain_on_tls = scheme == "http" and response.status == 400 and b"HTTPS" in body.upper()
                    if not plain_on_tls:
                        return base
            except ConnectionLostError as error:
                # that what speaks no HTTP in time speaks no TLS either says nothing more
                if failure is None or (scheme == "http" and not error.refused):
                    failure = error
                if error.refused and is_loopback(host):
                    break
        raise failure or ConnectionLostError(f"cannot reach {endpoint.host}")

    @property
    def plain(self) -> bool:
        """Whether the registry is spoken to without TLS."""
        return self.base.startswith("http:")

    def url(self, path: str) -> str:
        """An absolute URL from a path below the endpoint, or from a URL that the registry gave."""
        if "://" in path:
            return path
        if self.endpoint.namespace:
            path += ("&" if "?" in path else "?") + "ns=" + self.endpoint.namespace
        return self.base + path

    def request(
        self,
        what: str,
        method: str,
        path: str,
        *,
        scopes: Sequence[Scope] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        ok: Collection[int] = _OK,
        attempts: int = 0,
    ) -> Response:
        """Send a request until it is answered.

        Args:
            what: The deed, for errors, such as ``"pull localhost:5000/a:1"``.
            method: Such as ``GET``.
            path: Below the endpoint, or an absolute URL that the registry gave.
            scopes: The rights it needs.
            headers: Besides the usual ones.
            body: What to send.
            ok: The statuses that the caller understands.
            attempts: Instead of the policy's; 1 for never again.

        Returns:
            An answer with one of the statuses in ``ok``; the caller closes it.

        Raises:
            ScowError: Refused, or no answer after all attempts.
        """
        payload = bytes_body(body) if isinstance(body, bytes) else body
        limit = attempts or self.retry.attempts
        attempt = 0
        while True:
            attempt += 1
            self.stopper.check()
            try:
                response = self._authorized(
                    method, self.url(path), scopes, {**self._headers, **(headers or {})}, payload
                )
            except ConnectionLostError as error:
                self.stopper.check()
                if attempt >= limit or error.refused:
                    raise
                self.stopper.wait(self.retry.delay(attempt))
                continue
            if response.status in ok:
                return response
            with response:
                error_ = spec.error_from(
                    what, response.status, response.headers, response.error_body(), now=time.time()
                )
            if response.status not in AGAIN or attempt >= limit:
                raise error_
            self.stopper.wait(self._pause(error_, response, attempt))

    def read(
        self,
        what: str,
        path: str,
        limit: int,
        *,
        scopes: Sequence[Scope] = (),
        headers: Mapping[str, str] | None = None,
        ok: Collection[int] = _OK,
    ) -> tuple[Response, bytes]:
        """GET a small document, once more from the start when the answer breaks off.

        Args:
            what: The deed, for errors.
            path: Below the endpoint, or an absolute URL that the registry gave.
            limit: Most bytes of it.
            scopes: The rights it needs.
            headers: Besides the usual ones.
            ok: The statuses that the caller understands.

        Returns:
            The answer, closed, and its body.

        Raises:
            ScowError: Refused, too large, or no whole answer after all attempts.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                with self.request(what, "GET", path, scopes=scopes, headers=headers, ok=ok) as response:
                    return response, response.read(limit, what)
            except ConnectionLostError as error:
                if attempt >= self.retry.attempts or error.refused:
                    raise
                self.stopper.wait(self.retry.delay(attempt))

    def _pause(self, error: ScowError, response: Response, attempt: int) -> float:
        asked = spec.retry_after(response.headers.get("retry-after"), time.time())
        if asked is None:
            return self.retry.delay(attempt)
        if asked > self.retry.patience:
            if isinstance(error, RateLimitError):
                error.retry_after = asked
            raise error
        return asked

    def _authorized(
        self, method: str, url: str, scopes: Sequence[Scope], headers: dict[str, str], body: Body | None
    ) -> Response:
        authorizer = self.authorizer if self._ours(url) else None
        header = authorizer.header(scopes) if authorizer else ""
        response = self._transport.send(method, url, headers=_with(headers, header), body=body)
        # twice: the first 401 tells what is wanted, the second that a kept token has expired meanwhile
        for _ in range(2):
            if response.status != 401 or authorizer is None or response.url.partition("?")[0] != url.partition("?")[0]:
                break
            response.error_body()
            response.close()
            header = authorizer.learn(response, scopes, header)
            response = self._transport.send(method, url, headers=_with(headers, header), body=body)
        return response

    def _ours(self, url: str) -> bool:
        return same_origin(url, self.base)


def _with(headers: dict[str, str], authorization: str) -> dict[str, str]:
    return {**headers, "Authorization": authorization} if authorization else headers


def _split(host: str) -> tuple[str, int]:
    try:
        name, port = split_host(host)
    except ValueError as error:
        raise InvalidArgumentError(f"{host!r} is not the address of a registry") from error
    return name, port or 443
