# SPDX-License-Identifier: Apache-2.0
"""``scow start``: start containers that were created or have ended."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.containers.service import Containers

COMMAND = Command(
    name="start",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Start one or more stopped containers",
    min_args=1,
    aliases=("container start", "start"),
    flags=(
        Flag("attach", "a", help="Attach STDOUT/STDERR and forward signals"),
        Flag("checkpoint", kind="string", hidden=True, help="Restore from this checkpoint"),
        Flag("checkpoint-dir", kind="string", hidden=True, help="Use a custom checkpoint storage directory"),
        Flag("detach-keys", kind="string", help="Override the key sequence for detaching a container"),
        Flag("interactive", "i", help="Attach container's STDIN"),
    ),
)


def main(argv: list[str]) -> int:
    """Start containers."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    if options.checkpoint or options["checkpoint-dir"]:
        raise ScowError("checkpoints are not supported")
    containers = engine().containers
    if options.attach or options.interactive:
        if len(options.args) > 1:
            raise ScowError("you cannot start and attach multiple containers at once")
        return _attached(containers, options)
    failed = []
    for name in options.args:
        try:
            containers.start(containers.find(name))
        except ScowError as error:
            from scow.cli.report import report

            sys.stdout.flush()
            report(error)
            failed.append(name)
        else:
            sys.stdout.write(name + "\n")
            sys.stdout.flush()
    if failed:
        from scow.cli.report import note

        note(f"Error: failed to start containers: {', '.join(failed)}")
    return 1 if failed else 0


def _attached(containers: Containers, options: Parsed) -> int:
    from scow.cli.attaching import run_attached

    container = containers.find(options.args[0])
    keys = options["detach-keys"]
    containers.dedicated = True
    if container.is_alive:
        return run_attached(containers, container, keys=keys, stdin=options.interactive)
    return run_attached(containers, container, keys=keys, start=True, stdin=options.interactive)
