# SPDX-License-Identifier: Apache-2.0
"""``scow restart``: stop containers and start them again."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="restart",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Restart one or more containers",
    min_args=1,
    aliases=("container restart", "restart"),
    flags=(
        Flag("signal", "s", kind="string", help="Signal to send to the container"),
        Flag(
            "time", kind="int", deprecated="use --timeout instead", help="Seconds to wait before killing the container"
        ),
        Flag("timeout", "t", kind="int", help="Seconds to wait before killing the container"),
    ),
)


def main(argv: list[str]) -> int:
    """Restart containers."""
    from scow.cli.commands.stop import patience
    from scow.cli.several import for_each

    options = parse(COMMAND, argv)
    seconds = patience(options)

    def restart(containers: Containers, container: Container) -> None:
        try:
            containers.restart(container, seconds, options.signal)
        except ScowError as error:
            error.message = f"Cannot restart container {container.name}: {error.message}"
            raise

    return for_each(options.args, restart)
