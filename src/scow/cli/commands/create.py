# SPDX-License-Identifier: Apache-2.0
"""``scow create``: make a container without starting it."""

from __future__ import annotations

import sys

from scow.cli.containerflags import FLAGS
from scow.cli.containerrequest import request
from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="create",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Create a new container",
    min_args=1,
    interspersed=False,
    aliases=("container create", "create"),
    flags=(
        *(flag for flag in FLAGS if flag.name != "pull"),
        Flag(
            "pull", kind="string", default="missing", help='Pull image before creating ("always", "missing", "never")'
        ),
    ),
)


def main(argv: list[str]) -> int:
    """Create a container and print its id."""
    from scow.cli.commands.run import create
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    container = create(engine(options), options, request(options))
    sys.stdout.write(container.id + "\n")
    return 0
