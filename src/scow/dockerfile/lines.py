# SPDX-License-Identifier: Apache-2.0
"""Physical lines to logical ones: directives, comments, continuations and the bodies of here-documents.

Lines end at a line feed only; a carriage return before it belongs to the line end. A line may have 65,535 bytes.

Source: BuildKit v0.32, frontend/dockerfile/parser (Parse, DirectiveParser).
"""

from __future__ import annotations

import re

from scow.dockerfile.ast import Directive, Span
from scow.dockerfile.errors import FaultError
from scow.dockerfile.text import SPACES, trim
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

LINE_LIMIT: Final = 65_535
"""Bytes; what the reference's scanner takes, and a bound for hostile files."""

_DIRECTIVE: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_DIRECTIVES: Final = frozenset({"syntax", "escape", "check"})


class Logical(NamedTuple):
    """One instruction's text, continuation lines joined.

    Attributes:
        text: Without line ends; space at the ends of continuation lines stays.
        span: Lines it was read from, here-documents not included.
        comments: Texts of the comments above it, since the last instruction or empty comment.
        gap: Whether an empty line stood between continuation lines.
    """

    text: str
    span: Span
    comments: tuple[str, ...]
    gap: bool


def parse_directive(line: str, prefix: str = "#") -> tuple[str, str] | None:
    """Name (lower case) and value when the line is a known directive, else ``None``."""
    if not line.startswith(prefix):
        return None
    match = _DIRECTIVE.match(line[len(prefix) :].lstrip(SPACES))
    if match is None or match[1].lower() not in _DIRECTIVES:
        return None
    return match[1].lower(), match[2]


class Reader:
    """Reads logical lines one after the other; whoever reads one asks for the here-documents that follow it.

    Attributes:
        lines: The physical lines with their ends.
        number: How many of them are read.
        escape: The escape character; known after the first logical line.
        directives: Those read so far.
    """

    def __init__(self, text: str) -> None:
        parts = text.removeprefix("\ufeff").split("\n")
        self.lines = [part + "\n" for part in parts[:-1]]
        if parts[-1]:
            self.lines.append(parts[-1])
        self.number = 0
        self.escape = "\\"
        self.directives: list[Directive] = []
        self._directives_over = False

    def next(self) -> Logical | None:
        """The next logical line, or ``None`` at the end.

        Raises:
            FaultError: A directive given twice, a wrong escape character, or a line too long.
        """
        comments: list[str] = []
        while (line := self._read()) is not None:
            content = line.rstrip("\r\n").lstrip(SPACES)
            if content.startswith("#"):
                self._comment(line, content, comments)
                continue
            self._directives_over = True
            content, continued = self._continued(content)
            if not content and not continued:
                continue
            first = self.number
            content, gap = self._join(content) if continued else (content, False)
            return Logical(content, Span(first, self.number), tuple(comments), gap)
        return None

    def body(self, name: str, *, chomp: bool) -> str:
        """The lines of a here-document up to its delimiter, which is read too.

        Raises:
            FaultError: The file ends before the delimiter.
        """
        out: list[str] = []
        while (line := self._read()) is not None:
            stripped = line.rstrip("\r\n")
            if (stripped.lstrip("\t") if chomp else stripped) == name:
                return "".join(out)
            out.append(line)
        raise FaultError("unterminated heredoc", "bad-syntax", "<<", f"add a line {name!r} after its text")

    def _read(self) -> str | None:
        if self.number >= len(self.lines):
            return None
        line = self.lines[self.number]
        self.number += 1
        if len(line) * 4 > LINE_LIMIT and len(line.rstrip("\n").encode("utf-8", "replace")) > LINE_LIMIT:
            raise FaultError(f"dockerfile line greater than max allowed size of {LINE_LIMIT}", "limit")
        return line

    def _comment(self, line: str, content: str, comments: list[str]) -> None:
        """Keep the comment's text, unless it is a directive; an empty comment drops those before it."""
        if not self._directives_over and self._directive(content):
            return
        text = trim(line[1:])  # of an indented comment the sign stays: the reference takes one character off the line
        if text:
            comments.append(text)
        else:
            comments.clear()

    def _directive(self, content: str) -> bool:
        found = parse_directive(content)
        if found is None:
            self._directives_over = True
            return False
        name, value = found
        if any(known.name == name for known in self.directives):
            raise FaultError(f"only one {name} parser directive can be used", "bad-directive", name)
        if name == "escape":
            if value not in ("\\", "`"):
                raise FaultError(
                    f"invalid escape token {value!r}", "bad-directive", value, "it can be a backslash or a backtick"
                )
            self.escape = value
        self.directives.append(Directive(name, value, self.number))
        return True

    def _continued(self, line: str) -> tuple[str, bool]:
        """The line without its continuation sign, and whether there was one. A doubled sign is none."""
        bare = line.rstrip(" \t")
        if not bare.endswith(self.escape) or bare.endswith(self.escape * 2):
            return line, False
        return bare[:-1], True

    def _join(self, text: str) -> tuple[str, bool]:
        parts = [text]
        gap = False
        continued = True
        while continued and (line := self._read()) is not None:
            content = line.rstrip("\r\n")
            bare = content.lstrip(SPACES)
            if not bare:
                gap = True
            elif not bare.startswith("#"):
                content, continued = self._continued(content)
                parts.append(content)
        return "".join(parts), gap
