# SPDX-License-Identifier: Apache-2.0
"""``scow wait``: wait for containers to end and print their exit statuses."""

from __future__ import annotations

from scow.cli.flags import Command, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="wait",
    usage="CONTAINER [CONTAINER...]",
    summary="Block until one or more containers stop, then print their exit codes",
    min_args=1,
    aliases=("container wait", "wait"),
)


def main(argv: list[str]) -> int:
    """Wait for containers."""
    from scow.cli.several import for_each

    def wait(containers: Containers, container: Container) -> int:
        from scow.containers.settling import wait_end

        ended = wait_end(containers, container)
        return containers.last_status(container.id) if ended is None else ended.exit_code

    return for_each(parse(COMMAND, argv).args, wait)
