# SPDX-License-Identifier: Apache-2.0
"""A logical line to keyword, flags and words, before anyone asks whether they make sense.

Source: BuildKit v0.32, frontend/dockerfile/parser (split_command, line_parsers).
"""

from __future__ import annotations

import json
import re

from scow.dockerfile import words
from scow.dockerfile.ast import Heredoc
from scow.dockerfile.errors import FaultError, WordError
from scow.dockerfile.text import SPACES, is_space, trim
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

_BLANKS: Final = re.compile(r"[\t\v\f\r ]+")
_HEREDOC: Final = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NESTING: Final = 20
"""ONBUILD within ONBUILD; one is forbidden already, more is hostile."""


class Raw(NamedTuple):
    """An instruction as words; ``inner`` is what follows ONBUILD."""

    keyword: str
    flags: tuple[str, ...]
    args: tuple[str, ...]
    json: bool
    source: str
    inner: Raw | None = None


def read(line: str, escape: str, depth: int = 0) -> Raw:
    """Split one logical line.

    Raises:
        FaultError: A JSON array of other things than strings, or ENV and LABEL without a value.
    """
    head = _BLANKS.split(trim(line), 1)
    flags, rest = _flags(head[1], escape) if len(head) == 2 else ((), "")
    rest = trim(rest)
    keyword = head[0]
    lower = keyword.lower()
    if lower == "onbuild":
        if depth >= _NESTING:
            raise FaultError("ONBUILD is nested too deeply", "not-allowed")
        inner = read(rest, escape, depth + 1) if rest else None
        return Raw(keyword, flags, (), False, line, inner)
    form = _FORMS.get(lower)
    args, is_json = form(rest, escape) if form else (("",), False)
    return Raw(keyword, flags, args, is_json, line)


def heredocs(raw: Raw) -> list[Heredoc]:
    """The here-documents that the instruction announces, without their contents yet.

    Raises:
        FaultError: A delimiter word with an open quote.
    """
    if "<<" not in raw.source:
        return []
    target = raw.inner if raw.inner is not None else raw
    if target.json or target.keyword.lower() not in ("add", "copy", "run"):
        return []
    try:
        found = words.split(raw.source, {}, quotes="keep", keep_unset=True, raw_escapes=True).words
    except WordError:
        return []
    try:
        return [doc for word in found if (doc := _heredoc(word)) is not None]
    except WordError as error:
        raise FaultError(error.message, "bad-syntax", "<<") from None


def heredoc(word: str) -> Heredoc | None:
    """The here-document that a word announces, or ``None``."""
    try:
        return _heredoc(word)
    except WordError:
        return None


def _heredoc(word: str) -> Heredoc | None:
    match = _HEREDOC.match(word) if "<<" in word else None
    if match is None or not match[3]:
        return None
    plain = words.split(match[3], {}, keep_unset=True).words
    if len(plain) != 1:
        return None
    kept = words.split(match[3], {}, quotes="keep", keep_unset=True).words
    if len(kept) != 1:
        raise WordError(f"cannot read the heredoc delimiter {match[3]!r}")
    number = match[1].lstrip("0")
    return Heredoc(
        name=plain[0],
        content="",
        expand=_quotes(plain[0]) == _quotes(kept[0]),
        chomp=match[2] == "-",
        fd=int(number) if number and len(number) < 10 else 0,
    )


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')


def _flags(line: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The leading ``--words`` without their quotes, and what follows them."""
    found: list[str] = []
    at = 0
    while True:
        while at < len(line) and is_space(line[at]):
            at += 1
        if not line.startswith("--", at):
            return tuple(found), line[at:]
        word, quoted, at = _flag(line, at, escape)
        if word == "--":
            return tuple(found), line[at:]
        if quoted or word:
            found.append(word)
        if at >= len(line):
            return tuple(found), ""


def _flag(line: str, at: int, escape: str) -> tuple[str, bool, int]:
    """One word with quotes and escapes taken out, whether it had quotes, and where it ends."""
    out: list[str] = []
    quote = ""
    quoted = False
    while at < len(line):
        char = line[at]
        if not quote and is_space(char):
            break
        at += 1
        if quote and char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
            quoted = True
        elif char == escape:
            if at == len(line):
                break
            out.append(line[at])
            at += 1
        else:
            out.append(char)
    return "".join(out), quoted, at


def split_quoted(text: str, escape: str) -> list[str]:
    """Words with their quotes and escapes left in; an escape character at the very end is dropped."""
    if escape not in text and "'" not in text and '"' not in text:
        return [word for word in re.split(f"[{SPACES}]+", text) if word]
    out: list[str] = []
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == escape and quote != "'":
            if at == len(text):
                break
            word.append(char + text[at])
            at += 1
        elif quote:
            word.append(char)
            if char == quote:
                quote = ""
        elif is_space(char):
            if word:
                out.append("".join(word))
                word.clear()
        else:
            word.append(char)
            if char in "'\"":
                quote = char
    if word:
        out.append("".join(word))
    return out


def json_strings(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or ``None`` when the text is no JSON array.

    Raises:
        FaultError: An array that holds something else.
    """
    bare = text.lstrip(SPACES)
    if not bare.startswith("["):
        return None
    try:
        values = json.loads(bare, parse_constant=_no_constant, parse_float=_number, parse_int=_number)
    except RecursionError:
        values = [None]
    except ValueError:
        return None
    if not all(isinstance(value, str) for value in values):
        raise FaultError("when using JSON array syntax, arrays must be comprised of strings only", "bad-json", bare[:1])
    return tuple(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value) for value in values)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _number(text: str) -> float:
    """A number, refused when it has no finite value: the reference then takes the text for a shell command."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _blank_list(rest: str, _escape: str) -> tuple[tuple[str, ...], bool]:
    return (tuple(_BLANKS.split(rest)) if rest else ()), False


def _string(rest: str, _escape: str) -> tuple[tuple[str, ...], bool]:
    return ((rest,) if rest else ()), False


def _maybe_json(rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
    values = json_strings(rest)
    return _string(rest, escape) if values is None else (values, True)


def _maybe_json_list(rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
    values = json_strings(rest)
    return _blank_list(rest, escape) if values is None else (values, True)


def _quoted_list(rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return tuple(split_quoted(rest, escape)), False


def _health(rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
    end = next((at for at, char in enumerate(rest) if is_space(char)), len(rest))
    if not end:
        return (), False
    command, is_json = _maybe_json(rest[end:].lstrip(SPACES), escape)
    return (rest[:end], *command), is_json


def _pairs(name: str) -> Callable[[str, str], tuple[tuple[str, ...], bool]]:
    def read_pairs(rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
        found = split_quoted(rest, escape)
        if not found:
            return (), False
        if "=" not in found[0]:
            parts = _BLANKS.split(rest, 1)
            if len(parts) < 2:
                raise FaultError(f"{name} must have two arguments", "argument-count", "", f"write {name} NAME=value")
            return (parts[0], parts[1], ""), False
        out: list[str] = []
        for word in found:
            key, sign, value = word.partition("=")
            if not sign:
                raise FaultError(
                    f"Syntax error - can't find = in {word!r}",
                    "bad-syntax",
                    word,
                    "every word must be of the form name=value",
                )
            out += (key, value, "=")
        return tuple(out), False

    return read_pairs


_FORMS: Final[Mapping[str, Callable[[str, str], tuple[tuple[str, ...], bool]]]] = {
    "add": _maybe_json_list,
    "arg": _quoted_list,
    "cmd": _maybe_json,
    "copy": _maybe_json_list,
    "entrypoint": _maybe_json,
    "env": _pairs("ENV"),
    "expose": _blank_list,
    "from": _blank_list,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _string,
    "run": _maybe_json,
    "shell": _maybe_json,
    "stopsignal": _string,
    "user": _string,
    "volume": _maybe_json_list,
    "workdir": _string,
}
KEYWORDS: Final = tuple(sorted((*_FORMS, "onbuild")))
