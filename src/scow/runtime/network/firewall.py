# SPDX-License-Identifier: Apache-2.0
"""The rules of the packet filter: one table for each network in use, one for each container that publishes ports.

A table goes away as a whole, so nothing has to be counted or searched. The texts are pure; :func:`load` hands them
to ``nft`` without waiting, because the rules are needed only when the container's command starts.

Source: nft(8) 1.0.
"""

from __future__ import annotations

import os

from scow.errors import UnavailableError, UnsupportedError
from scow.linux import kernel, process
from scow.linux.namespaces import FLAGS
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Published(NamedTuple):
    """One port of a container that the host passes on.

    Args:
        protocol: ``tcp``, ``udp`` or ``sctp``.
        host: Address on the host, ``0.0.0.0`` for every one.
        port: Port on the host.
        address: The container's address.
        inside: The container's port.
    """

    protocol: str
    host: str
    port: int
    address: str
    inside: int


def network_rules(
    table: str, bridge: str, subnet: str, *, internal: bool = False, talk: bool = True, masquerade: bool = True
) -> str:
    """Rules of one network.

    What goes out bears the host's address; what comes in was asked for, comes from the same network or was published;
    nobody reaches the host's loopback addresses, which the bridge passes on for published ports.

    Args:
        table: Name of the table.
        bridge: The network's bridge.
        subnet: Its addresses.
        internal: Whether nothing leaves the network.
        talk: Whether its containers may talk to each other.
        masquerade: Whether containers hide behind the host's address.
    """
    outgoing = [
        f'oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade',
        f'oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade',
    ]
    if masquerade and not internal:
        outgoing.insert(0, f'oifname != "{bridge}" ip saddr {subnet} masquerade')
    passing = [
        f'oifname "{bridge}" ct state established,related accept',
        f'oifname "{bridge}" ct status dnat accept',
        f'oifname "{bridge}" iifname "{bridge}" {"accept" if talk else "drop"}',
        f'oifname "{bridge}" drop',
    ]
    if internal:
        passing.insert(0, f'iifname "{bridge}" oifname != "{bridge}" drop')
    chains = (
        ("guarding", "filter hook prerouting priority -300", [f'iifname "{bridge}" ip daddr 127.0.0.0/8 drop']),
        ("outgoing", "nat hook postrouting priority 100", outgoing),
        ("passing", "filter hook forward priority 0", passing),
    )
    return _table(table, chains)


def port_rules(table: str, ports: Iterable[Published]) -> str:
    """Rules of one container's published ports.

    Args:
        table: Name of the table.
        ports: The ports.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for port in ports:
        groups.setdefault((port.host, port.protocol), []).append(f"{port.port} : {port.address} . {port.inside}")
    rules = [
        f"{'fib daddr type local' if host == '0.0.0.0' else f'ip daddr {host}'}"
        f" dnat ip to {protocol} dport map {{ {', '.join(pairs)} }}"
        for (host, protocol), pairs in groups.items()
    ]
    return _table(
        table,
        (
            ("incoming", "nat hook prerouting priority -100", rules),
            ("own", "nat hook output priority -100", rules),
        ),
    )


def name_rules(address: str, udp: int, tcp: int) -> str:
    """Rules of a container's own namespace that lead port 53 of an address to other ports.

    Args:
        address: A loopback address.
        udp: Where packets go.
        tcp: Where connections go.
    """
    rules = [
        f"ip daddr {address} udp dport 53 dnat to {address}:{udp}",
        f"ip daddr {address} tcp dport 53 dnat to {address}:{tcp}",
    ]
    return _table("scow-names", (("own", "nat hook output priority -100", rules),))


def _table(name: str, chains: Iterable[tuple[str, str, list[str]]]) -> str:
    body = "".join(
        f"  chain {chain} {{\n    type {hook}; policy accept;\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"
        for chain, hook, rules in chains
    )
    # Added and deleted first: whatever an earlier run left of it is replaced in one transaction.
    return f"add table ip {name}\ndelete table ip {name}\ntable ip {name} {{\n{body}}}\n"


class Loading:
    """An ``nft`` at work.

    Args:
        rules: What it loads.

    Raises:
        UnsupportedError: nft is not installed.
    """

    __slots__ = ("_complaint", "_pid")

    def __init__(self, rules: str) -> None:
        program = process.find_program("nft")
        if not program:
            raise UnsupportedError(
                "nft is not installed: networks of containers need it", hint="Install it: apt install nftables"
            )
        source = os.memfd_create("rules", os.MFD_CLOEXEC)
        self._complaint = os.memfd_create("complaint", os.MFD_CLOEXEC)
        try:
            os.write(source, rules.encode())
            os.lseek(source, 0, os.SEEK_SET)
            self._pid = process.spawn([program, "-f", "-"], stdin=source, stderr=self._complaint)
        except BaseException:
            os.close(self._complaint)
            raise
        finally:
            os.close(source)

    def wait(self) -> None:
        """Wait until the rules are in force.

        Raises:
            UnavailableError: The kernel did not take them.
        """
        status = process.wait_status(self._pid)
        complaint = os.pread(self._complaint, 1 << 12, 0).decode("utf-8", "replace").strip()
        os.close(self._complaint)
        if status:
            first = complaint.splitlines()[0] if complaint else f"status {status}"
            raise UnavailableError(f"the packet filter refused the network's rules: {first}")


def load_inside(namespace: int, rules: str) -> Loading:
    """Load rules into a network namespace.

    Args:
        namespace: Its descriptor.
        rules: The rules.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(namespace, FLAGS["net"])
        try:
            return Loading(rules)
        finally:
            kernel.setns(home, FLAGS["net"])
    finally:
        os.close(home)


def accept_forwarded(bridge: str, *, add: bool) -> None:
    """Let a bridge's traffic through where iptables drops what nobody accepts (a running docker sets that).

    Args:
        bridge: The bridge.
        add: Whether to begin or to end.
    """
    program = process.find_program("iptables")
    if program:
        for side in ("-i", "-o"):
            process.run([program, "-w", "-I" if add else "-D", "FORWARD", side, bridge, "-j", "ACCEPT"])
