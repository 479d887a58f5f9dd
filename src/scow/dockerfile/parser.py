# SPDX-License-Identifier: Apache-2.0
"""Text to ``ast.Dockerfile``. The only exception that leaves here is ``DockerfileError``, with the place of the fault.

The whole file is split into words before any instruction is checked, so that the fault reported is the one that the
reference reports.
"""

from __future__ import annotations

from scow.dockerfile import ast
from scow.dockerfile.blame import locate
from scow.dockerfile.errors import DockerfileError, FaultError
from scow.dockerfile.instructions import Request, build
from scow.dockerfile.lines import Reader
from scow.dockerfile.raw import heredocs, read
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.dockerfile.lines import Logical
    from scow.dockerfile.raw import Raw


class _Entry(NamedTuple):
    """A logical line with its words and here-documents."""

    raw: Raw
    span: ast.Span
    docs: tuple[ast.Heredoc, ...]
    comments: tuple[str, ...]


def parse(text: str, filename: str = "Dockerfile") -> ast.Dockerfile:
    """Read a Dockerfile.

    Args:
        text: The file's content; bytes that are no UTF-8 decoded with ``surrogateescape``.
        filename: For messages.

    Raises:
        DockerfileError: It is none.

    Source: Dockerfile reference 1.26.
    """
    reader = Reader(text)
    entries, gaps = _entries(reader, filename)
    if not entries:
        raise DockerfileError(
            "file with no instructions", filename=filename, line=reader.number, kind="empty", hint="begin with FROM"
        )
    args: list[ast.Arg] = []
    stages: list[tuple[ast.From, list[ast.Instruction]]] = []
    for entry in entries:
        node = _node(entry, reader, filename)
        if isinstance(node, ast.From):
            stages.append((node, []))
        elif stages:
            stages[-1][1].append(node)
        elif isinstance(node, ast.Arg):
            args.append(node)
        else:
            fault = FaultError("no build stage in current context", "no-from", node.keyword, "begin with FROM")
            raise _placed(fault, reader, entry.span, filename)
    return ast.Dockerfile(
        filename=filename,
        text=text,
        escape=reader.escape,
        directives=tuple(reader.directives),
        args=tuple(args),
        stages=tuple(
            ast.Stage(index=index, from_=opening, instructions=tuple(body))
            for index, (opening, body) in enumerate(stages)
        ),
        empty_continuations=tuple(gaps),
    )


def parse_instructions(text: str, filename: str = "Dockerfile") -> tuple[ast.Instruction, ...]:
    """Read instructions that need no FROM before them: ONBUILD triggers, ``commit --change``.

    Args:
        text: One or more instructions.
        filename: For messages.

    Raises:
        DockerfileError: There is none, or one is faulty.
    """
    reader = Reader(text)
    entries, _ = _entries(reader, filename)
    if not entries:
        raise DockerfileError("no instruction given", filename=filename, line=reader.number, kind="empty")
    return tuple(_node(entry, reader, filename) for entry in entries)


def _entries(reader: Reader, filename: str) -> tuple[list[_Entry], list[int]]:
    """Everything as words, and the last lines of instructions with an empty line inside."""
    entries: list[_Entry] = []
    gaps: list[int] = []
    while (logical := _next(reader, filename)) is not None:
        if logical.gap:
            gaps.append(logical.span.last)
        try:
            raw = read(logical.text, reader.escape)
            docs = tuple(doc._replace(content=reader.body(doc.name, chomp=doc.chomp)) for doc in heredocs(raw))
        except FaultError as fault:
            raise _placed(fault, reader, ast.Span(logical.span.first, reader.number), filename) from None
        entries.append(_Entry(raw, ast.Span(logical.span.first, reader.number), docs, logical.comments))
    return entries, gaps


def _next(reader: Reader, filename: str) -> Logical | None:
    try:
        return reader.next()
    except FaultError as fault:
        raise _placed(fault, reader, ast.Span(reader.number, reader.number), filename) from None


def _node(entry: _Entry, reader: Reader, filename: str) -> ast.Instruction:
    try:
        return build(Request(entry.raw, entry.span, entry.docs, entry.comments))
    except FaultError as fault:
        raise _placed(fault, reader, entry.span, filename) from None


def _placed(fault: FaultError, reader: Reader, span: ast.Span, filename: str) -> DockerfileError:
    place = locate(reader.lines, span, fault.token)
    return DockerfileError(
        fault.message,
        filename=filename,
        line=place.line,
        end_line=span.last,
        source=place.source,
        column=place.column,
        width=place.width,
        kind=fault.kind,
        hint=fault.hint,
    )
