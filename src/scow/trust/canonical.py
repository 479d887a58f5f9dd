# SPDX-License-Identifier: Apache-2.0
"""JSON that is signed: one spelling for each value, and a reader that takes no liberties. Pure.

Source: OLPC canonical JSON, as the notary client has it: keys in byte order, no blanks, only the quotation mark and
the backslash are escaped, whole numbers only.
"""

from __future__ import annotations

import json

from scow.trust.failures import MalformedTrustError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 16
_LARGEST = 1 << 63


def encode(value: Any) -> bytes:
    """Write a value in its one spelling.

    Args:
        value: Of what JSON has, without fractions.

    Raises:
        MalformedTrustError: It holds something else.
    """
    parts: list[str] = []
    _write(value, parts, 0)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError as error:
        raise MalformedTrustError("there is half a character in it") from error


def _write(value: Any, parts: list[str], depth: int) -> None:
    if depth >= MAX_DEPTH and isinstance(value, (dict, list, tuple)):
        raise MalformedTrustError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        parts.append(_quoted(value))
    elif value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        parts.append(str(value))
    elif isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise MalformedTrustError("a name in it is no text")
        parts.append("{")
        for position, key in enumerate(sorted(value)):  # by code point, which is the order of the UTF-8 bytes
            parts.append(("," if position else "") + _quoted(key) + ":")
            _write(value[key], parts, depth + 1)
        parts.append("}")
    elif isinstance(value, (list, tuple)):
        parts.append("[")
        for position, item in enumerate(value):
            parts.append("," if position else "")
            _write(item, parts, depth + 1)
        parts.append("]")
    else:
        raise MalformedTrustError(f"there is a {type(value).__name__} in it")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def decode(raw: bytes, what: str) -> dict[str, Any]:
    """Read a signed document.

    Args:
        raw: Its bytes; how many there may be is the caller's to bound.
        what: What it is, for errors.

    Returns:
        The object.

    Raises:
        MalformedTrustError: It is no JSON object, names a member twice, has fractions or numbers beyond 63 bits, or is
            nested too deeply.
    """
    try:
        value = json.loads(raw, object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse, parse_int=_whole)
    except MalformedTrustError as error:
        raise MalformedTrustError(f"{what}: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedTrustError(f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedTrustError(f"{what} is not an object")
    if _is_deep(value):
        raise MalformedTrustError(f"{what} is nested more than {MAX_DEPTH} levels deep")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedTrustError("a member is there twice")
    return found


def _refuse(text: str) -> Any:
    raise MalformedTrustError(f"the number {text[:40]} is not a whole one")


def _whole(text: str) -> int:
    if len(text) > len(str(-_LARGEST)) or not -_LARGEST <= (number := int(text)) < _LARGEST:
        raise MalformedTrustError("a number is too large")
    return number


def _is_deep(value: Any) -> bool:
    """Whether a value has more levels than are taken; level by level, so that no depth is too much for the check."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for inner in level for item in _members(inner) if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


def _members(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
