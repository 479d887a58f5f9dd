# SPDX-License-Identifier: Apache-2.0
"""``scow cp``: copy files between a container and the host."""

from __future__ import annotations

import os
import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed

COMMAND = Command(
    name="cp",
    usage="[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    summary="Copy files/folders between a container and the local filesystem",
    description=(
        "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive"
        " from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a"
        " tar archive of a\ncontainer source to stdout."
    ),
    min_args=2,
    max_args=2,
    aliases=("container cp", "cp"),
    flags=(
        Flag("archive", "a", help="Archive mode (copy all uid/gid information)"),
        Flag("follow-link", "L", help="Always follow symbol link in SRC_PATH"),
        Flag(
            "quiet",
            "q",
            help=(
                "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is"
                " attached"
            ),
        ),
    ),
)


def split(text: str) -> tuple[str, str]:
    """Split ``container:path``; a path of the host has no container."""
    if os.path.isabs(text) or text.startswith((".", "-")):
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon else ("", text)


def main(argv: list[str]) -> int:
    """Copy."""
    options = parse(COMMAND, argv)
    source, goal = options.args
    if not source or not goal:
        raise ScowError(f"{'source' if not source else 'destination'} can not be empty")
    from_container, from_path = split(source)
    to_container, to_path = split(goal)
    if from_container and to_container:
        raise ScowError("copying between containers is not supported")
    if not from_container and not to_container:
        raise ScowError("must specify at least one container source")
    if from_container:
        size = _out(from_container, from_path, to_path, options)
        shown = goal
    else:
        size = _in(from_path, to_container, to_path, options)
        shown = goal
    if size is not None and not options.quiet and os.isatty(2):
        from scow.cli.sizes import human_size

        sys.stderr.write(f"Successfully copied {human_size(size, 3)} to {shown}\n")
    return 0


def _absolute(path: str) -> str:
    if not path:
        raise InvalidArgumentError("bad parameter: path cannot be empty")
    return path if path.startswith("/") else f"/{path}"


def _out(name: str, path: str, goal: str, options: Parsed) -> int | None:
    from scow.cli.context import engine
    from scow.containers.copying import copy_out, stream_out

    containers = engine().containers
    container = containers.find(name)
    follow = options["follow-link"]
    if goal == "-":
        if os.isatty(1):
            raise ScowError("refusing to write an archive to a terminal")
        stream_out(containers, container, _absolute(path), sys.stdout.buffer, follow=follow)
        sys.stdout.buffer.flush()
        return None
    return copy_out(containers, container, _absolute(path), goal, follow=follow, keep=options.archive)


def _in(path: str, name: str, goal: str, options: Parsed) -> int | None:
    from scow.cli.context import engine
    from scow.containers.copying import copy_in, stream_in

    containers = engine().containers
    container = containers.find(name)
    if path == "-":
        stream_in(containers, container, sys.stdin.buffer, _absolute(goal))
        return None
    follow = options["follow-link"]
    return copy_in(containers, container, path, _absolute(goal), follow=follow)
