# SPDX-License-Identifier: Apache-2.0
"""``scow rm``: remove containers."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import ConflictError, NotFoundError, ScowError

COMMAND = Command(
    name="rm",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Remove one or more containers",
    min_args=1,
    aliases=("container rm", "container remove", "rm"),
    flags=(
        Flag("force", "f", help="Force the removal of a running container (uses SIGKILL)"),
        Flag("link", "l", help="Remove the specified link"),
        Flag("volumes", "v", help="Remove anonymous volumes associated with the container"),
    ),
)


def main(argv: list[str]) -> int:
    """Remove containers."""
    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.containers.stopping import remove

    options = parse(COMMAND, argv)
    if options.link:
        raise ConflictError("Conflict, cannot remove the default link name of the container")
    containers = engine().containers
    status = 0
    for name in options.args:
        try:
            remove(containers, containers.find(name), force=options.force, volumes=options.volumes)
        except ScowError as error:
            sys.stdout.flush()
            code = report(error)
            if not (options.force and isinstance(error, NotFoundError)):
                status = status or code
        else:
            sys.stdout.write(name + "\n")
    return status
