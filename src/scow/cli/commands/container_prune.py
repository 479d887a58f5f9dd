# SPDX-License-Identifier: Apache-2.0
"""``scow container prune``: remove containers that do not run."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="prune",
    usage="[OPTIONS]",
    summary="Remove all stopped containers",
    max_args=0,
    aliases=("container prune",),
    flags=(
        Flag("filter", kind="filter", help='Provide filter values (e.g. "until=<timestamp>")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)


def main(argv: list[str]) -> int:
    """Ask, remove, and say what that freed."""
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.prompt import confirm
    from scow.containers.usage import prune_stopped

    options = parse(COMMAND, argv)
    if not options.force and not confirm("WARNING! This will remove all stopped containers."):
        return 0
    containers = engine().containers
    gone, size = prune_stopped(containers, options.filter)
    containers.sweep()
    if gone:
        sys.stdout.write("Deleted Containers:\n" + "".join(f"{identity}\n" for identity in gone) + "\n")
    sys.stdout.write(f"Total reclaimed space: {human_size(size)}\n")
    return 0
