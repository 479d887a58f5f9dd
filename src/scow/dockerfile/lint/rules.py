# SPDX-License-Identifier: Apache-2.0
"""All rules, by name and by number."""

from __future__ import annotations

from scow.dockerfile import suggest
from scow.dockerfile.lint import arguments, images, instructions, naming, packages, running
from scow.errors import NotFoundError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from scow.dockerfile.lint.rule import Rule

RULES: Final[tuple[Rule, ...]] = tuple(
    sorted(
        (*naming.RULES, *arguments.RULES, *instructions.RULES, *images.RULES, *running.RULES, *packages.RULES),
        key=lambda rule: (not rule.buildkit, rule.name),
    )
)
BUILDKIT: Final[tuple[Rule, ...]] = tuple(rule for rule in RULES if rule.buildkit)


def by_name(name: str) -> Rule:
    """The rule of a name, a number or a page.

    Raises:
        NotFoundError: There is none.
    """
    for rule in RULES:
        if name in (rule.name, rule.slug, *rule.aliases):
            return rule
    raise NotFoundError(f"no lint rule {name!r}", hint=suggest.hint(name, [rule.name for rule in RULES]))
