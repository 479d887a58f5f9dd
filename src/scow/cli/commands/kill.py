# SPDX-License-Identifier: Apache-2.0
"""``scow kill``: send a signal to containers."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="kill",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Kill one or more running containers",
    min_args=1,
    aliases=("container kill", "kill"),
    flags=(Flag("signal", "s", kind="string", help="Signal to send to the container"),),
)


def main(argv: list[str]) -> int:
    """Send the signal."""
    from scow.cli.several import for_each
    from scow.containers.stopping import signal_number

    options = parse(COMMAND, argv)

    def kill(containers: Containers, container: Container) -> None:
        from scow.containers.stopping import kill

        kill(containers, container, options.signal)

    signal_number(options.signal or "KILL")
    return for_each(options.args, kill, lead="Cannot kill container: {}: ")
