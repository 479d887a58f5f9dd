# SPDX-License-Identifier: Apache-2.0
"""``scow image prune``: images that nothing uses."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="prune",
    usage="[OPTIONS]",
    summary="Remove unused images",
    max_args=0,
    aliases=("image prune",),
    flags=(
        Flag("all", "a", help="Remove all unused images, not just dangling ones"),
        Flag("filter", kind="filter", help='Provide filter values (e.g. "until=<timestamp>")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)
_DANGLING = "WARNING! This will remove all dangling images."
_ALL = "WARNING! This will remove all images without at least one container associated to them."


def main(argv: list[str]) -> int:
    """Ask, remove, and say what that freed."""
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.prompt import confirm

    options = parse(COMMAND, argv)
    if not options.force and not confirm(_ALL if options.all else _DANGLING):
        return 0
    pruned = engine().prune_images(every=options.all, filters=options.filter)
    if pruned.removed:
        print("Deleted Images:")
        for removal in pruned.removed:
            print(f"{removal.kind.lower()}: {removal.what}")
        print()
    print(f"Total reclaimed space: {human_size(pruned.freed.size)}")
    return 0
