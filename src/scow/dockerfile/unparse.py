# SPDX-License-Identifier: Apache-2.0
"""A syntax tree back to text: one line for each instruction, with its comments and here-documents.

``parse`` gives the same instructions for the result; continuation lines, blank lines and comments within instructions
are gone.
"""

from __future__ import annotations

from scow.dockerfile.lines import LINE_LIMIT
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from scow.dockerfile.ast import Dockerfile, Node

_PIECE: Final = LINE_LIMIT // 4 - 16
"""Characters of a line that has at most 65,535 bytes in any case."""


def unparse(dockerfile: Dockerfile) -> str:
    """The text of a whole Dockerfile."""
    parts = [f"# {directive.name}={directive.value}\n" for directive in dockerfile.directives]
    nodes = dockerfile.instructions
    if nodes and nodes[0].comments:
        parts.append("\n")  # a first comment must not become a directive
    previous = ""
    for node in nodes:
        if previous and (node.name == "FROM" or node.comments):
            parts.append("\n")
        parts.append(unparse_instruction(node, dockerfile.escape))
        previous = node.name
    return "".join(parts)


def unparse_instruction(node: Node, escape: str = "\\") -> str:
    """The text of one instruction, with a line end.

    Args:
        node: The instruction.
        escape: The Dockerfile's escape character.
    """
    parts = [f"# {comment}\n" for comment in node.comments]
    parts.append(_line(node.source, escape))
    if node.source.endswith(escape) and not node.source.endswith(escape * 2):
        parts.append("\f")  # space that ends no continuation line, so that the escape character stands for itself
    parts.append("\n")
    for doc in node.heredocs:
        parts += (doc.content, doc.name, "\n")
    return "".join(parts)


def _line(source: str, escape: str) -> str:
    """The logical line, continued where it would be too long to be read again."""
    pieces: list[str] = []
    while len(source) > _PIECE:
        at = _break(source, escape)
        if not at:
            break
        pieces.append(source[:at] + escape + "\n")
        source = source[at:]
    return "".join((*pieces, source))


def _break(source: str, escape: str) -> int:
    """Where to break a long line: inside a run of plain characters, so that nothing is taken for a comment."""
    for at in range(_PIECE, _PIECE // 2, -1):
        before, after = source[at - 1], source[at]
        if before != escape and not before.isspace() and not after.isspace() and after not in ("#", escape):
            return at
    return 0
