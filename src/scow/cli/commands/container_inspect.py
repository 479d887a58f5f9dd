# SPDX-License-Identifier: Apache-2.0
"""``scow container inspect``: everything about containers."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.shapes import Shape

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Display detailed information on one or more containers",
    min_args=1,
    aliases=("container inspect",),
    flags=(
        Flag("format", "f", kind="string", help="Format output using a custom template"),
        Flag("size", "s", help="Display total file sizes"),
    ),
)


def main(argv: list[str]) -> int:
    """Print the documents."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import CONTAINER

    options = parse(COMMAND, argv)
    containers = engine().containers

    def get(name: str) -> tuple[dict[str, Any], Shape]:
        from scow.containers.inspecting import inspect

        return inspect(containers, containers.find(name), size=options.size), CONTAINER

    return inspect_all(options.args, get, options.format)
