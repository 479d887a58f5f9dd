# SPDX-License-Identifier: Apache-2.0
"""Running rules over a Dockerfile."""

from __future__ import annotations

from dataclasses import dataclass

from scow.dockerfile import ast
from scow.dockerfile.lint import config as configs
from scow.dockerfile.lint.commands import of_run
from scow.dockerfile.lint.dryrun import DryRun
from scow.dockerfile.lint.rule import LEVELS
from scow.dockerfile.lint.rules import RULES
from scow.dockerfile.lint.subject import RunCommands, Subject, Surroundings
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from scow.dockerfile.lint.rule import Edit, Finding, Level, Rule


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell.

    Attributes:
        rule: The rule that is broken.
        message: What is wrong here.
        line: Its first line.
        end_line: Its last line.
        edits: A safe repair, if there is one.
    """

    rule: Rule
    message: str
    line: int
    end_line: int
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What the rules said about a file.

    Attributes:
        filename: The file.
        problems: By line.
        error: The file asks for findings to stop a build.
    """

    filename: str
    problems: tuple[Problem, ...]
    error: bool = False

    def reaches(self, level: Level) -> bool:
        """Whether a problem is at least that bad."""
        return any(LEVELS.index(problem.rule.level) <= LEVELS.index(level) for problem in self.problems)


def lint(
    dockerfile: ast.Dockerfile,
    around: Surroundings | None = None,
    *,
    rules: Iterable[Rule] | None = None,
    config: configs.LintConfig | None = None,
) -> Report:
    """Run rules over a Dockerfile.

    Args:
        dockerfile: The tree.
        around: What is known beside it.
        rules: Those to run, also when they are off by default; ``None`` for all that are on.
        config: What the caller switches on or off, in addition to what the file says.

    Raises:
        DockerfileError: The ``check`` directive is malformed.
    """
    around = around or Surroundings()
    whole = configs.of_file(dockerfile, around.build_args).merged(config or configs.LintConfig())
    chosen = tuple(rule for rule in RULES if rule.on) if rules is None else tuple(rules)
    subject = _subject(dockerfile, around)
    silenced = _silenced(dockerfile)
    problems: list[Problem] = []
    for rule in chosen:
        if not rule.experimental and not whole.runs(rule):
            continue
        for found in rule.check(subject):
            local = silenced.get(found.node.span.first, _NOTHING) if found.node is not None else _NOTHING
            here = whole.merged(local.hadolint)
            if (here if rule.whole else here.merged(local.check)).runs(rule):
                problems.append(_problem(rule, found))
    problems.sort(key=lambda problem: (problem.line, not problem.rule.buildkit, problem.rule.name))
    return Report(dockerfile.filename, tuple(problems), whole.error)


def _problem(rule: Rule, found: Finding) -> Problem:
    return Problem(rule, found.message, found.span.first, found.span.last, found.edits)


def _subject(dockerfile: ast.Dockerfile, around: Surroundings) -> Subject:
    stages = DryRun(dockerfile, around).stages
    runs = [
        RunCommands(stage, node, stage.shells.get(id(node), ()), of_run(node))
        for stage in stages
        for node in stage.nodes
        if isinstance(node, ast.Run)
    ]
    lines = tuple(line.rstrip("\r") for line in dockerfile.text.removeprefix("\ufeff").split("\n"))
    return Subject(dockerfile, lines, around, tuple(stages), tuple(runs))


class _Local(NamedTuple):
    """What comments above an instruction switch on and off for it."""

    hadolint: configs.LintConfig
    check: configs.LintConfig


_NOTHING: Final = _Local(configs.LintConfig(), configs.LintConfig())


def _local(node: ast.Node, shared: configs.LintConfig) -> _Local:
    return _Local(shared.merged(configs.of_comments(node.comments)), configs.of_check_comment(node.comments))


def _silenced(dockerfile: ast.Dockerfile) -> dict[int, _Local]:
    """What comments say, by the first line of the instruction that they stand above."""
    out = {argument.span.first: _local(argument, configs.LintConfig()) for argument in dockerfile.args}
    for stage in dockerfile.stages:
        shared = configs.of_comments(stage.from_.comments, stage=True)
        out.update((node.span.first, _local(node, shared)) for node in (stage.from_, *stage.instructions))
    return out
