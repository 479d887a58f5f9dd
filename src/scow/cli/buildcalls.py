# SPDX-License-Identifier: Apache-2.0
"""``build --check`` and ``build --call``: questions about a Dockerfile that build nothing."""

from __future__ import annotations

import os
import sys

from scow.errors import NotFoundError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.build.options import BuildOptions
    from scow.cli.flags import Parsed
    from scow.dockerfile import ast


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
        name = stage.name or ("" if not default else "(default)")
        if stage.name and default:
            name += " (default)"
        if name:
            rows.append((name, stage.from_.description))
    return _table(rows)


def _outline(dockerfile: ast.Dockerfile, options: BuildOptions) -> list[str]:
    from scow.build.stages import TargetNotFoundError
    from scow.dockerfile import ast

    wanted = dockerfile.stages[-1]
    if options.target:
        found = dockerfile.stage(options.target)
        if found is None:
            raise TargetNotFoundError(f"target stage {options.target!r} could not be found")
        wanted = found
    lines: list[str] = []
    if wanted.name:
        lines.append(f"TARGET:      {wanted.name}")
    if wanted.from_.description:
        lines.append(f"DESCRIPTION: {wanted.from_.description}")
    if lines:
        lines.append("")
    arguments: dict[str, tuple[str, str]] = {}
    secrets: dict[str, bool] = {}
    agents: dict[str, bool] = {}
    nodes = [*dockerfile.args, *(node for stage in _needed(dockerfile, wanted) for node in stage.instructions)]
    for node in nodes:
        if isinstance(node, ast.Arg):
            for argument in node.arguments:
                value = options.build_args.get(argument.name, argument.default or "")
                if argument.name not in arguments or argument.description:
                    arguments[argument.name] = (value, argument.description)
        elif isinstance(node, ast.Run):
            _mounts(node, secrets, agents)
    if arguments:
        rows = [("BUILD ARG", "VALUE", "DESCRIPTION")]
        lines += [*_table([*rows, *((name, *texts) for name, texts in arguments.items())]), ""]
    for title, names in (("SECRET", secrets), ("SSH", agents)):
        if names:
            rows2 = [(title, "REQUIRED"), *((name, "true" if must else "") for name, must in names.items())]
            lines += [*_table(rows2), ""]
    return lines


def _mounts(node: ast.Run, secrets: dict[str, bool], agents: dict[str, bool]) -> None:
    from scow.build.secrets import secret_name
    from scow.dockerfile.mounts import parse_mount

    for value in node.mounts:
        mount = parse_mount(value)
        if mount.type == "secret":
            name = secret_name(mount)
            secrets[name] = secrets.get(name, False) or mount.required
        elif mount.type == "ssh":
            name = mount.id or "default"
            agents[name] = agents.get(name, False) or mount.required


def _needed(dockerfile: ast.Dockerfile, target: ast.Stage) -> list[ast.Stage]:
    """The stages that a target stands on or copies from, as far as their names say."""
    from scow.dockerfile import ast

    out: list[ast.Stage] = []
    todo = [target]
    while todo:
        stage = todo.pop()
        if stage in out:
            continue
        out.append(stage)
        names = [stage.from_.image, *(node.from_ for node in stage.instructions if isinstance(node, ast.Copy))]
        for name in names:
            found = dockerfile.stage(name)
            if found is None and name.isdigit() and int(name) < len(dockerfile.stages):
                found = dockerfile.stages[int(name)]
            if found is not None:
                todo.append(found)
    return sorted(out, key=lambda stage: stage.index)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
