# SPDX-License-Identifier: Apache-2.0
"""Go's number literals.

Source: Go language specification, "Lexical elements", as text/template reads them.
"""

from __future__ import annotations

from scow.cli.template.quoting import quote, unquote

_BASES = {"x": 16, "o": 8, "b": 2}
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


def read_number(text: str, *, character: bool = False) -> int | float | complex | None:
    """Read a number or, with ``character``, a character literal.

    Returns:
        The number; ``None`` for one that only an unsigned integer could hold, which is refused when it is used.

    Raises:
        ValueError: Malformed or too large, in Go's words.
    """
    if character:
        return _character(text)
    fault = ValueError(f"illegal number syntax: {quote(text)}")
    if text[-1] == "i":
        if text[-2:-1] in ("+", "-"):
            raise ValueError("syntax error scanning complex number")
        try:
            return complex(text.replace("_", "").replace("i", "j"))
        except ValueError:
            raise fault from None
    whole = _integer(text)
    if whole is not None and _INT_MIN <= whole <= _INT_MAX:
        return whole
    if whole is not None and 0 < whole < 1 << 64 and text[0] != "+":
        return None
    value = _real(text)
    if value is None:
        raise fault
    if not set(text) & set(".eEpP"):
        raise ValueError(f"integer overflow: {quote(text)}")
    return value


def _character(text: str) -> int:
    try:
        return ord(unquote(text))
    except ValueError:
        pass
    try:
        several = len(unquote('"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"')) > 1
    except ValueError:
        several = False
    if several and not text.startswith("'\\\""):
        raise ValueError(f"malformed character constant: {text}")
    raise ValueError("invalid syntax")


def _sign(text: str) -> tuple[int, str]:
    return (-1 if text[0] == "-" else 1), text.lstrip("+-")


def _underscores_fit(digits: str) -> bool:
    return "__" not in digits and digits[-1:] != "_"


def _integer(text: str) -> int | None:
    sign, digits = _sign(text)
    base = _BASES.get(digits[1:2].lower(), 10) if digits[:1] == "0" else 10
    body = digits[2:] if base != 10 else digits
    if base == 10 and len(digits) > 1 and digits[0] == "0":
        base = 8
    if not body or body == "_" or not _underscores_fit(body) or (base == 10 and body[0] == "_"):
        return None
    try:
        return sign * int(body.replace("_", ""), base)
    except ValueError:
        return None


def _real(text: str) -> float | None:
    sign, digits = _sign(text)
    try:
        if digits[:2] in ("0x", "0X"):
            return sign * float.fromhex(digits.replace("_", "")) if "p" in digits.lower() else None
        if not _underscores_fit(digits) or not set(digits) <= set("0123456789_.eE+-"):
            return None
        value = float(digits.replace("_", ""))
    except (ValueError, OverflowError):
        return None
    return None if value == float("inf") else sign * value
