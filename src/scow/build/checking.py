# SPDX-License-Identifier: Apache-2.0
"""The checks of a build: findings about the Dockerfile, which stop it when the file or a build argument says so."""

from __future__ import annotations

from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.lint.rules import BUILDKIT
from scow.dockerfile.lint.run import lint
from scow.dockerfile.lint.subject import BaseImage, Surroundings
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.build.options import BuildOptions
    from scow.build.stages import Stages
    from scow.dockerfile.lint.run import Problem
    from scow.oci.model import ImageConfig


def check(
    stages: Stages, options: BuildOptions, bases: Mapping[str, ImageConfig], patterns: tuple[str, ...]
) -> tuple[Problem, ...]:
    """Check a Dockerfile that is about to be built.

    Args:
        stages: Its stages.
        options: Of the build.
        bases: The images that it stands on, by the name that FROM gives.
        patterns: From the ignore file.

    Returns:
        What was found.

    Raises:
        DockerfileError: Something was found, and that is to stop the build.
    """
    around = Surroundings(
        build_args=options.build_args,
        build=stages.build_platform,
        target=stages.target_platform,
        images={name: _known(config) for name, config in bases.items()},
        ignore=patterns,
    )
    report = lint(stages.dockerfile, around, rules=BUILDKIT)
    if report.error and report.problems:
        names = ", ".join(sorted({problem.rule.name for problem in report.problems}))
        first = report.problems[0]
        raise DockerfileError(
            f"lint violation found for rules: {names}",
            filename=stages.dockerfile.filename,
            line=first.line,
            source=stages.dockerfile.text.removeprefix("\ufeff").split("\n")[first.line - 1].rstrip("\r"),
            kind="lint",
            hint=first.message,
        )
    return report.problems


def _known(config: ImageConfig) -> BaseImage:
    inner = config.config
    return BaseImage(
        env={name: value for name, _, value in (entry.partition("=") for entry in inner.env)},
        shell=inner.shell,
        user=inner.user,
        workdir=inner.working_dir,
        platform=config.platform,
        onbuild=inner.on_build,
        healthcheck=inner.healthcheck is not None,
    )
