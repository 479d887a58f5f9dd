# SPDX-License-Identifier: Apache-2.0
"""What rules look at: the tree, what is known beside it, and what a dry run of the build found out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scow.dockerfile.lint.rule import Edit
from scow.oci.model import Platform
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scow.dockerfile import ast
    from scow.dockerfile.lint.commands import Command
    from scow.dockerfile.lint.dryrun import StageRun


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What is known of a base image.

    Attributes:
        env: Its environment.
        shell: Its SHELL; empty for the default.
        user: Its USER.
        workdir: Its WORKDIR.
        platform: What it is for; ``None`` when not known.
        onbuild: Its ONBUILD triggers.
        healthcheck: It has one.
        managers: Package managers in it (``apt-get``, ``apk``, ``dnf``, ...); ``None`` when not known.
        users: Names in its /etc/passwd; ``None`` when not known.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    platform: Platform | None = None
    onbuild: tuple[str, ...] = ()
    healthcheck: bool = False
    managers: frozenset[str] | None = None
    users: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the Dockerfile; the defaults mean: nothing.

    Attributes:
        build_args: Values of ``--build-arg``.
        build: Where the build would run.
        target: What it would make.
        images: Base images by the name that FROM gives, variables expanded.
        ignore: Patterns of the ignore file; ``None`` when not known, empty when there is no file.
        context: Names at the top of the build context; ``None`` when not known.
        registries: The only registries that bases may come from; empty for any.
    """

    build_args: Mapping[str, str] = field(default_factory=dict)
    build: Platform = field(default_factory=Platform)
    target: Platform = field(default_factory=Platform)
    images: Mapping[str, BaseImage] = field(default_factory=dict)
    ignore: tuple[str, ...] | None = None
    context: tuple[str, ...] | None = None
    registries: tuple[str, ...] = ()


class RunCommands(NamedTuple):
    """A RUN, the stage it stands in, the shell in force and the simple commands that it runs."""

    stage: StageRun
    node: ast.Run
    shell: tuple[str, ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything a rule may ask.

    Attributes:
        dockerfile: The tree.
        lines: Its physical lines, without their ends.
        around: What is known beside it.
        stages: What the dry run found, stage by stage.
        runs: Every RUN as commands.
    """

    dockerfile: ast.Dockerfile
    lines: tuple[str, ...]
    around: Surroundings
    stages: tuple[StageRun, ...]
    runs: tuple[RunCommands, ...]

    @property
    def final(self) -> StageRun | None:
        """The last stage: what a build without ``--target`` makes."""
        return self.stages[-1] if self.stages else None

    def nodes(self) -> Iterator[ast.Instruction]:
        """All instructions of all stages, FROM included."""
        for stage in self.dockerfile.stages:
            yield stage.from_
            yield from stage.instructions

    def replace(self, node: ast.Node, old: str, new: str) -> tuple[Edit, ...]:
        """An edit of the first place in the instruction where the whole word ``old`` stands; none when it is not there.

        Comments between continued lines do not count.
        """
        for number in range(node.span.first, min(node.span.last, len(self.lines)) + 1):
            line = self.lines[number - 1]
            if number > node.span.first and line.lstrip().startswith("#"):
                continue
            match = re.search(rf"(?<![\w./-]){re.escape(old)}(?![\w-])", line)
            if match is not None:
                return (Edit(number, match.start(), match.end(), new),)
        return ()
