# SPDX-License-Identifier: Apache-2.0
"""Bridges of this host, and containers on them: made when the first container comes, gone with the last one.

Everything is named after the network or the endpoint, so that a later process can take away what a killed one left.
Changes are made under :func:`locked`, which every store of the host shares.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from scow.errors import UnavailableError
from scow.linux import kernel
from scow.linux.idmaps import in_user_namespace
from scow.linux.namespaces import FLAGS
from scow.runtime.network import firewall
from scow.runtime.network.addresses import Subnet
from scow.runtime.network.netlink import Netlink, PacketFilter
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MTU = 1500
_LOOPBACK = 1
_LOCK = "/run/scow-networks.lock"


class Bridge(NamedTuple):
    """What a network is on this host.

    Args:
        name: Name of the link.
        table: Name of its table in the packet filter.
        subnet: Its addresses.
        gateway: The host's address on it, a number.
        internal: Whether nothing leaves it.
        talk: Whether its containers may talk to each other.
        masquerade: Whether they hide behind the host's address.
        mtu: Bytes of a packet; 0 for those of the host's way out.
    """

    name: str
    table: str
    subnet: Subnet
    gateway: int
    internal: bool = False
    talk: bool = True
    masquerade: bool = True
    mtu: int = 0


class Port(NamedTuple):
    """A container's place on a network.

    Args:
        link: Name of the end on the host.
        mac: Hardware address inside.
        address: Its address, a number.
        inside: Name of the link inside.
        gateway: Whether the container's way out leads over this network.
    """

    link: str
    mac: bytes
    address: int
    inside: str
    gateway: bool


@contextmanager
def locked() -> Iterator[None]:
    """Change links and rules alone; other processes wait.

    The lock of root's is a file that nobody else can open, for whoever can open it can hold it for ever: the namespace
    itself would do for a user's own, but the host's is open to all.
    """
    if in_user_namespace():
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    else:
        fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def taken_subnets(*but: str) -> list[Subnet]:
    """Networks this host has ways to, without its default way.

    Args:
        but: Links whose ways do not count.
    """
    with Netlink() as kernel_routes:
        without = {kernel_routes.link(name) for name in but}
        return [
            Subnet(first, prefix) for first, prefix, link in kernel_routes.routes() if prefix and link not in without
        ]


def bring_up(bridge: Bridge) -> firewall.Loading | None:
    """Make sure that a network's bridge and rules are there; call it under :func:`locked`.

    Returns:
        The rules being loaded, or ``None`` when they were there.

    Raises:
        UnavailableError: The kernel refused.
        UnsupportedError: nft is not installed.
    """
    loading = None
    with PacketFilter() as tables:
        if not tables.has(bridge.table):
            rules = firewall.network_rules(
                bridge.table,
                bridge.name,
                str(bridge.subnet),
                internal=bridge.internal,
                talk=bridge.talk,
                masquerade=bridge.masquerade,
            )
            loading = firewall.Loading(rules)
        closed = tables.drops_forwarded()
    with Netlink() as host:
        index = host.link(bridge.name)
        if index and any(link == index for _, _, link in host.routes()):
            return loading  # who was killed while making it may have left it without an address
        try:
            index = index or host.add_bridge(bridge.name, bridge.mtu or _way_out(host))
            _sysctl(f"ipv6/conf/{bridge.name}/disable_ipv6", "1")
            _sysctl(f"ipv4/conf/{bridge.name}/route_localnet", "1")
            host.add_address(index, bridge.gateway, bridge.subnet.prefix)
        except OSError as error:
            raise UnavailableError(f"cannot make the bridge {bridge.name}: {error.strerror}") from error
    _forward()
    if closed:
        firewall.accept_forwarded(bridge.name, add=True)
    return loading


def take_down(name: str, table: str) -> None:
    """Remove a network's bridge and rules, as far as they are there; call it under :func:`locked`."""
    with PacketFilter() as tables:
        tables.drop(table)
        if tables.drops_forwarded():
            firewall.accept_forwarded(name, add=False)
    _unlink(name)


def drop_table(table: str) -> None:
    """Remove the rules of a container's ports; none is fine."""
    with PacketFilter() as tables:
        tables.drop(table)


def _unlink(name: str) -> None:
    with Netlink() as host:
        index = host.link(name)
        if index:
            try:
                host.delete(index)
            except OSError:
                return  # gone meanwhile


def unplug(link: str) -> None:
    """Take a container off a network; one whose namespace is gone is off already."""
    _unlink(link)


def make_namespace() -> int:
    """Make a network namespace with nothing but a loopback link that is up.

    Returns:
        Its descriptor; the namespace lives as long as that or a process in it.

    Raises:
        UnavailableError: The kernel refused.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.unshare(FLAGS["net"])
        try:
            made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            # No address of the new links but those they are given.
            _sysctl("ipv6/conf/default/disable_ipv6", "1")
            with Netlink() as inner:
                inner.set_up(_LOOPBACK)
        finally:
            kernel.setns(home, FLAGS["net"])
    except OSError as error:
        raise UnavailableError(f"cannot make a network namespace: {error.strerror}") from error
    finally:
        os.close(home)
    return made


@contextmanager
def _inside(namespace: int) -> Iterator[Netlink]:
    """A socket into a namespace; the calling thread is there only while the socket is opened."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(namespace, FLAGS["net"])
        try:
            inner = Netlink()
        finally:
            kernel.setns(home, FLAGS["net"])
    finally:
        os.close(home)
    with inner:
        yield inner


def plug_in(bridge: Bridge, port: Port, namespace: int) -> None:
    """Put a namespace on a network whose bridge is there.

    Args:
        bridge: The network.
        port: The place on it.
        namespace: Descriptor of the namespace.

    Raises:
        UnavailableError: The kernel refused.
    """
    try:
        with Netlink() as host:
            index = host.link(bridge.name)
            host.add_pair(port.link, index, port.inside, namespace, port.mac, bridge.mtu or _way_out(host))
        with _inside(namespace) as inner:
            own = inner.link(port.inside)
            inner.set_up(own)
            inner.add_address(own, port.address, bridge.subnet.prefix)
            if port.gateway:
                inner.add_default_route(bridge.gateway)
    except OSError as error:
        raise UnavailableError(f"cannot put the container on {bridge.name}: {error.strerror}") from error


def free_name(namespace: int) -> str:
    """The first of ``eth0``, ``eth1`` ... that a namespace does not have."""
    with _inside(namespace) as inner:
        at = 0
        while inner.link(f"eth{at}"):
            at += 1
        return f"eth{at}"


def set_way_out(namespace: int, gateway: int) -> None:
    """Give a namespace a default way if it has none."""
    with _inside(namespace) as inner:
        if any(prefix == 0 and first == 0 for first, prefix, _ in inner.routes()):
            return
        try:
            inner.add_default_route(gateway)
        except OSError as error:
            raise UnavailableError(f"cannot give the container a way out: {error.strerror}") from error


def _way_out(host: Netlink) -> int:
    """Size of a packet on the link of the host's default way, at most 1500 bytes."""
    for first, prefix, link in host.routes():
        if not first and not prefix and link:
            return min(host.mtu(link) or _MTU, _MTU)
    return _MTU


def _forward() -> None:
    """Let the host pass packets on."""
    path = "/proc/sys/net/ipv4/ip_forward"
    try:
        with open(path, encoding="ascii") as file:
            if file.read(1) == "1":
                return
    except OSError:
        pass
    _sysctl("ipv4/ip_forward", "1")


def _sysctl(name: str, value: str) -> None:
    """Set one; a host without IPv6 has no such file, and then nothing is to be done."""
    try:
        fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise UnavailableError(f"cannot set net.{name.replace('/', '.')}: {error.strerror}") from error
    finally:
        os.close(fd)


def is_up(name: str) -> bool:
    """Whether a bridge is there."""
    with Netlink() as host:
        return host.link(name) > 0
