# SPDX-License-Identifier: Apache-2.0
"""``scow commit``: make an image of a container's changes."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="commit",
    usage="[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    summary="Create a new image from a container's changes",
    min_args=1,
    max_args=2,
    aliases=("container commit", "commit"),
    flags=(
        Flag("author", "a", kind="string", help='Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        Flag("change", "c", kind="list", help="Apply Dockerfile instruction to the created image"),
        Flag("message", "m", kind="string", help="Commit message"),
        Flag("pause", "p", default=True, help="Pause container during commit"),
    ),
)


def main(argv: list[str]) -> int:
    """Commit a container and print the image's id."""
    from scow.cli.context import engine
    from scow.containers.committing import commit
    from scow.oci.reference import Reference

    options = parse(COMMAND, argv)
    names = [Reference.parse(text).with_default_tag() for text in options.args[1:]]
    containers = engine().containers
    record = commit(
        containers,
        containers.find(options.args[0]),
        names=names,
        author=options.author,
        message=options.message,
        changes=options.change,
        pause=options.pause,
    )
    sys.stdout.write(f"{record.id}\n")
    return 0
