# SPDX-License-Identifier: Apache-2.0
"""``scow unpause``: let halted containers go on."""

from __future__ import annotations

from scow.cli.flags import Command, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

COMMAND = Command(
    name="unpause",
    usage="CONTAINER [CONTAINER...]",
    summary="Unpause all processes within one or more containers",
    min_args=1,
    aliases=("container unpause", "unpause"),
)


def main(argv: list[str]) -> int:
    """Wake containers."""
    from scow.cli.several import for_each

    def action(containers: Containers, container: Container) -> None:
        from scow.containers.stopping import unpause

        unpause(containers, container)

    return for_each(parse(COMMAND, argv).args, action)
