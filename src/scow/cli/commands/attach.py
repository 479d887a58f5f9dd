# SPDX-License-Identifier: Apache-2.0
"""``scow attach``: be attached to a running container."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.errors import ScowError

COMMAND = Command(
    name="attach",
    usage="[OPTIONS] CONTAINER",
    summary="Attach local standard input, output, and error streams to a running container",
    min_args=1,
    max_args=1,
    aliases=("container attach", "attach"),
    flags=(
        Flag("detach-keys", kind="string", help="Override the key sequence for detaching a container"),
        Flag("no-stdin", help="Do not attach STDIN"),
        Flag("sig-proxy", default=True, help="Proxy all received signals to the process"),
    ),
)


def main(argv: list[str]) -> int:
    """Attach to a container."""
    from scow.cli.attaching import run_attached
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    containers = engine().containers
    container = containers.find(options.args[0])
    if container.status == "paused":
        raise ScowError("You cannot attach to a paused container, unpause it first")
    if container.status == "restarting":
        raise ScowError("You cannot attach to a restarting container, wait until it is running")
    if not container.is_alive:
        raise ScowError("You cannot attach to a stopped container, start it first")
    return run_attached(
        containers,
        container,
        keys=options["detach-keys"],
        proxy=options["sig-proxy"],
        stdin=not options["no-stdin"],
    )
