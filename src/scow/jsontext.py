# SPDX-License-Identifier: Apache-2.0
"""Compact JSON by the C functions behind :mod:`json` alone.

``json`` loads ``re`` and ``enum`` for what those functions do not need; that is a quarter of what ``scow run`` imports
(docs/adr/0005-command-line.md). Where an interpreter has no such functions, ``json`` does the work.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\n\r"
_NUMBERS = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}


class _Context:
    """What the C scanner asks about: Python's usual values."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _NUMBERS.__getitem__
    memo: dict[str, str] = {}  # noqa: RUF012


def _fast() -> tuple[Callable[[str, int], tuple[Any, int]], Callable[[Any, int], tuple[str, ...]]] | None:
    """The scanner and the encoder, or nothing when this interpreter's are missing or other than known."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        scan = make_scanner(_Context)  # type: ignore[arg-type]
        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)
        if scan('{"a": [1, null]}', 0) == ({"a": [1, None]}, 16) and "".join(encode({"a": [1, None]}, 0)) == (
            '{"a":[1,null]}'
        ):
            return scan, encode
    except (ImportError, TypeError, AttributeError):
        pass
    return None


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_FAST = _fast()


def dumps(value: Any) -> str:
    """Write a value as compact JSON.

    Args:
        value: Of dictionaries, lists, tuples, strings, numbers, booleans and ``None``.

    Raises:
        TypeError: Something else is in it.
    """
    if _FAST is None:
        import json

        return json.dumps(value, separators=(",", ":"))
    return "".join(_FAST[1](value, 0))


def loads(text: str | bytes) -> Any:
    """Read JSON, also from outside: whoever reads bounds its size.

    Args:
        text: One document, as bytes in UTF-8. Source: RFC 8259, section 8.1.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested deeper than the interpreter goes.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if _FAST is None:
        import json

        return json.loads(text)
    try:
        value, end = _FAST[0](text, len(text) - len(text.lstrip(_SPACE)))
    except StopIteration as error:
        raise ValueError(f"no JSON at character {error.value}") from None
    if text[end:].strip(_SPACE):
        raise ValueError(f"more than one JSON document, the second at character {end}")
    return value
