# SPDX-License-Identifier: Apache-2.0
"""``scow port``: where a container's ports are on the host."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, parse
from scow.errors import InvalidArgumentError, NotFoundError

COMMAND = Command(
    name="port",
    usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
    summary="List port mappings or a specific mapping for the container",
    min_args=1,
    max_args=2,
    aliases=("container port", "port"),
)


def main(argv: list[str]) -> int:
    """Print the mappings, or those of one port."""
    from scow.cli.context import engine
    from scow.containers.inspecting import ports

    options = parse(COMMAND, argv)
    container = engine().containers.find(options.args[0])
    found = ports(container)
    if len(options.args) > 1:
        number, _, protocol = options.args[1].partition("/")
        if not number.isdigit() or int(number) > 65535:
            raise InvalidArgumentError(
                f'invalid port ({number}): strconv.ParseUint: parsing "{number}": invalid syntax'
            )
        bindings = found.get(f"{number}/{protocol or 'tcp'}")
        if not bindings:
            raise NotFoundError(f"No public port '{options.args[1]}' published for {options.args[0]}")
        lines = [f"{binding['HostIp']}:{binding['HostPort']}" for binding in bindings]
    else:
        lines = [
            f"{port} -> {binding['HostIp']}:{binding['HostPort']}"
            for port, bindings in sorted(found.items(), key=lambda item: (int(item[0].partition("/")[0]), item[0]))
            for binding in bindings or ()
        ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
