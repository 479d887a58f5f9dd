# SPDX-License-Identifier: Apache-2.0
"""A notary server's HTTP, over the sessions of ``distribution``.

Source: notary ``docs/reference`` and ``server/server.go``; the requests were recorded from docker 28.2.2.
"""

from __future__ import annotations

import secrets
from urllib.parse import quote

from scow.distribution import spec
from scow.distribution.address import parse_address
from scow.distribution.challenge import repository_scope
from scow.distribution.wire import ConnectionLostError
from scow.errors import InvalidArgumentError, LimitError, UnauthenticatedError
from scow.trust import canonical
from scow.trust.failures import MalformedTrustError, TrustServerError
from scow.trust.metadata import decode_key
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scow.distribution.client import RegistryClient
    from scow.trust.keys import PublicKey

HUB = "docker.io"
HUB_SERVER = "https://notary.docker.io"
_MAX_KEY = 64 << 10
_MAX_ANSWER = 64 << 10
_ATTEMPTS = 2
_ALL = frozenset(range(200, 600)) - {401}


def server_url(domain: str, configured: str) -> str:
    """Where the trust data of a registry's repositories is.

    Args:
        domain: The registry.
        configured: ``DOCKER_CONTENT_TRUST_SERVER``, or ``""``.

    Raises:
        InvalidArgumentError: What is configured is no https URL.
    """
    if configured:
        try:
            valid = parse_address(configured).scheme == "https"
        except ValueError:
            valid = False
        if not valid:
            raise InvalidArgumentError(
                f"error establishing connection to trust repository: valid https URL required for trust server, got"
                f" {configured}"
            )
        return configured.rstrip("/")
    return HUB_SERVER if domain == HUB else f"https://{domain}"


class TrustServer:
    """The trust data of one repository at its server.

    Args:
        client: The way to registries.
        domain: The registry, whose credentials are used.
        gun: The repository in full.
        url: The server; see :func:`server_url`.
        actions: What is to be done with the repository there.
    """

    def __init__(self, client: RegistryClient, domain: str, gun: str, url: str, actions: Sequence[str]) -> None:
        self.host = parse_address(url).netloc
        self._session = client.trust_session(url, domain)
        self._scopes = (repository_scope(gun, *actions),)
        self._base = f"/v2/{quote(gun, safe='/:')}/_trust/tuf/"
        self._hint = (
            "Docker has announced the end of this service for 2026-12-08; images there are no longer signed."
            if url == HUB_SERVER
            else ""
        )

    def get(self, name: str, limit: int) -> bytes | None:
        """Fetch a file.

        Args:
            name: Such as ``timestamp`` or ``snapshot.<sha256>``.
            limit: Most bytes of it.

        Returns:
            Its bytes; ``None`` when there is none.

        Raises:
            TrustServerError: The server does not answer, or refuses.
            MalformedTrustError: It answers with more than it may.
        """
        status, body = self._send("GET", f"{self._base}{name}.json", limit)
        if status == 404:
            return None
        self._check(status, body)
        return body

    def key(self, role: str) -> PublicKey:
        """The server's own key for a role of this repository, made when there is none.

        Raises:
            TrustServerError: The server does not answer, or refuses.
            MalformedTrustError: The answer is no key.
        """
        status, body = self._send("GET", f"{self._base}{role}.key", _MAX_KEY)
        self._check(status, body)
        return decode_key(canonical.decode(body, f"the {role} key"), f"the {role} key")

    def publish(self, files: Mapping[str, bytes]) -> None:
        """Bring new files to the server, all or none.

        Args:
            files: By role.

        Raises:
            TrustServerError: The server does not answer, or does not accept them.
        """
        boundary = secrets.token_hex(30)
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{role}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + raw
            + b"\r\n"
            for role, raw in files.items()
        ]
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        self._check(*self._send("POST", self._base, _MAX_ANSWER, body, headers))

    def _send(
        self, method: str, path: str, limit: int, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        what = f"trust data of {self._scopes[0].name}"
        try:
            with self._session.request(
                what,
                method,
                path,
                scopes=self._scopes,
                headers=headers,
                body=body,
                ok=_ALL,
                attempts=_ATTEMPTS if body is None else 1,
            ) as response:
                return response.status, response.read(limit, what)
        except ConnectionLostError as error:
            raise TrustServerError(f"error contacting notary server: {error.message}", hint=self._hint) from error
        except UnauthenticatedError as error:
            raise TrustServerError(
                f"you are not authorized to perform this operation: {error.message}", hint=error.hint
            ) from error
        except (LimitError, spec.BadAnswerError) as error:
            raise MalformedTrustError("it sends more than it may, or what is no answer") from error

    def _check(self, status: int, body: bytes) -> None:
        if 200 <= status < 300:
            return
        told = spec.parse_errors(body)
        if status == 400:
            said = f": {told[0].message}" if told and told[0].message else "."
            raise TrustServerError(f"trust server rejected operation{said}", hint=_detail(body))
        raise TrustServerError(f"unable to reach trust server at this time: {status}.", hint=self._hint)


def _detail(body: bytes) -> str:
    """What the server says besides, such as which file is wrong."""
    import json

    try:
        detail = json.loads(body)["errors"][0]["detail"]
        text = str(detail["Error"].get("Msg") or detail.get("Name") or "") if isinstance(detail, dict) else ""
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    shown = "".join(char for char in text if char.isprintable())[:300]
    return f"The server said: {shown}" if shown else ""
