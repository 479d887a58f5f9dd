# SPDX-License-Identifier: Apache-2.0
"""Putting a container on its networks before it starts, and taking it off when it has ended.

The namespace is made and furnished here and the OCI runtime joins it, so a container never runs without its network.
Nothing holds the namespace but the descriptor of the starting process and, later, the container's own processes: it
and the links in it vanish with them, whatever is killed. Bridges and rules go with the last container; after a kill
the monitor, the deadman or any later command that looks at containers takes them away by the rows.
"""

from __future__ import annotations

import _thread
import os
from contextlib import ExitStack
from functools import partial

from scow.containers import networks_names
from scow.containers.bundle import Addresses
from scow.containers.networks import NetworkNotFoundError
from scow.errors import ConflictError, InvalidArgumentError, ScowError, UnavailableError, UnsupportedError
from scow.linux import process
from scow.runtime.network import bridge, firewall
from scow.runtime.network.addresses import Subnet, mac_bytes, to_number, to_text
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from scow.containers.networks import Endpoint, Network
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.containers.wiring import Loading
    from scow.runtime.network.firewall import Published


NAME_SERVER = "127.0.0.11"


class Attached:
    """A namespace on its networks, for a container that is about to start.

    Args:
        namespace: Its descriptor.
        addresses: What the container's files say of it.
        loading: What must be done before the container's command starts.
        keep: Descriptors that whoever watches the container keeps open: number there -> number here.
    """

    __slots__ = ("_loading", "_namespace", "addresses", "keep")

    def __init__(
        self, namespace: int, addresses: Addresses, loading: list[Loading], keep: dict[int, int] | None = None
    ) -> None:
        self._namespace = namespace
        self.addresses = addresses
        self._loading = loading
        self.keep = keep or {}

    def ready(self) -> None:
        """Wait until all rules are in force, and packets are carried.

        Raises:
            UnavailableError: The kernel refused them.
        """
        while self._loading:
            self._loading.pop().wait()

    def close(self) -> None:
        """The container has the namespace now; doing so twice is harmless."""
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1

    def hand_over(self) -> None:
        """A monitor has the descriptors of ``keep`` now."""
        for fd in self.keep.values():
            os.close(fd)
        self.keep = {}


def wanted(container: Container) -> dict[str, dict[str, Any]]:
    """Names of the networks a container shall be on, with what it asked for there; the first has its way out."""
    known = container.network.get("Networks")
    given: dict[str, dict[str, Any]] = container.network.get("Endpoints") or {}
    if known is not None:
        return {name: given.get(name) or {} for name in known}
    mode = container.host.get("NetworkMode") or "default"
    names = dict.fromkeys([mode, *given])
    return {"bridge" if name == "default" else name: given.get(name) or {} for name in names}


def bridge_of(service: Containers, network: Network) -> bridge.Bridge:
    """What a network is on this host."""
    option = network.option
    mtu = option("driver.mtu")
    return bridge.Bridge(
        name=network.link,
        table=network.table,
        subnet=Subnet.parse(network.subnet),
        gateway=to_number(network.gateway),
        internal=bool(network.internal),
        talk=option("bridge.enable_icc") != "false",
        masquerade=option("bridge.enable_ip_masquerade") != "false",
        mtu=int(mtu) if mtu.isdigit() else service.wiring.mtu,
    )


def attach(service: Containers, container: Container) -> Attached:
    """Put a container that is about to start on its networks.

    Args:
        service: The room.
        container: The container.

    Returns:
        The namespace.

    Raises:
        NetworkNotFoundError: A network is gone.
        UnavailableError: A port or all addresses are taken, or the kernel refused.
        UnsupportedError: nft is not installed.
    """
    try:
        chosen = [(service.networks.find(name), config) for name, config in wanted(container).items()]
    except NetworkNotFoundError as error:
        raise NetworkNotFoundError(error.message) from None
    wiring = service.wiring
    namespace, placed, loading = wiring.call(lambda: _attach(service, container, chosen), make=True)
    addresses = _addresses(service, container, placed, namespace)
    return Attached(namespace, addresses, [*loading, *wiring.pending()], wiring.keep())


def _attach(
    service: Containers, container: Container, chosen: list[tuple[Network, dict[str, Any]]]
) -> tuple[int, list[tuple[Network, Endpoint]], list[Loading]]:
    """What has to be done where the bridges are: the namespace, its places, and rules being loaded."""
    loading: list[Loading] = []
    namespace = -1
    try:
        with bridge.locked():
            placed, published = _reserve(service, container, chosen)
            for network, _ in placed:
                network_rules = bridge.bring_up(bridge_of(service, network))
                if network_rules is not None:
                    loading.append(network_rules)
            if published:
                loading.append(service.wiring.publish(container.id, published))
            namespace = bridge.make_namespace()
            _plug(service, placed, namespace)
            if any(network.resolves for network, _ in placed):
                from scow.containers import networks_dns

                loading.append(networks_dns.serve(service, container.id, namespace))
            networks_names.refresh(service, [network for network, _ in placed], but=container.id)
    except BaseException:
        if namespace >= 0:
            os.close(namespace)
        for rules in loading:
            rules.wait()
        raise
    return namespace, placed, loading


def _plug(service: Containers, placed: list[tuple[Network, Endpoint]], namespace: int) -> None:
    way_out = next((network.id for network, _ in placed if not network.internal), "")
    for at, (network, endpoint) in enumerate(placed):
        port = bridge.Port(
            endpoint.link, mac_bytes(endpoint.mac), endpoint.address, f"eth{at}", gateway=network.id == way_out
        )
        bridge.plug_in(bridge_of(service, network), port, namespace)


def _addresses(
    service: Containers, container: Container, placed: list[tuple[Network, Endpoint]], namespace: int
) -> Addresses:
    own = [(to_text(endpoint.address), "") for _, endpoint in placed]
    for network, endpoint in placed:
        if network.resolves:
            own.append((to_text(endpoint.address), endpoint.names))
            own += networks_names.others(service, network, container.id)
    wiring = service.wiring
    return Addresses(
        own=tuple(own),
        gateway=wiring.hosts_address or (placed[0][0].gateway if placed else ""),
        servers=(NAME_SERVER,) if any(network.resolves for network, _ in placed) else (),
        relay=wiring.server,
        namespace=f"/proc/{os.getpid()}/fd/{namespace}",
    )


def _check_addresses(four: str, six: str, link_local: Sequence[str]) -> None:
    """Refuse what is no address.

    Raises:
        InvalidArgumentError: One is none.
    """
    if not (four or six or link_local):
        return
    import ipaddress

    wanted: list[tuple[str, Callable[[str], object], str]]
    wanted = [(four, ipaddress.IPv4Address, "IPv4"), (six, ipaddress.IPv6Address, "IPv6")]
    wanted += [(text, ipaddress.ip_address, "link-local IP") for text in link_local]
    for text, read, kind in wanted:
        try:
            if text:
                read(text)
        except ValueError:
            raise InvalidArgumentError(f"invalid {kind} address: {text}") from None


def place(network: Network, config: dict[str, Any], service: Containers, container: Container) -> Endpoint:
    """Give a container its place on one network, in rows only.

    Raises:
        InvalidArgumentError: It asks for what this network cannot give.
    """
    aliases = config.get("Aliases") or ()
    wished = config.get("IPAMConfig") or {}
    ip = wished.get("IPv4Address") or ""
    _check_addresses(ip, wished.get("IPv6Address") or "", wished.get("LinkLocalIPs") or ())
    if aliases and not network.resolves:
        raise InvalidArgumentError("network-scoped aliases are only supported for user-defined networks")
    if ip and not network.resolves:
        raise InvalidArgumentError("user specified IP address is supported on user defined networks only")
    if ip and not network.fixed:
        raise InvalidArgumentError(
            f"invalid config for network {network.name}: invalid endpoint settings:\nuser specified IP address is"
            " supported only when connecting to networks with user configured subnets"
        )
    if network.driver != "bridge":
        raise ConflictError(f"container cannot be connected to the {network.name} network")
    mac = config.get("MacAddress") or container.config.get("MacAddress") or ""
    if mac:
        mac = mac_bytes(mac).hex(":")
    names = networks_names.names_of(container, aliases)
    return service.networks.reserve(
        network, container.id, address=ip, mac=mac, names=" ".join(names), holder=process.self_mark()
    )


def settled(service: Containers, network: Network) -> Network:
    """A network with a subnet that serves on this host; call it under the lock."""
    if network.subnet and bridge.is_up(network.link):
        return network
    # Who names a subnet may have one that the host has too; none is chosen that hides a part of the host's.
    outside = [] if network.fixed else service.wiring.taken_outside()
    return service.networks.settle_subnet(network, lambda: [*service.wiring.taken_beside(network.link), *outside])


def settle(service: Containers, network: Network) -> Network:
    """A network with a subnet that serves on this host, before anything is on it."""

    def work() -> Network:
        with bridge.locked():
            return settled(service, network)

    return service.wiring.call(work)


def _reserve(
    service: Containers, container: Container, chosen: list[tuple[Network, dict[str, Any]]]
) -> tuple[list[tuple[Network, Endpoint]], list[Published]]:
    """Addresses and ports, and the container's row that tells of them, in one transaction."""
    ready = [(settled(service, network), config) for network, config in chosen]
    with service.db.write():
        service.networks.release(container.id)
        placed = [(network, place(network, config, service, container)) for network, config in ready]
        published = _publish(service, container, placed[0][0], placed[0][1]) if placed else []
        document = {
            **container.network,
            "Networks": {
                network.name: describe(network, endpoint, config)
                for (network, config), (_, endpoint) in zip(ready, placed, strict=True)
            },
            "Ports": _describe_ports(published),
        }
        service.store.update(container.id, network=document)
        for network, _ in placed:
            note(service, "connect", network, container=container.id)
    return placed, published


def describe(network: Network, endpoint: Endpoint, config: dict[str, Any]) -> dict[str, Any]:
    """Docker's document of a container on a network."""
    return {
        "IPAMConfig": config.get("IPAMConfig"),
        "Links": config.get("Links"),
        "Aliases": config.get("Aliases"),
        "MacAddress": endpoint.mac,
        "NetworkID": network.id,
        "EndpointID": endpoint.id,
        "Gateway": network.gateway,
        "IPAddress": to_text(endpoint.address),
        "IPPrefixLen": Subnet.parse(network.subnet).prefix,
        "DNSNames": endpoint.names.split() if network.resolves else None,
    }


def _describe_ports(published: Iterable[Published]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in published:
        found.setdefault(f"{port.inside}/{port.protocol}", []).append({"HostIp": port.host, "HostPort": str(port.port)})
    return found


def _publish(service: Containers, container: Container, network: Network, endpoint: Endpoint) -> list[Published]:
    """Take the host's ports that a container publishes."""
    bindings: dict[str, list[dict[str, str]]] = dict(container.host.get("PortBindings") or {})
    if container.host.get("PublishAllPorts"):
        for port in container.config.get("ExposedPorts") or {}:
            bindings.setdefault(port, [{}])
    if not bindings:
        return []
    found = []
    before = container.network.get("Ports") or {}
    for port, wishes in bindings.items():
        inside, _, protocol = port.partition("/")
        protocol = protocol or "tcp"
        for at, wish in enumerate(wishes or [{}]):
            host = wish.get("HostIp") or network.option("bridge.host_binding_ipv4") or "0.0.0.0"
            if ":" in host:
                raise UnsupportedError(f"ports cannot be published on IPv6 addresses such as {host}")
            old = before.get(port) or []
            candidates = _candidates(wish.get("HostPort") or "", int(old[at]["HostPort"]) if at < len(old) else 0)
            try:
                number = service.networks.take_port(container.id, protocol, host, candidates, service.wiring.is_free)
            except UnavailableError as error:
                raise UnavailableError(
                    f"driver failed programming external connectivity on endpoint {container.name}"
                    f" ({endpoint.id}): {error.message}"
                ) from None
            found.append(firewall.Published(protocol, host, number, to_text(endpoint.address), int(inside)))
    return found


def _candidates(wish: str, before: int) -> Iterable[int]:
    """The ports that will do: the one wished for, a range, or the last one and then any."""
    if wish and wish != "0":
        low, _, high = wish.partition("-")
        return range(int(low), int(high or low) + 1)
    from scow.runtime.network.ports import range_of_host

    low_end, high_end = range_of_host()
    start = low_end + int.from_bytes(os.urandom(2), "big") % (high_end - low_end + 1)
    return [*([before] if before else []), *range(start, high_end + 1), *range(low_end, start)]


class Leaving:
    """A container that has ended leaves its networks; doing so twice is harmless.

    Removing a bridge means waiting for the kernel, which a thread does while the caller clears away the rest. Other
    processes wait at the lock until :meth:`finish`; the rows go last.

    Args:
        service: The room.
        container: The container.
    """

    __slots__ = ("_container", "_done", "_left", "_lock", "_service")

    def __init__(self, service: Containers, container: Container) -> None:
        self._service = service
        self._container = container
        self._left: list[Network] = []
        self._done: _thread.LockType | None = None
        self._lock: ExitStack | None = None
        places = service.networks.endpoints(container=container.id)
        if places and service.wiring.goes_with(container.id):
            service.wiring.unpublish(container.id)
            self._lock = ExitStack()
        elif places:
            service.wiring.call(lambda: self._unplug(places))

    def _unplug(self, places: list[Endpoint]) -> None:
        service, container = self._service, self._container
        with ExitStack() as lock:
            lock.enter_context(bridge.locked())
            if container.host.get("PortBindings") or container.host.get("PublishAllPorts"):
                service.wiring.unpublish(container.id)
            empty = [network for endpoint in places if (network := _left_empty(service, endpoint, self._left))]
            if empty:
                self._done = _thread.allocate_lock()
                self._done.acquire()
                _thread.start_new_thread(_take_down, (empty, self._done))
            self._lock = lock.pop_all()

    def finish(self) -> None:
        """Wait until the links are gone, and forget the container's places and ports."""
        if self._lock is None:
            return
        with self._lock:
            self._lock = None
            if self._done is not None:
                self._done.acquire()
            with self._service.db.write():
                for endpoint in self._service.networks.endpoints(container=self._container.id):
                    network = self._service.networks.get(endpoint.network)
                    if network is not None:
                        note(self._service, "disconnect", network, container=self._container.id)
                self._service.networks.release(self._container.id)
            networks_names.refresh(self._service, self._left)
        self._service.wiring.left()
        forget_names(self._service, self._container.id)


def note(service: Containers, action: str, network: Network, **attributes: str) -> None:
    """Write an event down for ``scow events``."""
    service.events.add("network", action, network.id, {"name": network.name, "type": network.driver, **attributes})


def forget_names(service: Containers, container: str) -> None:
    """Tell the name server, when there is one, that a container has ended."""
    if os.path.exists(os.path.join(service.run_root, "names.sock")):
        from scow.containers.networks_dns import gone

        gone(service, container)


def _take_down(networks: list[Network], done: _thread.LockType) -> None:
    try:
        for network in networks:
            bridge.take_down(network.link, network.table)
    finally:
        done.release()


def _left_empty(service: Containers, endpoint: Endpoint, left: list[Network]) -> Network | None:
    """Unplug one place; returns the network when nobody else is on it, else adds it to ``left``."""
    bridge.unplug(endpoint.link)
    network = service.networks.get(endpoint.network)
    if network is None:
        return None
    if any(other.container != endpoint.container for other in service.networks.endpoints(endpoint.network)):
        left.append(network)
        return None
    return network


def leave(service: Containers, endpoint: Endpoint, left: list[Network]) -> None:
    """Take one place away from the kernel, and the network with the last one; call it under the lock.

    Args:
        service: The room.
        endpoint: The place; its row is still there.
        left: Gets the network when others are on it.
    """
    empty = _left_empty(service, endpoint, left)
    if empty is not None:
        bridge.take_down(empty.link, empty.table)


def reap(service: Containers) -> None:
    """Take away what containers that are not alive have left on networks."""
    for endpoint in service.networks.endpoints():
        container = service.store.get(endpoint.container)
        if container is not None and container.is_alive:
            continue
        if process.mark_lives(endpoint.holder):
            continue
        try:
            service.wiring.call(partial(detach_row, service, endpoint, container))
        except ScowError:
            continue
    service.wiring.left()


def detach_row(service: Containers, endpoint: Endpoint, container: Container | None) -> None:
    """Take away one stale place, of a container that may be forgotten itself."""
    with bridge.locked():
        current = [row for row in service.networks.endpoints(endpoint.network, endpoint.container) if row == endpoint]
        if not current:
            return
        service.wiring.unpublish(endpoint.container)
        left: list[Network] = []
        leave(service, endpoint, left)
        service.networks.release(endpoint.container, "" if container is None else endpoint.network)
        networks_names.refresh(service, left)
    forget_names(service, endpoint.container)
