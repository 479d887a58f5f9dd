# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a Dockerfile, its words, mounts or ignore patterns."""

from __future__ import annotations

from scow.errors import InvalidArgumentError


class DockerfileError(InvalidArgumentError):
    """A Dockerfile cannot be read.

    Args:
        message: One sentence, without the place.
        filename: As given to the parser.
        line: The first line of the faulty instruction, from 1; 0 when the file as a whole is meant.
        end_line: Its last line.
        source: The line to show, without its line end.
        column: Where the caret stands in ``source``, in characters from 0.
        width: How many characters are marked.
        kind: A stable word for the class of fault: ``unknown-instruction``, ``argument-count``, ``bad-flag``,
            ``bad-value``, ``bad-syntax``, ``bad-json``, ``bad-directive``, ``invalid-name``, ``no-from``,
            ``not-allowed``, ``empty`` or ``limit``.
        hint: What to do about it.
    """

    code = "dockerfile"

    def __init__(
        self,
        message: str,
        *,
        filename: str = "Dockerfile",
        line: int = 0,
        end_line: int = 0,
        source: str = "",
        column: int = 0,
        width: int = 1,
        kind: str = "bad-syntax",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.filename = filename
        self.line = line
        self.end_line = max(line, end_line)
        self.source = source
        self.column = column
        self.width = width
        self.kind = kind

    @property
    def location(self) -> str:
        """``file:line``, or the file alone."""
        return f"{self.filename}:{self.line}" if self.line else self.filename

    @property
    def snippet(self) -> str:
        """The faulty line and a caret under what is wrong with it; ``""`` when there is no line to show."""
        if not self.source:
            return ""
        number = f"{self.line:>4} | "
        shown, column = _window(self.source, self.column)
        lead = "".join("\t" if char == "\t" else " " for char in shown[:column])
        marks = "^" * max(1, min(self.width, len(shown) - column))
        return f"{number}{shown}\n{' ' * (len(number) - 2)}| {lead}{marks}"

    def __str__(self) -> str:
        return f"{self.location}: parse error: {self.message}"

    def render(self) -> str:
        """The whole report for a terminal: place, message, line and caret."""
        return "\n".join(part for part in (str(self), self.snippet) if part)


class FaultError(Exception):
    """What is wrong with one instruction, before the parser adds the place. Never leaves this room.

    Args:
        message: One sentence.
        kind: As in ``DockerfileError``.
        token: The text in the instruction to point at; ``""`` for its first word.
        hint: What to do about it.
    """

    def __init__(self, message: str, kind: str, token: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.token = token
        self.hint = hint


class WordError(InvalidArgumentError):
    """A word cannot be expanded: an open quote, a bad substitution, a required variable."""

    code = "bad-word"


class FlagValueError(InvalidArgumentError):
    """The value of an instruction's flag, such as ``--mount``, is malformed."""

    code = "bad-flag-value"


class IgnorePatternError(InvalidArgumentError):
    """A pattern of an ignore file is malformed."""

    code = "bad-ignore-pattern"


_SHOWN = 200


def _window(source: str, column: int) -> tuple[str, int]:
    """At most 200 characters of a line around the column, and the column in them."""
    clean = "".join(char if char == "\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in source)
    if len(clean) <= _SHOWN:
        return clean, min(column, max(0, len(clean) - 1))
    start = max(0, min(column - _SHOWN // 2, len(clean) - _SHOWN))
    return clean[start : start + _SHOWN], max(0, min(column - start, _SHOWN - 1))
