# SPDX-License-Identifier: Apache-2.0
"""``SOURCE_DATE_EPOCH``: a number, or the name of something remote whose own time it is to be.

Source: Dockerfile reference, "ARG"; BuildKit v0.32, "SOURCE_DATE_EPOCH" (contexts and stages as values).
"""

from __future__ import annotations

import re

from scow.build.options import EPOCH as NAME
from scow.build.origins import ContextOrigin
from scow.build.remote import is_git, is_http, remote_origin
from scow.build.sources import join
from scow.dockerfile import ast, words
from scow.dockerfile.blame import blame
from scow.errors import InvalidArgumentError
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.build.options import BuildOptions
    from scow.build.outside import Resolver
    from scow.build.sources import SourceTree
    from scow.build.stages import Stages

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def resolve(stages: Stages, options: BuildOptions, resolver: Resolver, root: str) -> int | None:
    """The time that nothing in the image may be later than.

    Args:
        stages: Their arguments before the first FROM can give a default.
        options: Of the build; a build argument wins.
        resolver: Opens contexts.
        root: The main context, when that is a directory of this build.

    Returns:
        Seconds since the epoch; ``None`` when nothing asks for one, or what it names has no time.

    Raises:
        InvalidArgumentError: The value means nothing.
        DockerfileError: The stage that it names is more than one remote source.
        ScowError: What it names cannot be had.
    """
    text = stages.scope.values.get(NAME) or options.build_args.get(NAME, "")
    if not text:
        return options.epoch
    if _NUMBER.fullmatch(text):
        return int(text)
    if text == "context":
        from scow.build.sources import DirTree

        remote = is_git(options.context) or is_http(options.context)
        return _newest(DirTree(root)) if remote and root else None
    named = resolver.named(text)
    if named is not None:
        origin = None if isinstance(named, ContextOrigin) else getattr(named, "tree", None)
        return _newest(origin()) if origin is not None else None
    stage = stages.dockerfile.stage(text)
    if stage is None:
        raise InvalidArgumentError(
            f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970, a context or a stage"
        )
    return _newest(_of_stage(stages, stage, options, resolver))


def apply(stages: Stages, options: BuildOptions, epoch: int | None) -> BuildOptions:
    """Let stages see the time as a number, however it was asked for.

    Args:
        stages: Their global scope is changed.
        options: Of the build.
        epoch: From :func:`resolve`; ``None`` takes the argument away.

    Returns:
        The options that the plan is made with.
    """
    number = {} if epoch is None else {NAME: str(epoch)}
    scope = {name: value for name, value in stages.scope.values.items() if name != NAME}
    if NAME in stages.scope.values:
        stages.scope = replace(stages.scope, values={**scope, **number})
    if NAME not in options.build_args:
        return options
    given = {name: value for name, value in options.build_args.items() if name != NAME}
    stages.options = options._replace(build_args={**given, **number})
    return stages.options


def _of_stage(stages: Stages, stage: ast.Stage, options: BuildOptions, resolver: Resolver) -> SourceTree:
    """The tree of the only thing that a stage takes, which must be remote."""
    scope = {name: value for name, value in stages.scope.values.items() if name != NAME}
    escape = stages.dockerfile.escape
    if words.expand(stage.from_.image, scope, escape).text != "scratch":
        raise blame(stages.dockerfile, stage.from_, "SOURCE_DATE_EPOCH stage must use FROM scratch")
    adds = [node for node in stage.instructions if isinstance(node, ast.Add)]
    for node in stage.instructions:
        if isinstance(node, ast.Arg):
            scope |= _arguments(node, scope, options, escape)
        elif not isinstance(node, ast.Add):
            raise blame(stages.dockerfile, node, f"unsupported {node.name} instruction in the SOURCE_DATE_EPOCH stage")
    one = adds[0] if len(adds) == 1 and len(adds[0].sources) == 1 and not adds[0].inline else None
    source = words.expand(one.sources[0], scope, escape).text if one is not None else ""
    if one is None or not (is_git(source) or is_http(source)):
        raise blame(stages.dockerfile, stage.from_, "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD")
    part = remote_origin(resolver, source, one, words.expand(one.checksum, scope, escape).text)
    if part.origin is None:
        raise blame(stages.dockerfile, one, "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD")
    return part.origin.tree()


def _arguments(node: ast.Arg, scope: Mapping[str, str], options: BuildOptions, escape: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for argument in node.arguments:
        if argument.name in options.build_args:
            out[argument.name] = options.build_args[argument.name]
        elif argument.default is not None:
            out[argument.name] = words.expand(argument.default, {**scope, **out}, escape).text
    return out


def _newest(tree: SourceTree) -> int | None:
    """The latest time of a tree's files, or of those in the one archive that it is; ``None`` when they have none."""
    latest = 0
    names = tree.names(b"")
    stack = list(names)
    while stack:
        path = stack.pop()
        status = tree.look(path)
        if status is None:
            continue
        if status.is_dir:
            stack += [join(path, name) for name in tree.names(path)]
        elif status.is_file:
            latest = max(latest, status.mtime_ns // 1_000_000_000)
    if not latest and len(names) == 1:
        latest = _in_archive(tree, names[0])
    return latest or None


def _in_archive(tree: SourceTree, path: bytes) -> int:
    import os

    from scow.errors import ScowError
    from scow.layer.compression import open_stream
    from scow.layer.tar import REGULAR, TarReader

    fd = tree.open(path)
    with os.fdopen(fd, "rb") as file:
        try:
            times = [entry.mtime_ns for entry in TarReader(open_stream(file)) if entry.type == REGULAR]
        except ScowError:  # no archive
            return 0
    return max(times, default=0) // 1_000_000_000
