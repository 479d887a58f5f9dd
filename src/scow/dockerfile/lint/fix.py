# SPDX-License-Identifier: Apache-2.0
"""Repairing what is safe to repair: the build gives the same image, or the one the rule asks for."""

from __future__ import annotations

from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.lint.run import lint
from scow.dockerfile.parser import parse
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from scow.dockerfile.lint.config import LintConfig
    from scow.dockerfile.lint.rule import Edit, Rule
    from scow.dockerfile.lint.subject import Surroundings

_ROUNDS: Final = 20


def fix(
    text: str,
    filename: str = "Dockerfile",
    around: Surroundings | None = None,
    *,
    rules: Iterable[Rule] | None = None,
    config: LintConfig | None = None,
) -> tuple[str, int]:
    """Repair a Dockerfile.

    One repair may uncover another, so that the rules are asked again until they have nothing more to repair.

    Args:
        text: The Dockerfile.
        filename: For messages.
        around: What is known beside it.
        rules: As for ``lint``.
        config: As for ``lint``.

    Returns:
        The text and how many repairs were made.

    Raises:
        DockerfileError: The text is no Dockerfile.
    """
    chosen = None if rules is None else tuple(rules)
    count = 0
    for _ in range(_ROUNDS):
        report = lint(parse(text, filename), around, rules=chosen, config=config)
        taken: list[Edit] = []
        for problem in report.problems:
            if problem.edits and not any(_overlap(edit, other) for edit in problem.edits for other in taken):
                taken += problem.edits
                count += 1
        if not taken:
            break
        repaired = apply(text, taken)
        try:
            parse(repaired, filename)
        except DockerfileError:
            break
        text = repaired
    return text, count


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with edits made that do not overlap."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text.removeprefix("\ufeff").split("\n")
    for edit in sorted(edits, reverse=True):
        if edit.end < 0:
            del lines[edit.line - 1]
        else:
            line = lines[edit.line - 1]
            lines[edit.line - 1] = line[: edit.start] + edit.text + line[edit.end :]
    return mark + "\n".join(lines)


def _overlap(left: Edit, right: Edit) -> bool:
    if left.line != right.line:
        return False
    return left.end < 0 or right.end < 0 or (left.start <= right.end and right.start <= left.end)
