# SPDX-License-Identifier: Apache-2.0
"""``scow network``: networks of containers."""

from __future__ import annotations

import sys

from scow.cli.containervalues import label
from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, NotFoundError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.cli.shapes import Shape

CREATE = Command(
    name="create",
    usage="[OPTIONS] NETWORK",
    summary="Create a network",
    min_args=1,
    max_args=1,
    aliases=("network create",),
    flags=(
        Flag("attachable", help="Enable manual container attachment"),
        Flag("aux-address", kind="map", help="Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        Flag("config-from", kind="string", help="The network from which to copy the configuration"),
        Flag("config-only", help="Create a configuration only network"),
        Flag("driver", "d", kind="string", default="bridge", help="Driver to manage the Network"),
        Flag("gateway", kind="csv", help="IPv4 or IPv6 Gateway for the master subnet"),
        Flag("ingress", help="Create swarm routing-mesh network"),
        Flag("internal", help="Restrict external access to the network"),
        Flag("ip-range", kind="csv", help="Allocate container ip from a sub-range"),
        Flag("ipam-driver", kind="string", default="default", help="IP Address Management Driver"),
        Flag("ipam-opt", kind="map", help="Set IPAM driver specific options"),
        Flag("ipv4", default=True, help="Enable or disable IPv4 address assignment"),
        Flag("ipv6", help="Enable or disable IPv6 address assignment"),
        Flag("label", kind="list", check=label, help="Set metadata on a network"),
        Flag("opt", "o", kind="map", help="Set driver specific options"),
        Flag("scope", kind="string", help="Control the network's scope"),
        Flag("subnet", kind="csv", help="Subnet in CIDR format that represents a network segment"),
    ),
)
LS = Command(
    name="ls",
    usage="[OPTIONS]",
    summary="List networks",
    max_args=0,
    aliases=("network ls", "network list"),
    flags=(
        Flag("filter", "f", kind="filter", help='Provide filter values (e.g. "driver=bridge")'),
        Flag("format", kind="string", help="Format output using a custom template"),
        Flag("no-trunc", help="Do not truncate the output"),
        Flag("quiet", "q", help="Only display network IDs"),
    ),
)
INSPECT = Command(
    name="inspect",
    usage="[OPTIONS] NETWORK [NETWORK...]",
    summary="Display detailed information on one or more networks",
    min_args=1,
    aliases=("network inspect",),
    flags=(
        Flag("format", "f", kind="string", help="Format output using a custom template"),
        Flag("verbose", "v", help="Verbose output for diagnostics"),
    ),
)
RM = Command(
    name="rm",
    usage="NETWORK [NETWORK...]",
    summary="Remove one or more networks",
    min_args=1,
    aliases=("network rm", "network remove"),
    flags=(Flag("force", "f", help="Do not error if the network does not exist"),),
)
CONNECT = Command(
    name="connect",
    usage="[OPTIONS] NETWORK CONTAINER",
    summary="Connect a container to a network",
    min_args=2,
    max_args=2,
    aliases=("network connect",),
    flags=(
        Flag("alias", kind="csv", help="Add network-scoped alias for the container"),
        Flag("driver-opt", kind="csv", help="driver options for the network"),
        Flag("gw-priority", kind="int", help="Highest gw-priority provides the default gateway"),
        Flag("ip", kind="string", help='IPv4 address (e.g., "172.30.100.104")'),
        Flag("ip6", kind="string", help='IPv6 address (e.g., "2001:db8::33")'),
        Flag("link", kind="list", help="Add link to another container"),
        Flag("link-local-ip", kind="csv", help="Add a link-local address for the container"),
    ),
)
DISCONNECT = Command(
    name="disconnect",
    usage="[OPTIONS] NETWORK CONTAINER",
    summary="Disconnect a container from a network",
    min_args=2,
    max_args=2,
    aliases=("network disconnect",),
    flags=(Flag("force", "f", help="Force the container to disconnect from a network"),),
)
PRUNE = Command(
    name="prune",
    usage="[OPTIONS]",
    summary="Remove all unused networks",
    max_args=0,
    aliases=("network prune",),
    flags=(
        Flag("filter", kind="filter", help='Provide filter values (e.g. "until=<timestamp>")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)


def create(argv: list[str]) -> int:
    """Make a network and print its id."""
    from scow.cli.containerrequest import labels
    from scow.cli.context import engine
    from scow.containers.networks_verbs import create as make

    options = parse(CREATE, argv)
    body = {
        "Name": options.args[0],
        "Driver": options.driver,
        "EnableIPv4": options.ipv4,
        "EnableIPv6": options.ipv6,
        "Internal": options.internal,
        "Attachable": options.attachable,
        "IPAM": {"Driver": options["ipam-driver"], "Options": options["ipam-opt"], "Config": _ipam(options)},
        "Options": options.opt,
        "Labels": labels(options.label),
    }
    if options.ingress or options["config-only"] or options["config-from"] or options.scope not in {"", "local"}:
        raise InvalidArgumentError("networks of a swarm are not supported")
    sys.stdout.write(make(engine().containers, body).id + "\n")
    return 0


def _ipam(options: Parsed) -> list[dict[str, Any]]:
    """The subnet with what belongs to it."""
    subnets, gateways, ranges = options.subnet, options.gateway, options["ip-range"]
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise InvalidArgumentError("every ip-range or gateway must have a corresponding subnet")
    found: list[dict[str, Any]] = []
    for at, subnet in enumerate(subnets):
        if "/" not in subnet:
            raise InvalidArgumentError(f"invalid subnet {subnet}: invalid CIDR block notation")
        entry: dict[str, Any] = {"Subnet": subnet}
        if at < len(ranges):
            entry["IPRange"] = ranges[at]
        if at < len(gateways):
            entry["Gateway"] = gateways[at]
        found.append(entry)
    if options["aux-address"]:
        if not found:
            raise InvalidArgumentError(
                "no matching subnet for aux-address " + next(iter(options["aux-address"].values()))
            )
        found[0]["AuxiliaryAddresses"] = dict(options["aux-address"])
    return found


def ls(argv: list[str]) -> int:
    """List networks."""
    from scow.cli.context import engine
    from scow.cli.format import Listing, Method, config_format
    from scow.containers.networks_verbs import select

    options = parse(LS, argv)
    rows = []
    for network in select(engine().containers, options.filter):
        labels: dict[str, str] = network.extra.get("Labels") or {}
        rows.append(
            {
                "ID": network.id if options["no-trunc"] else network.id[:12],
                "Name": network.name,
                "Driver": network.driver,
                "Scope": "local",
                "IPv4": "true",
                "IPv6": "false",
                "Internal": "true" if network.internal else "false",
                "Labels": ",".join(f"{name}={labels[name]}" for name in sorted(labels)),
                "CreatedAt": _moment(network.created),
                "Label": Method(lambda name, found=labels: found.get(name, "")),
            }
        )
    listing = Listing(
        {
            "ID": "NETWORK ID",
            "Name": "NAME",
            "Driver": "DRIVER",
            "Scope": "SCOPE",
            "IPv4": "IPV4",
            "IPv6": "IPV6",
            "Internal": "INTERNAL",
            "Labels": "LABELS",
            "CreatedAt": "CREATED AT",
            "Label": "",
        },
        default=("ID", "Name", "Driver", "Scope"),
        kind="*network.networkContext",
        raw="network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        raw_quiet="network_id: {{.ID}}",
    )
    template = options.format or ("" if options.quiet else config_format("networksFormat"))
    return listing.show(rows, template, quiet="ID" if options.quiet else "")


def _moment(seconds: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 10**9):09} +0000 UTC"


def inspect(argv: list[str]) -> int:
    """Print what is known of networks."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import NETWORK
    from scow.containers.networks_verbs import inspect as describe

    options = parse(INSPECT, argv)
    service = engine().containers
    service.all()

    def get(name: str) -> tuple[dict[str, Any], Shape]:
        return describe(service, service.networks.find(name)), NETWORK

    return inspect_all(options.args, get, options.format)


def rm(argv: list[str]) -> int:
    """Remove networks."""
    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.containers.networks_verbs import remove

    options = parse(RM, argv)
    service = engine().containers
    service.all()
    status = 0
    for name in options.args:
        try:
            remove(service, service.networks.find(name))
        except ScowError as error:
            sys.stdout.flush()
            if not (options.force and isinstance(error, NotFoundError)):
                code = report(error)
                status = status or code
            continue
        sys.stdout.write(name + "\n")
    return status


def connect(argv: list[str]) -> int:
    """Put a container on a network."""
    from scow.cli.context import engine
    from scow.containers.networks_verbs import connect as join

    options = parse(CONNECT, argv)
    service = engine().containers
    network, container = service.networks.find(options.args[0]), service.find(options.args[1])
    if options.ip6 or options["link-local-ip"]:
        raise InvalidArgumentError("IPv6 and link-local addresses are not supported")
    if any("=" not in text for text in options["driver-opt"]):
        raise InvalidArgumentError("invalid key/value pair format in driver options")
    config: dict[str, Any] = {"Aliases": options.alias, "Links": options.link}
    if options.ip:
        config["IPAMConfig"] = {"IPv4Address": options.ip}
    join(service, network, container, config)
    return 0


def disconnect(argv: list[str]) -> int:
    """Take a container off a network."""
    from scow.cli.context import engine
    from scow.containers.networks_verbs import disconnect as leave

    options = parse(DISCONNECT, argv)
    service = engine().containers
    leave(service, service.networks.find(options.args[0]), service.find(options.args[1]))
    return 0


def prune(argv: list[str]) -> int:
    """Remove networks that no container has."""
    from scow.cli.context import engine
    from scow.cli.prompt import confirm
    from scow.containers.networks_verbs import prune as sweep

    options = parse(PRUNE, argv)
    for key, _ in options.filter:
        if key not in {"until", "label", "label!"}:
            raise InvalidArgumentError(f"Invalid filter '{key}'")
    warning = "WARNING! This will remove all custom networks not used by at least one container."
    if not options.force and not confirm(warning):
        return 0
    gone = sweep(engine().containers, options.filter)
    if gone:
        sys.stdout.write("Deleted Networks:\n" + "".join(f"{name}\n" for name in gone) + "\n")
    return 0
