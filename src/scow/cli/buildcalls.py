# SPDX-License-Identifier: Apache-2.0
"""``build --check`` and ``build --call``: questions about a Dockerfile that build nothing."""

from __future__ import annotations

import os
import sys

from scow.errors import NotFoundError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scow.build.options import BuildOptions
    from scow.cli.flags import Parsed
    from scow.dockerfile import ast
    from scow.dockerfile.lint.dryrun import DryRun, StageRun


def call(kind: str, flags: Parsed, options: BuildOptions) -> int:
    """Answer one question.

    Args:
        kind: ``check``, ``lint``, ``outline`` or ``targets``.
        flags: Of the command line.
        options: What they mean.

    Returns:
        The exit status.
    """
    if kind in ("check", "lint"):
        return _check(flags, options)
    dockerfile = _parse(options)
    for line in _targets(dockerfile) if kind == "targets" else _outline(dockerfile, options):
        print(line)
    return 0


def _path(options: BuildOptions) -> str:
    """Where the Dockerfile is; ``-`` for standard input."""
    if options.dockerfile == "-" or options.context == "-":
        return "-"
    if options.dockerfile:
        inside = os.path.join(options.context, options.dockerfile)
        return options.dockerfile if os.path.exists(options.dockerfile) or not os.path.exists(inside) else inside
    return os.path.join(options.context, "Dockerfile")


def _parse(options: BuildOptions) -> ast.Dockerfile:
    from scow.dockerfile.parser import parse

    path = _path(options)
    if path == "-":
        return parse(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    try:
        with open(path, "rb") as file:
            return parse(file.read().decode("utf-8", "surrogateescape"), path)
    except FileNotFoundError:
        raise NotFoundError(f"failed to read dockerfile: open {path}: no such file or directory") from None


def _check(flags: Parsed, options: BuildOptions) -> int:
    from scow.cli.commands.lint import main as lint

    words = ["--only=buildkit", "--failure-threshold=info"]
    words += [f"--build-arg={text}" for text in flags["build-arg"]]
    words += [f"--platform={platform}" for platform in options.platforms[:1]]
    status = lint([*words, _path(options)])
    if not status:
        print("Check complete, no warnings found.")
    return status


def _targets(dockerfile: ast.Dockerfile) -> list[str]:
    rows = [("TARGET", "DESCRIPTION")]
    for stage in dockerfile.stages:
        default = stage is dockerfile.stages[-1]
        name = " ".join(word for word in (stage.name, "(default)" if default else "") if word)
        rows.append((name, stage.from_.description))
    return _table(rows, gap=1)


def _outline(dockerfile: ast.Dockerfile, options: BuildOptions) -> list[str]:
    from scow.build.stages import TargetNotFoundError
    from scow.dockerfile import ast
    from scow.dockerfile.lint.dryrun import DryRun
    from scow.dockerfile.lint.subject import Surroundings

    if options.target:
        wanted, fault = dockerfile.stage(options.target), f"target stage {options.target!r} could not be found"
    else:
        wanted, fault = dockerfile.stages[-1] if dockerfile.stages else None, "there are no stages"
    if wanted is None:
        raise TargetNotFoundError(fault)
    dry = DryRun(dockerfile, Surroundings(build_args=options.build_args))
    needed = _needed(dry, wanted)
    lines: list[str] = []
    if wanted.name:
        about = wanted.from_.description
        lines += [*_table([("TARGET:", wanted.name), *([("DESCRIPTION:", about)] if about else [])], gap=1), ""]
    arguments = _arguments(dockerfile, dry, needed, options.build_args)
    if arguments:
        rows = [("BUILD ARG", "VALUE", "DESCRIPTION")]
        lines += [*_table([*rows, *((name, *texts) for name, texts in arguments.items())]), ""]
    secrets: dict[str, bool] = {}
    agents: dict[str, bool] = {}
    for run in needed:
        for node in run.nodes:
            if isinstance(node, ast.Run):
                _mounts(node, secrets, agents)
    for title, names in (("SECRET", secrets), ("SSH", agents)):
        if names:
            rows2 = [(title, "REQUIRED"), *((name, "true" if must else "") for name, must in names.items())]
            lines += [*_table(rows2), ""]
    return lines


def _arguments(
    dockerfile: ast.Dockerfile, dry: DryRun, needed: Sequence[StageRun], given: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Value and description of the arguments that the stages name, in FROM or ARG; the last ARG of a name counts.

    Source: BuildKit v0.32, frontend/dockerfile/dockerfile2llb (outline).
    """
    from scow.dockerfile import ast, words

    outer = dry.global_values or {}
    used = {name for run in needed for found in (run.base_words, run.platform_words) if found for name in found.used}
    inner: dict[str, tuple[str, str]] = {}
    for run in needed:
        for node in run.nodes:
            for name, default, description in node.arguments if isinstance(node, ast.Arg) else ():
                used.add(name)
                if name in given or default is not None or name not in outer:
                    inner.pop(name, None)
                    value = given.get(name, run.env.get(name, "") if default is not None else "")
                    inner[name] = (value, description)
    out: list[tuple[str, tuple[str, str]]] = []
    for argument in reversed([argument for node in dockerfile.args for argument in node.arguments]):
        if argument.name in used:
            used |= words.expand(argument.default or "", outer, dockerfile.escape).used
            if argument.name not in inner:
                out.append((argument.name, (outer.get(argument.name, ""), argument.description)))
    return {**dict(reversed(out)), **inner}


def _mounts(node: ast.Run, secrets: dict[str, bool], agents: dict[str, bool]) -> None:
    from scow.build.secrets import secret_name
    from scow.dockerfile.mounts import parse_mount

    for value in node.mounts:
        mount = parse_mount(value)
        if mount.type == "secret":
            name = secret_name(mount)
            secrets.setdefault(name, mount.required)
        elif mount.type == "ssh":
            name = mount.id or "default"
            agents.setdefault(name, mount.required)


def _needed(dry: DryRun, target: ast.Stage) -> list[StageRun]:
    """The stages that a target stands on, copies from or mounts, in their order."""
    from scow.dockerfile import ast
    from scow.dockerfile.mounts import mount_source

    runs = {run.stage.index: run for run in dry.stages}
    by_name = {name: run for run in dry.stages for name in (str(run.stage.index), run.stage.name) if name}
    out: set[int] = set()
    todo = [runs[target.index]]
    while todo:
        run = todo.pop()
        if run.stage.index in out:
            continue
        out.add(run.stage.index)
        if run.parent is not None:
            todo.append(run.parent)
        for node in run.nodes:
            names = [node.from_] if isinstance(node, ast.Copy) else []
            if isinstance(node, ast.Run):
                names = [mount_source(value) for value in node.mounts]
            todo += [by_name[name.lower()] for name in names if name.lower() in by_name]
    return [runs[index] for index in sorted(out)]


def _table(rows: Sequence[tuple[str, ...]], gap: int = 3) -> list[str]:
    """Columns as BuildKit lays them out: all but the last are filled up, also before an empty cell."""
    widths = [max(len(row[column]) for row in rows) + gap for column in range(len(rows[0]) - 1)]
    return ["".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows]
