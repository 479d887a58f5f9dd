# SPDX-License-Identifier: Apache-2.0
"""Tokens: who somebody is, said by the registry itself, for clients that only then try without an account.

docker sends no request without an account where the registry asks for a password (Basic); where it asks for a token
(Bearer) it fetches one, with or without a password. A token says who has it and until when, and is signed with a key of
the registry's directory; what its owner may do is looked up with each request.

Source: distribution docs, "Token Authentication Specification".
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from scow.base.clock import rfc3339
from scow.registry.access import PUSH, needed
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.registry.routes import Route

SECONDS = 300
"""How long a token is good."""
_LONGEST = 4096


class Tokens:
    """Signs and reads tokens.

    Args:
        key: The secret that all servers of the registry share.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, user: str, now: float) -> bytes:
        """A new token, as the client wants to read it.

        Args:
            user: Its owner, ``""`` for nobody in particular.
            now: Seconds since the epoch.

        Returns:
            JSON.
        """
        claims = urlsafe_b64encode(json.dumps([user, int(now) + SECONDS]).encode()).decode()
        token = f"{claims}.{self._sign(claims)}"
        document = {"token": token, "access_token": token, "expires_in": SECONDS, "issued_at": rfc3339(now)}
        return json.dumps(document).encode()

    def user_of(self, token: str, now: float) -> str | None:
        """Whose a token is; ``None`` when it is not one of ours, or no longer good.

        Args:
            token: What the client sent.
            now: Seconds since the epoch.
        """
        claims, _, signature = token[:_LONGEST].partition(".")
        if not token.isascii() or not hmac.compare_digest(signature, self._sign(claims)):
            return None
        user, until = json.loads(urlsafe_b64decode(claims))
        return str(user) if now < until else None

    def _sign(self, claims: str) -> str:
        return hmac.new(self._key, claims.encode(), hashlib.sha256).hexdigest()


def challenge(origin: str, route: Route | None, method: str) -> str:
    """What tells a client where to get a token for what it asked.

    Args:
        origin: How the client reaches the registry, such as ``https://registry.example:5000``.
        route: What was asked for.
        method: How.
    """
    text = f'Bearer realm="{origin}/token",service="{origin.partition("://")[2]}"'
    if route is None or not route.name:
        return text
    right = needed(route, method)
    return f'{text},scope="repository:{route.name}:{"pull,push" if right == PUSH else right}"'
