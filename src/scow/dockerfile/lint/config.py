# SPDX-License-Identifier: Apache-2.0
"""Which rules are silenced: by the ``check`` directive, by comments above instructions, by the caller.

Source: BuildKit v0.32, "Build checks"; hadolint, "Inline ignores".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.lines import parse_directive
from scow.dockerfile.platforms import CHECK_ARGUMENT
from scow.dockerfile.text import FALSE, TRUE
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from scow.dockerfile.ast import Dockerfile
    from scow.dockerfile.lint.rule import Rule

_HADOLINT: Final = re.compile(
    r"[ \t]*hadolint[ \t]+(?:(global|stage)[ \t]+)?ignore[ \t]*=[ \t]*([\w, \t]+?)[ \t]*(?:#.*)?"
)


@dataclass(frozen=True, slots=True)
class LintConfig:
    """What is switched on and off.

    Attributes:
        skip: Names or numbers of rules that are silent; ``all`` for every rule.
        experimental: Names of experimental rules that run; ``all`` for every one.
        error: Findings are errors: a build stops.
    """

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def merged(self, other: LintConfig) -> LintConfig:
        """Both together."""
        return LintConfig(self.skip | other.skip, self.experimental | other.experimental, self.error or other.error)

    def runs(self, rule: Rule) -> bool:
        """Whether a rule may speak; ``skip=all`` leaves the experimental ones to ``experimental``, as in BuildKit."""
        if rule.answers_to(self.skip):
            return False
        if rule.experimental:
            return "all" in self.experimental or rule.answers_to(self.experimental)
        return "all" not in self.skip


def parse_check(text: str) -> LintConfig:
    """Read ``skip=A,B;error=true;experimental=all``.

    Raises:
        ValueError: An option is unknown or malformed; the message says which.
    """
    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error = False
    for part in text.strip().split(";") if text.strip() else ():
        key, sign, value = part.partition("=")
        key = key.strip()
        if not sign or key not in ("skip", "experimental", "error"):
            raise ValueError(f"invalid check option {part.strip()!r}")
        if key == "error":
            if value.strip() not in TRUE | FALSE:
                raise ValueError(f"invalid value {value.strip()!r} of check option 'error'")
            error = value.strip() in TRUE
            continue
        names = frozenset(name.strip() for name in value.split(",") if name.strip())
        if "all" in names and value.strip() != "all":
            names -= {"all"}
        if key == "skip":
            skip = names
        else:
            experimental = names
    return LintConfig(skip, experimental, error)


def of_file(dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None) -> LintConfig:
    """What the directive and the file-wide comments say.

    Args:
        dockerfile: The file.
        build_args: Of the build.

    Raises:
        DockerfileError: The ``check`` directive, or the build argument in its place, is malformed.
    """
    config = LintConfig()
    given = (build_args or {}).get(CHECK_ARGUMENT)
    if given is not None:
        try:
            config = parse_check(given)
        except ValueError as error:
            raise DockerfileError(
                f"failed to parse {CHECK_ARGUMENT}: {error}", filename=dockerfile.filename, kind="bad-value"
            ) from None
    for directive in dockerfile.directives:
        if directive.name == "check" and given is None:
            try:
                config = parse_check(directive.value.split(" ")[0])
            except ValueError as error:
                raise DockerfileError(
                    str(error),
                    filename=dockerfile.filename,
                    line=directive.line,
                    source=dockerfile.text.removeprefix("\ufeff").split("\n")[directive.line - 1].rstrip("\r"),
                    kind="bad-directive",
                    hint="known are skip, experimental and error, parted by ';'",
                ) from None
    for line in dockerfile.text.split("\n"):
        if "hadolint" in line and (match := _HADOLINT.fullmatch(line.strip().lstrip("#"))) and match[1] == "global":
            config = config.merged(LintConfig(_names(match[2])))
    return config


def of_comments(comments: Iterable[str], *, stage: bool = False) -> LintConfig:
    """What hadolint's comments above an instruction say about it, or with ``stage`` about the stage of a FROM."""
    config = LintConfig()
    for comment in comments:
        match = _HADOLINT.fullmatch(comment)
        if match and match[1] != "global" and (match[1] == "stage") == stage:
            config = config.merged(LintConfig(_names(match[2])))
    return config


def of_check_comment(comments: Iterable[str]) -> LintConfig:
    """What the first ``check=`` comment above an instruction says about it; nothing when it is malformed.

    Source: BuildKit v0.32, frontend/dockerfile/linter (WithMergedConfigFromComments).
    """
    for comment in comments:
        directive = parse_directive(comment, "")
        if directive is not None and directive[0] == "check":
            try:
                return parse_check(directive[1].split(" ")[0])
            except ValueError:
                break
    return LintConfig()


def _names(text: str) -> frozenset[str]:
    return frozenset(re.split(r"[, \t]+", text.strip(", \t")))
