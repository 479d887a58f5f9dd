# SPDX-License-Identifier: Apache-2.0
"""Names of containers on a network: each finds the others in its own ``/etc/hosts``, kept up to date from outside.

There is no name server to run, to wait for or to leave behind. The file is mounted into the container, so it is
rewritten in place; lines that are not about containers stay as they are.
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError
from scow.runtime.network.addresses import Subnet, to_number, to_text
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.containers.networks import Endpoint, Network
    from scow.containers.service import Containers
    from scow.containers.store import Container

_SHORT = 12
_HEX = frozenset("0123456789abcdef")
_MAX_FILE = 1 << 20


def names_of(container: Container, aliases: Iterable[str] = ()) -> list[str]:
    """What others call a container: its name, its aliases, its host name and, last, its short id."""
    short = container.id[:_SHORT]
    hostname = container.config.get("Hostname") or ""
    found = dict.fromkeys([container.name, *aliases, *([hostname] if hostname else [])])
    found.pop(short, None)
    return [*(name for name in found if name and not set(name) & set(" \t\n#")), short]


def others(service: Containers, network: Network, but: str) -> list[tuple[str, str]]:
    """Addresses and names of the containers on a network.

    Args:
        service: The room.
        network: The network.
        but: Id of the container that asks.
    """
    rows = service.networks.endpoints(network.id)
    return [(to_text(row.address), row.names) for row in rows if row.container != but and row.names]


def refresh(service: Containers, networks: Iterable[Network], *, but: str = "") -> None:
    """Tell the containers of networks who is there now.

    Args:
        service: The room.
        networks: Those where somebody came or went.
        but: Id of a container that need not be told.
    """
    for network in networks:
        if not network.resolves:
            continue
        rows = service.networks.endpoints(network.id)
        for row in rows:
            if row.container != but:
                _rewrite(os.path.join(service.directory(row.container), "hosts"), network, row, rows)


def _rewrite(path: str, network: Network, own: Endpoint, rows: list[Endpoint]) -> None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_MAX_FILE).splitlines()
    except OSError:
        return  # the container mounts a file of its own there
    subnet = Subnet.parse(network.subnet)
    kept = [line for line in lines if not _is_other(line, subnet, own.address)]
    kept += [f"{to_text(row.address)}\t{row.names}" for row in rows if row.container != own.container and row.names]
    if own.names and f"{to_text(own.address)}\t{own.names}" not in kept:
        kept.append(f"{to_text(own.address)}\t{own.names}")
    if kept != lines:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(kept) + "\n")


def _is_other(line: str, subnet: Subnet, own: int) -> bool:
    """Whether a line is about another container: an address of the network, and a short id at the end."""
    words = line.split()
    if len(words) < 2 or len(words[-1]) != _SHORT or not _HEX.issuperset(words[-1]) or words[0].count(".") != 3:
        return False
    try:
        number = to_number(words[0])
    except InvalidArgumentError:
        return False
    return subnet.holds(number) and number != own


def forget_network(service: Containers, container: Container, network: Network) -> None:
    """Take the names of a network out of the file of a container that has left it."""
    path = os.path.join(service.directory(container.id), "hosts")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_MAX_FILE).splitlines()
    except OSError:
        return
    subnet = Subnet.parse(network.subnet)
    kept = [line for line in lines if not _is_other(line, subnet, -1)]
    if kept != lines:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(kept) + "\n")
