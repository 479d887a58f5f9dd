# SPDX-License-Identifier: Apache-2.0
"""Proving who we are: basic authentication and bearer tokens, cached for each set of rights.

Promises: one token is fetched once, however many threads need it; a refused token is renewed once; user name and
password are sent to the token server a registry names only over TLS, unless the registry itself is spoken to in plain
HTTP.

Source: distribution docs, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import threading
import time

from scow.distribution import spec
from scow.distribution.address import parse_address
from scow.distribution.challenge import parse_challenges, parse_scope, union
from scow.distribution.proxies import is_loopback
from scow.distribution.wire import ConnectionLostError, host_of
from scow.errors import UnauthenticatedError
from scow.jsontext import loads
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scow.distribution.challenge import Challenge, Scope
    from scow.distribution.credentials import Credential
    from scow.distribution.transport import Transport
    from scow.distribution.wire import Response

CLIENT_ID = "scow"
_DEFAULT_LIFE = 60.0
_MARGIN = 10.0
_LONGEST = 86400.0
_MAX_TOKEN = 1 << 20


class Authorizer:
    """Gives the ``Authorization`` header for one registry; safe to share between threads.

    Args:
        transport: For asking token servers.
        credential: Gives the credentials when they are first needed, ``None`` to stay anonymous.
        plain: Whether the registry is spoken to in plain HTTP.
    """

    def __init__(self, transport: Transport, credential: Callable[[], Credential | None], *, plain: bool) -> None:
        self._transport = transport
        self._load = credential
        self._loaded: tuple[Credential | None] | None = None
        self._plain = plain
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[Scope, ...], tuple[str, float]] = {}
        self._lock = threading.RLock()
        self.offline = False
        """Ask for a token to be kept, which a login does and nothing else."""
        self.refresh_token = ""

    @property
    def credential(self) -> Credential | None:
        """The credentials, asked for once."""
        with self._lock:
            if self._loaded is None:
                self._loaded = (self._load(),)
            return self._loaded[0]

    def header(self, scopes: Sequence[Scope]) -> str:
        """What to send with a request needing these rights; ``""`` while nothing is known or needed."""
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return ""
            if challenge.scheme == "basic":
                return self._basic()
            return "Bearer " + self._token(challenge, union(scopes))

    def learn(self, response: Response, scopes: Sequence[Scope], used: str) -> str:
        """Take a 401 into account.

        Args:
            response: The answer.
            scopes: The rights the request needs.
            used: The header that was refused, or ``""``.

        Returns:
            The header to try next.

        Raises:
            UnauthenticatedError: Nothing else can be tried; the message says what the registry wants.
        """
        challenges = {c.scheme: c for c in reversed(parse_challenges(response.get_all("www-authenticate")))}
        with self._lock:
            challenge = challenges.get("bearer") or challenges.get("basic")
            if challenge is None:
                raise UnauthenticatedError("the registry wants credentials but does not say of which kind")
            if challenge.scheme == "basic":
                self._challenge = challenge
                header = self._basic()
                if not header:
                    raise UnauthenticatedError("no basic auth credentials", hint=_LOG_IN)
                if header == used:
                    raise UnauthenticatedError("unauthorized: incorrect username or password", hint=_LOG_IN)
                return header
            wanted = union([*scopes, *_asked(challenge)])
            self._challenge = challenge
            cached = self._tokens.get(union(scopes))
            if cached is not None and used and used != "Bearer " + cached[0]:
                # another thread has renewed it in the meantime
                return "Bearer " + cached[0]
            token, until = self._fetch(challenge, wanted)
            self._tokens[union(scopes)] = (token, until)
            return "Bearer " + token

    def _basic(self) -> str:
        credential = self.credential
        if credential is None or not credential.username:
            return ""
        return "Basic " + _pair(credential)

    def _token(self, challenge: Challenge, scopes: tuple[Scope, ...]) -> str:
        cached = self._tokens.get(scopes)
        if cached is None or cached[1] <= time.monotonic():
            cached = self._fetch(challenge, scopes)
            self._tokens[scopes] = cached
        return cached[0]

    def _fetch(self, challenge: Challenge, scopes: tuple[Scope, ...]) -> tuple[str, float]:
        credential = self.credential
        if credential is not None and credential.registry_token:
            return credential.registry_token, time.monotonic() + _DEFAULT_LIFE
        realm = challenge.parameters.get("realm", "")
        try:
            address = parse_address(realm)
        except ValueError as error:
            raise spec.BadAnswerError(f"the registry names {realm[:200]!r} as its token server") from error
        if address.scheme != "https" and not self._plain and not is_loopback(address.host):
            raise spec.BadAnswerError(
                f"the registry wants credentials sent to {address.host!r} in plain HTTP, which is refused"
            )
        service = challenge.parameters.get("service", "")
        answer = None
        if credential is not None and credential.identity_token:
            answer = self._post(realm, service, scopes, credential)
        if answer is None:
            answer = self._get(realm, service, scopes, credential)
        return _read_token(answer, self)

    def _get(self, realm: str, service: str, scopes: Sequence[Scope], credential: Credential | None) -> bytes:
        from urllib.parse import urlencode

        query = [("service", service)] if service else []
        query += [("scope", str(scope)) for scope in scopes]
        headers = {}
        if credential is not None and credential.username:
            query += [("account", credential.username), ("client_id", CLIENT_ID)]
            query += [("offline_token", "true")] if self.offline else []
            headers["Authorization"] = "Basic " + _pair(credential)
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        with self._transport.send("GET", url, headers=headers) as response:
            return _answered(response)

    def _post(self, realm: str, service: str, scopes: Sequence[Scope], credential: Credential) -> bytes | None:
        from urllib.parse import urlencode

        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": CLIENT_ID,
            "access_type": "offline" if self.offline else "online",
            "refresh_token": credential.identity_token,
            "scope": " ".join(map(str, scopes)),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        # what is kept for getting tokens is for this server: elsewhere a redirect would take it along
        with self._transport.send("POST", realm, headers=headers, body=body, redirects=False) as response:
            # by the specification: a token server without OAuth2 answers 404, and the other way remains
            return None if response.status in {404, 405} else _answered(response)


_LOG_IN = "Log in with `scow login`."


def _pair(credential: Credential) -> str:
    from binascii import b2a_base64

    return b2a_base64(f"{credential.username}:{credential.secret}".encode(), newline=False).decode()


def _asked(challenge: Challenge) -> list[Scope]:
    scopes = [parse_scope(text) for text in challenge.parameters.get("scope", "").split()]
    return [scope for scope in scopes if scope is not None]


def _answered(response: Response) -> bytes:
    if response.status == 200:
        return response.read(_MAX_TOKEN, "token")
    body = response.error_body()
    what = f"getting a token from {host_of(response.url)}"
    if response.status in {400, 401, 403}:
        error = UnauthenticatedError("unauthorized: incorrect username or password", hint=_LOG_IN)
        told = spec.parse_errors(body)
        if told and told[0].message:
            error = UnauthenticatedError(f"unauthorized: {told[0].message}", hint=_LOG_IN)
        raise error
    if response.status >= 500:
        raise ConnectionLostError(f"{what}: it answered {response.status}")
    raise spec.error_from(what, response.status, response.headers, body, now=time.time())


def _read_token(raw: bytes, authorizer: Authorizer) -> tuple[str, float]:
    try:
        document: dict[str, Any] = loads(raw)
        token = document.get("token") or document.get("access_token")
        life = document.get("expires_in") or _DEFAULT_LIFE
        refresh = document.get("refresh_token") or ""
    except (ValueError, RecursionError, AttributeError) as error:
        raise spec.BadAnswerError("the token server's answer is not JSON") from error
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise spec.BadAnswerError("the token server's answer has no token")
    if not isinstance(life, int | float):
        life = _DEFAULT_LIFE
    if isinstance(refresh, str) and refresh:
        authorizer.refresh_token = refresh
    return token, time.monotonic() + max(_MARGIN, min(max(life, 0), _LONGEST) - _MARGIN)
