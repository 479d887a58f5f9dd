# SPDX-License-Identifier: Apache-2.0
r"""One pattern of an ignore file: checked, and translated to string tests or a regular expression.

The reference builds a Go regular expression from the pattern without looking at brackets or at what a backslash
stands before. Where that gives a meaning (``[*]``, ``\d``), the meaning is kept: ``goregex`` reads the expression.

Source: moby/patternmatcher (compile); Go, path/filepath (Match, Clean).
"""

from __future__ import annotations

import re

from scow.dockerfile.errors import IgnorePatternError
from scow.dockerfile.goregex import to_python
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_ESCAPED: Final = frozenset(".+()$")
"""The reference means to escape ``{``, ``|`` and ``}`` too, and does not: its table ends before them."""
_SPECIAL: Final = frozenset("*?[]\\")
_UNSURE: Final = frozenset("[\\{")


def clean(path: str) -> str:
    """The shortest path that means the same, without looking at the file system.

    Source: Go, path/filepath.Clean.
    """
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif not rooted:
            parts.append(part)
    joined = "/".join(parts)
    return "/" + joined if rooted else joined or "."


class Pattern:
    """A pattern and the tests it comes down to: a path matches when one of them holds.

    Attributes:
        shown: The cleaned pattern with its ``!``.
        negated: It brings back.
        exact: Paths that match.
        prefix: What matching paths begin with.
        suffix: What matching paths end with.
        regex: Python expression for the whole path.
        fault: Why the pattern cannot be used; raised when it is asked, as the reference does.

    Args:
        text: Without surrounding space, not empty.

    Raises:
        IgnorePatternError: A lone ``!``, an open bracket, a backslash at the end.
    """

    __slots__ = ("_compiled", "_text", "exact", "fault", "negated", "prefix", "regex", "shown", "suffix")

    def __init__(self, text: str) -> None:
        self.shown = clean(text)
        self.negated = self.shown.startswith("!")
        if self.shown == "!":
            raise IgnorePatternError("illegal exclusion pattern: '!'")
        self._text = self.shown[self.negated :]
        _check(self._text)
        self.exact: tuple[str, ...] = ()
        self.prefix: str | None = None
        self.suffix: str | None = None
        self.regex: str | None = None
        self.fault = ""
        self._compiled: re.Pattern[str] | None = None
        self._translate()

    def matches(self, path: str) -> bool:
        """Whether the pattern matches this very path.

        Raises:
            IgnorePatternError: The pattern has a ``fault``.
        """
        if self.fault:
            raise IgnorePatternError(f"bad ignore pattern {self.shown!r}: {self.fault}")
        if path in self.exact:
            return True
        if self.prefix is not None:
            return path.startswith(self.prefix)
        if self.suffix is not None:
            return path.endswith(self.suffix)
        return self._compiled is not None and self._compiled.match(path) is not None

    def reaches(self, folder: str) -> bool:
        """Whether the pattern can match something below a folder that it does not match itself. In doubt, yes."""
        if "|" in self._text:
            return True
        mine = self._text.split("/")
        for at, part in enumerate(folder.split("/")):
            if at >= len(mine):
                return False
            if "**" in mine[at] or not _UNSURE.isdisjoint(mine[at]):
                return True
            if not _component(mine[at], part):
                return False
        return len(mine) > folder.count("/") + 1

    def _translate(self) -> None:
        text, kind = _regex(self._text)
        if kind == "exact":
            self.exact = (self._text,)
        elif kind == "prefix":
            self.prefix = self._text[:-2]
        elif kind == "suffix":
            self.suffix = self._text[2:]
            if self.suffix.startswith("/"):
                self.exact = (self.suffix[1:],)
        else:
            try:
                self.regex = to_python(text)
                self._compiled = re.compile(self.regex)
            except (ValueError, re.error, RecursionError, OverflowError) as error:
                self.regex = None
                self.fault = str(error)


def _regex(pattern: str) -> tuple[str, str]:
    """The reference's expression, and the kind of test it takes: exact, prefix, suffix or regex."""
    out = ["^"]
    kind = "exact"
    at = 0
    while at < len(pattern):
        char = pattern[at]
        first = at == 0
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 1
            if pattern.startswith("/", at):
                at += 1
            if at < len(pattern):
                out.append("(.*/)?")
                kind = "regex"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(".*")
                kind = "regex"
            if first:
                kind = "suffix"
        elif char in "*?":
            out.append("[^/]*" if char == "*" else "[^/]")
            kind = "regex"
        elif char in _ESCAPED:
            out.append("\\" + char)
        elif char == "\\":
            if at < len(pattern):
                kind = "regex"
            out.append("\\" + pattern[at : at + 1])
            at += 1
        else:
            out.append(char)
            if char in "[]":
                kind = "regex"
    out.append("$")
    return "".join(out), kind


def _component(pattern: str, name: str) -> bool:
    """Whether ``*`` and ``?`` of one path component match a name."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    expression = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None


def _check(pattern: str) -> None:
    """Refuse what Go's filepath.Match calls malformed when it is asked about ``.``, as the reference asks.

    It looks no further than the first piece between stars that does not match.
    """
    if _SPECIAL.isdisjoint(pattern):
        return
    rest, name = pattern, "."
    while rest:
        star = rest.startswith("*")
        chunk, rest = _chunk(rest)
        left = _left(chunk, name, pattern)
        if left is None or (left and not rest):
            left = _left(chunk, "", pattern) if star and name else None
        if left is None or (star and not chunk):
            return
        name = left


def _chunk(pattern: str) -> tuple[str, str]:
    """Up to the next star outside brackets, and the rest."""
    pattern = pattern.lstrip("*")
    inside = False
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
        elif char == "[":
            inside = True
        elif char == "]":
            inside = False
        elif char == "*" and not inside:
            break
        at += 1
    return pattern[:at], pattern[at:]


def _left(chunk: str, name: str, pattern: str) -> str | None:
    """What a piece without stars leaves of the name that it matches the beginning of; ``None`` when it does not."""
    at = 0
    fits = True
    while at < len(chunk):
        char = chunk[at]
        at += 1
        if char == "[":
            hit, at = _class(chunk, at, pattern, name[:1])
        elif char == "?":
            hit = True
        else:
            if char == "\\":
                if at >= len(chunk):
                    raise IgnorePatternError(
                        f"syntax error in pattern {pattern!r}", hint="a backslash needs a character"
                    )
                char = chunk[at]
                at += 1
            hit = char == name[:1]
        fits = fits and hit and name != ""
        name = name[1:]
    return name if fits else None


def _class(chunk: str, at: int, pattern: str, name: str) -> tuple[bool, int]:
    """Whether a bracket expression, from after its ``[``, has the character, and where it ends."""
    negated = chunk.startswith("^", at)
    at += negated
    count = 0
    hit = False
    while not (count and chunk.startswith("]", at)):
        low, at = _member(chunk, at, pattern)
        high = low
        if chunk[at] == "-":
            high, at = _member(chunk, at + 1, pattern)
        hit = hit or low <= name <= high
        count += 1
    return hit != negated, at + 1


def _member(chunk: str, at: int, pattern: str) -> tuple[str, int]:
    """One character within brackets, and the place after it, where something must follow."""
    bad = IgnorePatternError(f"syntax error in pattern {pattern!r}", hint="close the bracket, or escape it with \\")
    if at >= len(chunk) or chunk[at] in "-]":
        raise bad
    if chunk[at] == "\\":
        at += 1
        if at >= len(chunk):
            raise bad
    if "\ud800" <= chunk[at] <= "\udfff" or at + 1 >= len(chunk):
        raise bad
    return chunk[at], at + 1
