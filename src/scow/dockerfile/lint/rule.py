# SPDX-License-Identifier: Apache-2.0
"""What a rule is, and what it says about a Dockerfile."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, Literal

    from scow.dockerfile.ast import Node, Span
    from scow.dockerfile.lint.subject import Subject

    Level = Literal["error", "warning", "info"]

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "info")

_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


class Edit(NamedTuple):
    """Replace columns ``start`` to ``end`` (from 0) of one line (from 1); a whole line goes when ``end`` is -1."""

    line: int
    start: int
    end: int
    text: str = ""


class Finding(NamedTuple):
    """One place where a rule is broken.

    Attributes:
        span: The lines.
        message: One sentence, no final period.
        node: The instruction whose comments may silence it; ``None`` for the file as a whole.
        edits: A safe repair, if there is one.
    """

    span: Span
    message: str
    node: Node | None = None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A piece of advice, with its page in docs/lint.

    Attributes:
        name: In CamelCase; those of BuildKit's checks are BuildKit's.
        summary: One sentence: what is wrong.
        why: A paragraph or two for the page.
        bad: A Dockerfile that breaks the rule.
        good: The same, right.
        check: Finds the places.
        aliases: Hadolint's numbers for it.
        level: How bad it is.
        buildkit: It is one of BuildKit's checks.
        on: It runs unless it is switched off; the others run when asked for by name.
        experimental: BuildKit runs it only with ``experimental``.
        whole: BuildKit checks it over the whole file, so a ``# check=`` comment above an instruction does not reach it.
        fixes: ``--fix`` can repair it.
        needs: What must be known beside the Dockerfile, in words; ``""`` for nothing.
    """

    name: str
    summary: str
    why: str
    bad: str
    good: str
    check: Callable[[Subject], Iterable[Finding]]
    aliases: tuple[str, ...] = ()
    level: Level = "warning"
    buildkit: bool = False
    on: bool = True
    experimental: bool = False
    whole: bool = False
    fixes: bool = False
    needs: str = ""

    @property
    def slug(self) -> str:
        """The name in lower case with hyphens: the page is ``docs/lint/SLUG.md``."""
        return "-".join(_WORD.findall(self.name)).lower()

    def answers_to(self, names: frozenset[str]) -> bool:
        """Whether one of the names means this rule."""
        return self.name in names or any(alias in names for alias in self.aliases)


def finding(node: Node, message: str, *edits: Edit) -> Finding:
    """A finding about an instruction."""
    return Finding(node.span, message, node, edits)
