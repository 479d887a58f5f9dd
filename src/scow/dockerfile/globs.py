# SPDX-License-Identifier: Apache-2.0
r"""The patterns of ``${name#pattern}`` and ``${name/pattern/text}``: ``*``, ``?`` and ``\`` before one of them.

Matching takes at most quadratic time, however many stars a hostile pattern has: every star but a greedy last one is
matched atomically, at the earliest place where the literal after it occurs.
"""

from __future__ import annotations

import re
from functools import lru_cache

from scow.dockerfile.errors import WordError


def trim_prefix(pattern: str, value: str, *, greedy: bool) -> str:
    """The value without the shortest (``#``) or longest (``##``) beginning that matches.

    Raises:
        WordError: A backslash before something that needs none.
    """
    match = _compile(pattern, greedy).match(value)
    return value[match.end() :] if match else value


def trim_suffix(pattern: str, value: str, *, greedy: bool) -> str:
    """The value without the shortest (``%``) or longest (``%%``) end that matches.

    Raises:
        WordError: As for ``trim_prefix``.
    """
    return trim_prefix(_reverse(pattern), value[::-1], greedy=greedy)[::-1]


def replace_first(pattern: str, replacement: str, value: str) -> str:
    """The value with the first match replaced.

    Raises:
        WordError: As for ``trim_prefix``.
    """
    match = _compile(pattern, greedy=True).search(value)
    return value[: match.start()] + replacement + value[match.end() :] if match else value


def replace_all(pattern: str, replacement: str, value: str) -> str:
    """The value with every match replaced; ``$0`` in the replacement is what matched, as in BuildKit.

    Raises:
        WordError: As for ``trim_prefix``.
    """
    compiled = _compile(pattern, greedy=True)
    out: list[str] = []
    last = at = 0
    while at <= len(value) and (match := compiled.search(value, at)):
        start, end = match.span()
        out.append(value[last:start])
        if end > last or start == 0:
            out.append(_template(replacement, match[0]))
        last = end
        at = end if end > at else at + 1
    out.append(value[last:])
    return "".join(out)


@lru_cache(maxsize=64)
def _compile(pattern: str, greedy: bool) -> re.Pattern[str]:
    """Translate; the stars split the pattern into literal segments."""
    segments = _segments(pattern, pattern.removeprefix("\ufeff"))
    out = [segments[0]]
    for index, segment in enumerate(segments[1:], 2):
        if greedy and index == len(segments):
            out.append(f".*{segment}")
        elif segment:
            out.append(f"(?>.*?{segment})")
    return re.compile("".join(out))


def _segments(shown: str, pattern: str) -> list[str]:
    segments = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            segments.append("")
        elif char == "?":
            segments[-1] += "."
        elif char != "\\":
            segments[-1] += re.escape(char)
        elif pattern[at : at + 1] not in ("}", "/"):
            escaped = pattern[at : at + 1]
            if escaped not in ("*", "?", "\\"):
                raise WordError(f"invalid pattern ({shown}) in substitution: invalid escape '\\{escaped}'")
            segments[-1] += re.escape(escaped)
            at += 1
    return segments


def _reverse(pattern: str) -> str:
    """The pattern backwards, with each backslash still before its character."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        width = 2 if pattern[at] == "\\" and at + 1 < len(pattern) else 1
        out.append(pattern[at : at + width])
        at += width
    return "".join(reversed(out))


def _template(text: str, matched: str) -> str:
    """Fill in ``$0`` and ``${0}``; other references are empty, ``$$`` is a dollar."""
    if "$" not in text:
        return text
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        at = dollar + 1
        if text[at : at + 1] == "$":
            out.append("$")
            at += 1
            continue
        brace = text[at : at + 1] == "{"
        end = start = at + brace
        while end < len(text) and (text[end].isalpha() or text[end].isdecimal() or text[end] == "_"):
            end += 1
        if end == start or (brace and text[end : end + 1] != "}"):
            out.append("$")
            continue
        if text[start:end] == "0":
            out.append(matched)
        at = end + brace
    out.append(text[at:])
    return "".join(out)
