# SPDX-License-Identifier: Apache-2.0
"""Go string literals, both ways.

Source: Go strconv, Quote, QuoteToASCII and Unquote.
"""

from __future__ import annotations

_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPES = {value: "\\" + name for name, value in _NAMED.items()}


def quote(text: str, *, ascii_only: bool = False, mark: str = '"') -> str:
    """Quote as Go's ``%q`` (or ``%+q`` when ``ascii_only``) does."""
    return mark + "".join(_escape(char, mark, ascii_only=ascii_only) for char in text) + mark


def _escape(char: str, mark: str, *, ascii_only: bool) -> str:
    if char == mark:
        return "\\" + char
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and (code < 0x7F or not ascii_only):
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str:
    """Read a quoted, raw or character literal.

    Raises:
        ValueError: ``invalid syntax``, as Go says it.
    """
    mark, body = literal[0], literal[1:-1]
    if len(literal) < 2 or literal[-1] != mark:
        raise ValueError("invalid syntax")
    if mark == "`":
        if "`" in body:
            raise ValueError("invalid syntax")
        return body.replace("\r", "")
    if "\n" in body:
        raise ValueError("invalid syntax")
    data = bytearray()
    at = count = 0
    while at < len(body):
        if body[at] == mark:
            raise ValueError("invalid syntax")
        if body[at] == "\\":
            piece, at = _unescape(body, at + 1, mark)
        else:
            piece, at = body[at].encode("utf-8", "surrogateescape"), at + 1
        data += piece
        count += 1
    if mark == "'" and count != 1:
        raise ValueError("invalid syntax")
    return data.decode("utf-8", "surrogateescape")


def _unescape(body: str, at: int, mark: str) -> tuple[bytes, int]:
    """Read the escape whose letter is at ``at``; return its bytes and the place after it."""
    letter = body[at : at + 1]
    if letter and letter in _NAMED:
        return _NAMED[letter].encode(), at + 1
    if letter == mark:
        return mark.encode(), at + 1
    if letter and letter in "xuU":
        width = {"x": 2, "u": 4, "U": 8}[letter]
        code = _digits(body[at + 1 : at + 1 + width], width, 16)
        if letter == "x":
            return bytes([code]), at + 3
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError("invalid syntax")
        return chr(code).encode(), at + 1 + width
    code = _digits(body[at : at + 3], 3, 8)
    if code > 255:
        raise ValueError("invalid syntax")
    return bytes([code]), at + 3


def _digits(text: str, width: int, base: int) -> int:
    if len(text) != width or not all(char in "0123456789abcdefABCDEF" for char in text):
        raise ValueError("invalid syntax")
    try:
        return int(text, base)
    except ValueError:
        raise ValueError("invalid syntax") from None
