# SPDX-License-Identifier: Apache-2.0
"""What users do with networks: make them, look at them, put running containers on and off, remove them.

Source: Engine API v1.50, ``Network*``; docker 28.2.2's messages.
"""

from __future__ import annotations

import os

from scow.base.clock import now, parse_moment, rfc3339
from scow.containers import networks_attach, networks_dns, networks_names
from scow.containers.networks import BUILT_IN, Network, NetworkInUseError
from scow.containers.patterns import matches
from scow.errors import DeniedError, InvalidArgumentError, NotFoundError, ScowError, UnsupportedError
from scow.runtime.network import bridge
from scow.runtime.network.addresses import Subnet, mac_bytes, to_number, to_text
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from scow.containers.networks import Endpoint
    from scow.containers.service import Containers
    from scow.containers.store import Container

_FILTERS = frozenset({"dangling", "driver", "id", "label", "label!", "name", "scope", "type", "until"})
_MAX_LINK_NAME = 15


# ------------------------------------------------------------------ make and remove


def create(service: Containers, request: Mapping[str, Any]) -> Network:
    """Make a network.

    Args:
        service: The room.
        request: Docker's body of a create request: Name, Driver, IPAM, Internal, Options, Labels ...

    Raises:
        ConflictError: The name is taken.
        InvalidArgumentError: The wish contradicts itself.
        UnsupportedError: Another driver than ``bridge``, or IPv6.
    """
    name, driver = request["Name"], request.get("Driver") or "bridge"
    if name in BUILT_IN:
        raise DeniedError(f"operation is not permitted on predefined {name} network")
    if driver in {"host", "null"}:
        raise DeniedError(f'only one instance of "{driver}" network is allowed')
    if driver != "bridge":
        raise NotFoundError(f'could not find plugin {driver} in v1 plugin registry: plugin "{driver}" not found')
    if request.get("EnableIPv6"):
        raise UnsupportedError("networks with IPv6 addresses are not supported")
    if request.get("EnableIPv4") is False:
        raise InvalidArgumentError("IPv4 or IPv6 must be enabled")
    ipam = request.get("IPAM") or {}
    if (ipam.get("Driver") or "default") != "default":
        raise NotFoundError(f"could not find plugin {ipam['Driver']} in v1 plugin registry: plugin not found")
    settings = list(ipam.get("Config") or ())
    if len(settings) > 1:
        raise InvalidArgumentError("bridge driver doesn't support multiple subnets")
    subnet, gateway, part, auxiliary = _addresses(settings[0] if settings else {})
    link = (request.get("Options") or {}).get("com.docker.network.bridge.name", "")
    if len(link) > _MAX_LINK_NAME or "/" in link or " " in link:
        raise InvalidArgumentError(f"invalid bridge name {link!r}")
    extra = {
        "Options": dict(request.get("Options") or {}),
        "Labels": dict(request.get("Labels") or {}),
        "Attachable": bool(request.get("Attachable")),
        "IpamOptions": dict(ipam.get("Options") or {}),
        "Config": settings[0] if settings else {},
        "AuxAddress": auxiliary,
    }
    fixed = int(bool(settings and settings[0].get("Subnet")))
    internal = int(bool(request.get("Internal")))
    wish = Network("", name, 0.0, driver, subnet, gateway, part, fixed, internal, extra)
    made = service.networks.create(wish)
    if not subnet:
        made = networks_attach.settle(service, made)
    networks_attach.note(service, "create", made)
    return made


def _addresses(setting: Mapping[str, Any]) -> tuple[str, str, str, dict[str, str]]:
    """Subnet, gateway, range and kept addresses of an IPAM setting, checked."""
    text = setting.get("Subnet") or ""
    if not text:
        if setting.get("Gateway") or setting.get("IPRange"):
            raise InvalidArgumentError("every ip-range or gateway must have a corresponding subnet")
        return "", "", "", {}
    if ":" in text:
        raise UnsupportedError("networks with IPv6 addresses are not supported")
    subnet = Subnet.parse(text)
    if subnet.prefix > 30:
        raise InvalidArgumentError(f"subnet {text} is too small for a network")
    if text.partition("/")[0] != to_text(subnet.first):
        raise InvalidArgumentError(f"invalid network config:\ninvalid subnet {text}: it should be {subnet}")
    gateway = setting.get("Gateway") or to_text(subnet.first + 1)
    part = setting.get("IPRange") or ""
    auxiliary = dict(setting.get("AuxiliaryAddresses") or {})
    for what in (gateway, *auxiliary.values()):
        if not subnet.holds(to_number(what)):
            raise InvalidArgumentError(f"no matching subnet for gateway {what}")
    if part:
        bounds = Subnet.parse(part)
        if not (subnet.holds(bounds.first) and subnet.holds(bounds.last)):
            raise InvalidArgumentError(f"no matching subnet for range {part}")
        part = str(bounds)
    return str(subnet), gateway, part, auxiliary


def remove(service: Containers, network: Network) -> None:
    """Remove a network that nobody is on.

    Raises:
        DeniedError: Every store has it, or containers are on it.
    """
    networks_attach.reap(service)
    try:
        service.networks.remove(network)
    except NetworkInUseError as error:
        on_it = [
            f'name:"{container.name}" id:"{container.id[:12]}"'
            for endpoint in service.networks.endpoints(network.id)
            if (container := service.store.get(endpoint.container)) is not None
        ]
        raise NetworkInUseError(f"{error.message} ({', '.join(on_it)})") from None
    networks_attach.note(service, "destroy", network)


def prune(service: Containers, filters: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Remove networks that no container has, running or not; returns their names."""
    service.all()
    kept = used(service)
    gone = []
    for network in select(service, filters):
        if network.name in BUILT_IN or network.name in kept:
            continue
        try:
            remove(service, network)
        except ScowError:
            continue  # a container came meanwhile
        gone.append(network.name)
    return gone


def used(service: Containers) -> set[str]:
    """Names of the networks that a container is on, or will be."""
    found: set[str] = set()
    for container in service.store.all():
        if service.uses_networks(container):
            found |= networks_attach.wanted(container).keys()
    return found


# ------------------------------------------------------------------ look


def select(service: Containers, filters: Iterable[tuple[str, str]]) -> list[Network]:
    """Choose networks by docker's filters; values of one filter are alternatives.

    Raises:
        InvalidArgumentError: A filter is unknown or its value malformed.
    """
    wanted: dict[str, list[str]] = {}
    for key, value in filters:
        if key not in _FILTERS:
            raise InvalidArgumentError(f"Invalid filter '{key}'")
        if key == "type" and value not in {"builtin", "custom"}:
            raise InvalidArgumentError(f"Invalid filter: 'type'='{value}'")
        if key == "dangling" and value.lower() not in {"true", "false", "1", "0"}:
            raise InvalidArgumentError(f"Invalid filter 'dangling=[{value}]'")
        wanted.setdefault(key, []).append(value)
    kept = used(service) if "dangling" in wanted else set()
    return [network for network in service.networks.all() if _matches(network, wanted, kept)]


def _matches(network: Network, wanted: Mapping[str, list[str]], kept: set[str]) -> bool:
    labels = network.extra.get("Labels") or {}
    for key, values in wanted.items():
        if key in {"label", "label!"}:
            if not all(_has_label(labels, value) == (key == "label") for value in values):
                return False
        elif not any(_match(network, key, value, kept) for value in values):
            return False
    return True


def _match(network: Network, key: str, value: str, kept: set[str]) -> bool:
    if key == "name":
        return matches(value, network.name)
    if key == "id":
        return matches(value, network.id)
    if key == "driver":
        return network.driver == value
    if key == "scope":
        return value == "local"
    if key == "type":
        return (network.name in BUILT_IN) == (value == "builtin")
    if key == "until":
        return network.created < parse_moment(value, now())
    dangling = network.name not in BUILT_IN and network.name not in kept
    return dangling == (value.lower() in {"true", "1"})


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def inspect(service: Containers, network: Network) -> dict[str, Any]:
    """One network as docker's document."""
    if network.driver == "bridge" and not network.subnet:
        network = networks_attach.settle(service, network)
    containers = {}
    for endpoint in service.networks.endpoints(network.id):
        container = service.store.get(endpoint.container)
        if container is not None:
            containers[container.id] = _member(network, endpoint, container)
    given = network.extra.get("Config") or {}
    config: list[dict[str, Any]] | None = None
    if network.driver == "bridge":
        entry: dict[str, Any] = {"Subnet": network.subnet}
        if network.ip_range:
            entry["IPRange"] = network.ip_range
        if given.get("Gateway") or not network.fixed:
            entry["Gateway"] = network.gateway
        if given.get("AuxiliaryAddresses"):
            entry["AuxiliaryAddresses"] = given["AuxiliaryAddresses"]
        config = [entry]
    own = network.name in BUILT_IN
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": None if own else network.extra.get("IpamOptions") or {},
            "Config": config,
        },
        "Internal": bool(network.internal),
        "Attachable": bool(network.extra.get("Attachable")),
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": containers,
        "Options": _default_options(network) if network.name == "bridge" else network.extra.get("Options") or {},
        "Labels": network.extra.get("Labels") or {},
    }


def _default_options(network: Network) -> dict[str, str]:
    prefix = "com.docker.network."
    return {
        f"{prefix}bridge.default_bridge": "true",
        f"{prefix}bridge.enable_icc": "true",
        f"{prefix}bridge.enable_ip_masquerade": "true",
        f"{prefix}bridge.host_binding_ipv4": "0.0.0.0",
        f"{prefix}bridge.name": network.link,
        f"{prefix}driver.mtu": "1500",
    }


def _member(network: Network, endpoint: Endpoint, container: Container) -> dict[str, str]:
    return {
        "Name": container.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{to_text(endpoint.address)}/{Subnet.parse(network.subnet).prefix}",
        "IPv6Address": "",
    }


# ------------------------------------------------------------------ on and off


def connect(service: Containers, network: Network, container: Container, config: Mapping[str, Any]) -> None:
    """Put a container on a further network, now when it runs, else when it starts.

    Args:
        service: The room.
        network: The network.
        container: The container.
        config: Docker's ``EndpointSettings``: Aliases, IPAMConfig, MacAddress.

    Raises:
        ConflictError: It is there already, or cannot have networks.
        InvalidArgumentError: It asks for what this network cannot give.
    """
    with service.alone(container):  # nobody starts it, ends it or changes its networks meanwhile
        _connect(service, network, service.still(container), config)


def _connect(service: Containers, network: Network, container: Container, config: Mapping[str, Any]) -> None:
    mode = container.host.get("NetworkMode") or "default"
    if mode == "host" or network.name == "host":
        raise DeniedError("container cannot be connected to host network or disconnected from it")
    if not service.uses_networks(container) or network.name == "none":
        raise DeniedError(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    current = networks_attach.wanted(container)
    if network.name in current and (container.is_alive or container.network.get("Networks") is not None):
        raise DeniedError(f"endpoint with name {container.name} already exists in network {network.name}")
    wish = {name: value for name, value in config.items() if value}
    if not container.is_alive:
        _remember(service, container, {name: {"NetworkID": ""} for name in [*current, network.name]}, network, wish)
    else:
        service.wiring.call(lambda: _plug_in(service, network, container, wish), make=True)
    networks_attach.note(service, "connect", network, container=container.id)


def _remember(
    service: Containers, container: Container, networks: dict[str, Any], network: Network, wish: dict[str, Any]
) -> None:
    known = container.network.get("Networks") or {}
    endpoints = {**(container.network.get("Endpoints") or {}), network.name: wish}
    merged = {name: known.get(name, value) for name, value in networks.items()}
    document = {**container.network, "Endpoints": endpoints, "Networks": merged}
    service.store.update(container.id, network=document)


def _plug_in(service: Containers, network: Network, container: Container, wish: dict[str, Any]) -> None:
    loading = None
    namespace = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with bridge.locked():
            network = networks_attach.settled(service, network)
            endpoint = networks_attach.place(network, wish, service, container)
            try:
                loading = bridge.bring_up(networks_attach.bridge_of(service, network))
                port = bridge.Port(
                    endpoint.link, mac_bytes(endpoint.mac), endpoint.address, bridge.free_name(namespace), gateway=False
                )
                bridge.plug_in(networks_attach.bridge_of(service, network), port, namespace)
                if not network.internal:
                    bridge.set_way_out(namespace, to_number(network.gateway))
                if network.resolves:
                    networks_dns.begin(service, container, namespace)
            except BaseException:
                networks_attach.leave(service, endpoint, [])
                service.networks.release(container.id, network.id)
                raise
            finally:
                if loading is not None:
                    loading.wait()
            known = {**(container.network.get("Networks") or {})}
            known[network.name] = networks_attach.describe(network, endpoint, wish)
            _remember(
                service, container._replace(network={**container.network, "Networks": known}), known, network, wish
            )
            networks_names.refresh(service, [network])
    finally:
        os.close(namespace)


def disconnect(service: Containers, network: Network, container: Container) -> None:
    """Take a container off a network, now when it runs.

    Raises:
        ConflictError: It is not on it.
    """
    with service.alone(container):
        _disconnect(service, network, service.still(container))


def _disconnect(service: Containers, network: Network, container: Container) -> None:
    mode = container.host.get("NetworkMode") or "default"
    if mode == "host":
        raise DeniedError("container cannot be connected to host network or disconnected from it")
    current = networks_attach.wanted(container) if service.uses_networks(container) else {}
    if network.name not in current:
        raise DeniedError(f"container {container.id} is not connected to network {network.name}")
    known = container.network.get("Networks") or {name: {"NetworkID": ""} for name in current}
    endpoints = dict(container.network.get("Endpoints") or {})
    document = {
        **container.network,
        "Endpoints": {name: value for name, value in endpoints.items() if name != network.name},
        "Networks": {name: value for name, value in known.items() if name != network.name},
    }
    if container.is_alive:
        service.wiring.call(lambda: _unplug(service, network, container))
        if network.id == _publishing(container):
            document["Ports"] = {}
    service.store.update(container.id, network=document)
    networks_attach.note(service, "disconnect", network, container=container.id)


def _unplug(service: Containers, network: Network, container: Container) -> None:
    with bridge.locked():
        for endpoint in service.networks.endpoints(network.id, container.id):
            left: list[Network] = []
            networks_attach.leave(service, endpoint, left)
            service.networks.release(container.id, network.id)
            networks_names.refresh(service, left)
        if network.resolves:
            networks_names.forget_network(service, container, network)
        if network.id == _publishing(container):
            service.wiring.unpublish(container.id)


def _publishing(container: Container) -> str:
    """Id of the network that a container's published ports lead to."""
    known: dict[str, dict[str, Any]] = container.network.get("Networks") or {}
    first = next(iter(known.values()), {})
    return str(first.get("NetworkID", ""))
