# SPDX-License-Identifier: Apache-2.0
"""Go regular expressions, as far as ignore patterns can contain them, to Python ones.

Groups and stars occur only in the forms that ``ignorepattern`` writes; brackets, backslashes, ``|`` and counted
repetitions occur in any.

Source: Go, regexp/syntax.
"""

from __future__ import annotations

import re

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_PERL: Final[Mapping[str, str]] = {"d": "0-9", "s": r"\t\n\f\r ", "w": "0-9A-Za-z_"}
_NOT_PERL: Final[Mapping[str, str]] = {
    "D": r"\x00-/:-\U0010ffff",
    "S": "\\x00-\\x08\\x0b\\x0e-\\x1f!-\\U0010ffff",
    "W": r"\x00-/:-@\[-\^`\{-\U0010ffff",
}
_POSIX: Final[Mapping[str, str]] = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`\{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CONTROL: Final[Mapping[str, str]] = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASSERTION: Final[Mapping[str, str]] = {
    "A": r"\A",
    "z": r"\Z",
    "b": r"(?a:\b)",
    "B": r"(?a:\B)",
}


_COUNT: Final = re.compile(r"\{(0|[1-9][0-9]*)(,?)(0|[1-9][0-9]*)?\}")
_MOST: Final = 1000
"""The largest count that Go takes."""


def to_python(text: str) -> str:
    """The Python expression that ``match`` finds where Go's ``MatchString`` would find the one given anywhere.

    Raises:
        ValueError: Go refuses the expression, or it names Unicode classes.
    """
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "{" and (count := _COUNT.match(text, at)) and (count[2] or not count[3]):
            out.append(_repeated(out.pop() if out else "|", count))
            at = count.end()
            continue
        if char == "\\":
            piece, at = _escape(text, at + 1)
        elif char == "[":
            piece, at = _class(text, at + 1)
        elif text.startswith("(.*/)?", at):
            piece, at = "(?:.*/)?", at + 6
        elif char in ".*":
            piece, at = char, at + 1
        elif char == "|":
            piece, at = "|(?s:.*?)", at + 1
        else:
            piece, at = {"^": r"\A", "$": r"\Z"}.get(char) or re.escape(char), at + 1
        out.append(piece)
    return "".join(out)


def _repeated(piece: str, count: re.Match[str]) -> str:
    """A piece with its counted repetition."""
    if piece.startswith("|"):
        raise ValueError("missing argument to repetition operator")
    if piece == "*" or (piece.startswith("(?:") and piece.endswith(("?", "}"))):
        raise ValueError("invalid nested repetition operator")
    low, high = int(count[1]), int(count[3] or count[1])
    if max(low, high) > _MOST or low > high:
        raise ValueError("invalid repeat count")
    return f"(?:{piece}){count[0]}"


def _escape(text: str, at: int) -> tuple[str, int]:
    """What a backslash outside brackets means."""
    char = text[at : at + 1]
    if char in _PERL and char:
        return f"[{_PERL[char]}]", at + 1
    if char in _NOT_PERL and char:
        return f"[{_NOT_PERL[char]}]", at + 1
    if char in _ASSERTION and char:
        return _ASSERTION[char], at + 1
    if char == "Q":
        end = text.find("\\E", at)
        literal = text[at + 1 : end] if end >= 0 else text[at + 1 :]
        return re.escape(literal), end + 2 if end >= 0 else len(text)
    literal, at = _char(text, at)
    return re.escape(literal), at


def _char(text: str, at: int) -> tuple[str, int]:
    """One escaped character, after its backslash."""
    char = text[at : at + 1]
    if not char:
        raise ValueError("trailing backslash")
    if char.isascii() and not char.isalnum():
        return char, at + 1
    if char in _CONTROL:
        return _CONTROL[char], at + 1
    if octal := re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}").match(text, at):
        return chr(int(octal[0], 8)), octal.end()
    if hexadecimal := re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})").match(text, at):
        number = int(hexadecimal[1] or hexadecimal[2], 16)
        if number > 0x10FFFF:
            raise ValueError("escape beyond Unicode")
        return chr(number), hexadecimal.end()
    raise ValueError(f"invalid escape \\{char}")


def _class(text: str, at: int) -> tuple[str, int]:
    """A bracket expression, from after its ``[``."""
    negated = text.startswith("^", at)
    at += negated
    out: list[str] = []
    first = True
    while first or not text.startswith("]", at):
        first = False
        piece, at = _member(text, at)
        out.append(piece)
    return f"[{'^' if negated else ''}{''.join(out)}]", at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    if text.startswith("[:", at) and (end := text.find(":]", at + 2)) >= 0:
        name = text[at + 2 : end]
        if name.startswith("^") or name not in _POSIX:
            raise ValueError(f"invalid character class [:{name}:]")
        return _POSIX[name], end + 2
    if text[at : at + 1] == "\\" and text[at + 1 : at + 2]:
        perl = _PERL.get(text[at + 1]) or _NOT_PERL.get(text[at + 1])
        if perl:
            return perl, at + 2
    low, at = _class_char(text, at)
    if not text.startswith("-", at) or text[at + 1 : at + 2] in ("", "]"):
        return re.escape(low), at
    high, at = _class_char(text, at + 1)
    if high < low:
        raise ValueError(f"invalid character range {low}-{high}")
    return f"{re.escape(low)}-{re.escape(high)}", at


def _class_char(text: str, at: int) -> tuple[str, int]:
    char = text[at : at + 1]
    if not char:
        raise ValueError("missing closing ]")
    return _char(text, at + 1) if char == "\\" else (char, at + 1)
