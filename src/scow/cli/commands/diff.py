# SPDX-License-Identifier: Apache-2.0
"""``scow diff``: what a container changed."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, parse

COMMAND = Command(
    name="diff",
    usage="CONTAINER",
    summary="Inspect changes to files or directories on a container's filesystem",
    min_args=1,
    max_args=1,
    aliases=("container diff", "diff"),
)


def main(argv: list[str]) -> int:
    """List the changes."""
    from scow.cli.context import engine
    from scow.containers.exporting import differences

    options = parse(COMMAND, argv)
    containers = engine().containers
    found = differences(containers, containers.find(options.args[0]))
    sys.stdout.write("".join(f"{change.kind} {change.path}\n" for change in found))
    return 0
