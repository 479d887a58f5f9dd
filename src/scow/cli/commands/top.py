# SPDX-License-Identifier: Apache-2.0
"""``scow top``: the processes of a container."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, parse

COMMAND = Command(
    name="top",
    usage="CONTAINER [ps OPTIONS]",
    summary="Display the running processes of a container",
    min_args=1,
    interspersed=False,
    aliases=("container top", "top"),
)


def main(argv: list[str]) -> int:
    """List the processes."""
    from scow.cli.context import engine
    from scow.cli.format import table
    from scow.containers.processes import top

    options = parse(COMMAND, argv)
    containers = engine().containers
    titles, rows = top(containers, containers.find(options.args[0]), options.args[1:])
    sys.stdout.write(table([titles, *rows]))
    return 0
