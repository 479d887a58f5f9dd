# SPDX-License-Identifier: Apache-2.0
"""``scow pause``: halt the processes of containers."""

from __future__ import annotations

from scow.cli.flags import Command, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="pause",
    usage="CONTAINER [CONTAINER...]",
    summary="Pause all processes within one or more containers",
    min_args=1,
    aliases=("container pause", "pause"),
)


def main(argv: list[str]) -> int:
    """Halt containers."""
    from scow.cli.several import for_each

    def action(containers: Containers, container: Container) -> None:
        from scow.containers.stopping import pause

        pause(containers, container)

    return for_each(parse(COMMAND, argv).args, action)
