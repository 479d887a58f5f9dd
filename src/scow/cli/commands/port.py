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
    """List the ports."""
    from scow.cli.context import engine
    from scow.containers.inspecting import ports

    options = parse(COMMAND, argv)
    found = ports(engine().containers.find(options.args[0]))
    if len(options.args) == 1:
        lines = [
            f"{port} -> {_address(binding)}" for port, bindings in sorted(found.items()) for binding in bindings or ()
        ]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return 0
    number, _, protocol = options.args[1].partition("/")
    protocol = protocol or "tcp"
    if not number.isdigit():
        raise InvalidArgumentError(f"invalid port '{number}'")
    bindings = found.get(f"{number}/{protocol}")
    if not bindings:
        raise NotFoundError(f"no public port '{options.args[1]}' published for {options.args[0]}")
    sys.stdout.write("".join(f"{_address(binding)}\n" for binding in bindings))
    return 0


def _address(binding: dict[str, str]) -> str:
    host = binding["HostIp"]
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"
