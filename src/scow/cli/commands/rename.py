# SPDX-License-Identifier: Apache-2.0
"""``scow rename``: give a container another name."""

from __future__ import annotations

from scow.cli.flags import Command, parse
from scow.errors import ScowError

COMMAND = Command(
    name="rename",
    usage="CONTAINER NEW_NAME",
    summary="Rename a container",
    min_args=2,
    max_args=2,
    aliases=("container rename", "rename"),
)


def main(argv: list[str]) -> int:
    """Rename a container."""
    from scow.cli.context import engine
    from scow.containers.stopping import rename

    old, new = parse(COMMAND, argv).args
    if not old or not new:
        raise ScowError("Neither old nor new names may be empty")
    containers = engine().containers
    try:
        rename(containers, containers.find(old), new)
    except ScowError as error:
        from scow.cli.report import note, report

        status = report(error)
        note(f"Error: failed to rename container named {old}")
        return status
    return 0
