# SPDX-License-Identifier: Apache-2.0
"""Faults with their place: the line to show and where its caret stands."""

from __future__ import annotations

from scow.dockerfile.errors import DockerfileError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.dockerfile.ast import Dockerfile, Node, Span


class Place(NamedTuple):
    """A stretch of one line: its number from 1, its text, and the marked columns from 0."""

    line: int
    source: str
    column: int
    width: int


def locate(lines: Sequence[str], span: Span, token: str = "") -> Place:
    """The first line of the span that holds the token; the first word of the span when none does."""
    if token:
        for number in range(span.first, min(span.last, len(lines)) + 1):
            line = lines[number - 1].rstrip("\r\n")
            column = line.find(token)
            if column >= 0:
                return Place(number, line, column, len(token))
    line = lines[span.first - 1].rstrip("\r\n") if span.first <= len(lines) else ""
    bare = line.lstrip()
    word = bare.split(None, 1)[0] if bare else " "
    return Place(span.first, line, len(line) - len(bare), len(word))


def blame(
    dockerfile: Dockerfile, node: Node, message: str, *, token: str = "", kind: str = "bad-value", hint: str = ""
) -> DockerfileError:
    """What is wrong with an instruction, for those who find it after parsing.

    Args:
        dockerfile: Where the instruction stands.
        node: The instruction.
        message: One sentence.
        token: The text in it to point at.
        kind: As in ``DockerfileError``.
        hint: What to do about it.
    """
    place = locate(dockerfile.text.removeprefix("\ufeff").split("\n"), node.span, token)
    return DockerfileError(
        message,
        filename=dockerfile.filename,
        line=place.line,
        end_line=node.span.last,
        source=place.source,
        column=place.column,
        width=place.width,
        kind=kind,
        hint=hint,
    )
