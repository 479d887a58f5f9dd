# SPDX-License-Identifier: Apache-2.0
"""``scow stop``: ask containers to end, and kill those that do not."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="stop",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Stop one or more running containers",
    min_args=1,
    aliases=("container stop", "stop"),
    flags=(
        Flag("signal", "s", kind="string", help="Signal to send to the container"),
        Flag(
            "time", kind="int", deprecated="use --timeout instead", help="Seconds to wait before killing the container"
        ),
        Flag("timeout", "t", kind="int", help="Seconds to wait before killing the container"),
    ),
)


def patience(options: Parsed) -> int | None:
    """The seconds the user gave, or ``None``.

    Raises:
        InvalidArgumentError: Both flags were given.
    """
    given: list[int] = [options[flag] for flag in ("timeout", "time") if options.changed(flag)]
    if len(given) > 1:
        raise InvalidArgumentError("conflicting options: cannot specify both --timeout and --time")
    return given[0] if given else None


def main(argv: list[str]) -> int:
    """Stop containers."""
    from scow.cli.several import for_each

    options = parse(COMMAND, argv)
    seconds = patience(options)

    def stop(containers: Containers, container: Container) -> None:
        from scow.containers.stopping import stop

        stop(containers, container, seconds, options.signal)

    return for_each(options.args, stop)
