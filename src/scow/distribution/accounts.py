# SPDX-License-Identifier: Apache-2.0
"""Logging in and out, and what users type where a registry is meant."""

from __future__ import annotations

from scow.distribution.credentials import Credential, auth_key
from scow.distribution.mirrors import HUB
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.distribution.client import RegistryClient

_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def login_domain(server: str) -> str:
    """The registry that a user means: ``""`` is Docker Hub, a scheme and a path are dropped.

    Raises:
        InvalidArgumentError: Nothing is left, or what is left is no host.
    """
    host = server.strip()
    if "://" in host:
        scheme, _, host = host.partition("://")
        if scheme not in {"http", "https"}:
            raise InvalidArgumentError(f"{server!r} is not a registry")
    host = host.partition("/")[0]
    if host in _HUB_NAMES and (host or not server.strip()):
        return HUB
    if not host or not host.isascii() or any(char in host for char in " @?#\\") or not host.isprintable():
        raise InvalidArgumentError(f"{server!r} is not a registry", hint="A registry looks like localhost:5000.")
    return host


def split_term(term: str) -> tuple[str, str]:
    """Registry and words of a search term such as ``localhost:5000/app``, split as docker does."""
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return login_domain(first), rest
    return HUB, term.removeprefix("library/")


def login(client: RegistryClient, domain: str, username: str, password: str) -> str:
    """Check credentials with a registry and keep them.

    Args:
        client: The way to registries.
        domain: The registry.
        username: Who.
        password: A password or an access token.

    Returns:
        The file in which they now stand unencrypted, or ``""`` when a helper keeps them.

    Raises:
        UnauthenticatedError: They are wrong; nothing was kept.
        ScowError: The registry cannot be reached, or the credentials cannot be kept.
    """
    credential = Credential(username, password)
    token = client.registry(domain, credential).login(credential)
    if token:
        credential = Credential(username, "", token)
    return client.credentials.store(domain, credential)


def logout(client: RegistryClient, domain: str) -> str:
    """Forget the credentials of a registry.

    Returns:
        The name they were kept under.
    """
    client.credentials.erase(domain)
    return auth_key(domain)
