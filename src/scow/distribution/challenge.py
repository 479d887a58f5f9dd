# SPDX-License-Identifier: Apache-2.0
"""``WWW-Authenticate`` challenges and token scopes. Pure.

Source: RFC 9110, 11.6.1; distribution docs, "Token Authentication Specification" and "Token Scope".
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_MAX_HEADER = 16384


class Challenge(NamedTuple):
    """One way in that a server offers. ``scheme`` and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


class Scope(NamedTuple):
    """Rights on one resource, such as ``repository:library/alpine:pull``."""

    type: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


def repository_scope(name: str, *actions: str) -> Scope:
    """Rights on a repository: ``pull``, ``push``, ``delete`` or ``*``."""
    return Scope("repository", name, frozenset(actions))


CATALOG_SCOPE = Scope("registry", "catalog", frozenset({"*"}))
"""The right to list the repositories of a registry."""


def parse_scope(text: str) -> Scope | None:
    """Read ``type[(class)]:name:actions``; ``None`` when it is not a scope. The name may contain a port."""
    kind, colon, rest = text.strip().partition(":")
    name, last, actions = rest.rpartition(":")
    if not colon or not last or not kind or not name:
        return None
    return Scope(kind.partition("(")[0], name, frozenset(action for action in actions.split(",") if action))


def union(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The fewest scopes with the same rights, in a stable order."""
    merged: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = (scope.type, scope.name)
        merged[key] = merged.get(key, frozenset()) | scope.actions
    return tuple(Scope(kind, name, actions) for (kind, name), actions in sorted(merged.items()))


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read the values of ``WWW-Authenticate`` headers, each of which may hold several challenges.

    What cannot be read ends the header it stands in; challenges before it count.
    """
    found: list[Challenge] = []
    for header in headers:
        found.extend(_parse_header(header[:_MAX_HEADER]))
    return tuple(found)


def _parse_header(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _skip(text, 0)
    while position < len(text):
        scheme, position = _token(text, position)
        if not scheme:
            break
        parameters: dict[str, str] = {}
        while True:
            start = _skip(text, position)
            name, after = _token(text, start)
            after = _spaces(text, after)
            if not name or after >= len(text) or text[after] != "=":
                # not a parameter: either the end, a token68, or the next scheme
                position = start
                break
            value, position = _value(text, _spaces(text, after + 1))
            parameters[name.lower()] = value
        found.append(Challenge(scheme.lower(), parameters))
    return found


def _spaces(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t,":
        position += 1
    return position


def _token(text: str, position: int) -> tuple[str, int]:
    start = position
    while position < len(text) and text[position] in _TOKEN_CHARS:
        position += 1
    return text[start:position], position


def _value(text: str, position: int) -> tuple[str, int]:
    if position >= len(text) or text[position] != '"':
        # some servers forget the quotes around URLs, so more than a token is taken
        start = position
        while position < len(text) and text[position] not in ", \t":
            position += 1
        return text[start:position], position
    position += 1
    out: list[str] = []
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out), position + 1
