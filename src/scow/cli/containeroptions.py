# SPDX-License-Identifier: Apache-2.0
"""The rarer flags of ``run`` and ``create``: ports, mounts, health checks, limits, devices, networks.

Source: docker 28.2.2's grammar and messages.
"""

from __future__ import annotations

from scow.cli.flags import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed

_WITHOUT_ALIASES = frozenset({"default", "bridge", "host", "none"})
# Flag -> member of HostConfig, read by the flag's own check.
_RATES = (
    ("blkio-weight-device", "BlkioWeightDevice"),
    ("device-read-bps", "BlkioDeviceReadBps"),
    ("device-read-iops", "BlkioDeviceReadIOps"),
    ("device-write-bps", "BlkioDeviceWriteBps"),
    ("device-write-iops", "BlkioDeviceWriteIOps"),
)


def apply_rare(options: Parsed, body: dict[str, Any], host: dict[str, Any], networks: list[Any]) -> None:
    """Read the rarer flags into a create request.

    Raises:
        CommandError: A value is malformed.
    """
    if options.tmpfs:
        host["Tmpfs"] = {path: rest for path, _, rest in (text.partition(":") for text in options.tmpfs)}
    if options.mount:
        host["Mounts"] = options.mount
    if options.publish or options.expose:
        _ports(options, body, host)
    if options.changed("restart"):
        host["RestartPolicy"] = read_restart(options.restart)
    if options.ulimit:
        host["Ulimits"] = options.ulimit
    if options.device:
        host["Devices"] = [read_device(text) for text in options.device]
    for flag, member in _RATES:
        if options[flag]:
            host[member] = options[flag]
    if options["security-opt"]:
        _security(options["security-opt"], host)
    if options["storage-opt"]:
        if any("=" not in text for text in options["storage-opt"]):
            raise CommandError("invalid storage option")
        host["StorageOpt"] = dict(text.partition("=")[::2] for text in options["storage-opt"])
    if options.gpus:
        host["DeviceRequests"] = [{"Driver": "", "Count": options.gpus, "Capabilities": [["gpu"]]}]
    _logging(options, host)
    _health(options, body)
    _labels(options, body)
    _networks(options, body, host, networks)


def _security(given: list[str], host: dict[str, Any]) -> None:
    """Read ``--security-opt``; seccomp profiles now: the file may be gone when the container starts."""
    host["SecurityOpt"] = found = []
    for text in given:
        name, mark, value = text.partition("=") if "=" in text else text.partition(":")
        if not mark and name != "no-new-privileges":
            raise CommandError(f'Invalid --security-opt: "{text}"')
        if name == "systempaths" and value == "unconfined":
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
        elif name == "seccomp" and value not in {"unconfined", "builtin"}:
            found.append(f"seccomp={_profile(value)}")
        else:
            found.append(text)


def _profile(path: str) -> str:
    """The text of a seccomp profile, checked to be JSON."""
    import json

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CommandError(f"opening seccomp profile ({path}) failed: open {path}: {reason}") from None
    try:
        json.loads(text)
    except ValueError as error:
        raise CommandError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
    return text


def _labels(options: Parsed, body: dict[str, Any]) -> None:
    if options["label-file"]:
        from scow.cli.containerrequest import labels, read_lines

        # as for docker, a name alone is passed over
        found = labels([line for path in options["label-file"] for line in read_lines(path) if "=" in line])
        body["Labels"] = {**found, **body["Labels"]}


def _logging(options: Parsed, host: dict[str, Any]) -> None:
    driver, settings = options["log-driver"], options["log-opt"]
    if not driver and not settings:
        return
    if driver == "none" and settings:
        raise CommandError("invalid logging opts for driver none")
    host["LogConfig"] = {
        "Type": driver or "json-file",
        "Config": dict(text.partition("=")[::2] for text in settings),
    }


def _health(options: Parsed, body: dict[str, Any]) -> None:
    names = (
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
        ("health-retries", "Retries"),
    )
    check: dict[str, Any] = {member: options[flag] for flag, member in names if options.changed(flag)}
    if options["health-cmd"]:
        check["Test"] = ["CMD-SHELL", options["health-cmd"]]
    if options["no-healthcheck"]:
        if check:
            raise CommandError("--no-healthcheck conflicts with --health-* options")
        body["Healthcheck"] = {"Test": ["NONE"]}
        return
    for flag, member in names:
        if check.get(member, 0) < 0:
            raise CommandError(f"--{flag} cannot be negative")
    if check:
        body["Healthcheck"] = check


def read_restart(text: str) -> dict[str, Any]:
    """Read ``--restart``.

    Raises:
        CommandError: Malformed.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise CommandError("invalid restart policy format: no policy provided before colon")
    if colon and not count.removeprefix("-").isdigit():
        raise CommandError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count) if colon else 0}


def read_device(text: str) -> dict[str, str]:
    """Read ``--device host[:container[:permissions]]``.

    Raises:
        CommandError: Malformed.
    """
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise CommandError(f"bad format for path: {text}")
    target, access = parts[0], "rwm"
    if len(parts) == 2 and parts[1] and set(parts[1]) <= set("rwm"):
        access = parts[1]
    elif len(parts) > 1 and parts[1]:
        target = parts[1]
    if len(parts) == 3:
        access = parts[2]
        if not access or not set(access) <= set("rwm"):
            raise CommandError(f"bad mode specified: {access}")
    if not target.startswith("/"):
        raise CommandError(f"{target} is not an absolute path")
    return {"PathOnHost": parts[0], "PathInContainer": target, "CgroupPermissions": access}


def _ports(options: Parsed, body: dict[str, Any], host: dict[str, Any]) -> None:
    from scow.cli.ports import read_expose, read_publish

    exposed: dict[str, dict[str, Any]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in options.publish:
        for port, binding in read_publish(text):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    for text in options.expose:
        for port in read_expose(text):
            exposed[port] = {}
    body["ExposedPorts"] = exposed
    if bindings:
        host["PortBindings"] = bindings


def _mac(text: str) -> str:
    from scow.errors import ScowError
    from scow.runtime.network.addresses import mac_bytes

    try:
        mac_bytes(text)
    except ScowError:
        raise CommandError(f"{text} is not a valid mac address") from None
    return text


def _is_defined(name: str) -> bool:
    """Whether a user made this network."""
    return name not in _WITHOUT_ALIASES and not name.startswith("container:")


def _check_networks(options: Parsed, endpoints: dict[str, dict[str, Any]], aliases: list[str]) -> None:
    """Refuse networks that exclude each other, and what is said both of one network and of the container."""
    own = [name for name in endpoints if not _is_defined(name)]
    if own and len(own) < len(endpoints):
        raise CommandError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    if len(own) > 1:
        raise CommandError(f"Container cannot be connected to network endpoints: {', '.join(sorted(own))}")
    first = next(iter(endpoints.values()))
    addresses = first.get("IPAMConfig") or {}
    for flag, there, given, what in (
        ("network-alias", first.get("Aliases"), aliases, "alias"),
        ("ip", addresses.get("IPv4Address"), options.ip, "IPv4 address"),
        ("ip6", addresses.get("IPv6Address"), options.ip6, "IPv6 address"),
        ("mac-address", first.get("MacAddress"), options["mac-address"], "MAC address"),
        ("link-local-ip", addresses.get("LinkLocalIPs"), options["link-local-ip"], "link-local IP addresses"),
    ):
        if there and given:
            raise CommandError(f"conflicting options: cannot specify both --{flag} and per-network {what}")


def _networks(options: Parsed, body: dict[str, Any], host: dict[str, Any], networks: list[Any]) -> None:
    """Networks with their settings; the first one is the container's mode."""
    aliases = [*options["network-alias"], *options["net-alias"]]
    endpoints: dict[str, dict[str, Any]] = {}
    for wish in networks or ["default"]:
        name, endpoint = (wish, {}) if isinstance(wish, str) else wish
        if name in endpoints:
            raise CommandError(f'network "{name}" is specified multiple times')
        endpoints[name] = endpoint
    first = next(iter(endpoints))
    host["NetworkMode"] = first
    _check_networks(options, endpoints, aliases)
    if aliases:
        endpoints[first].setdefault("Aliases", []).extend(aliases)
    if host.get("Links") and _is_defined(first):
        endpoints[first]["Links"] = host.pop("Links")
    for flag, member in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if options[flag]:
            endpoints[first].setdefault("IPAMConfig", {})[member] = options[flag]
    if options["link-local-ip"]:
        endpoints[first].setdefault("IPAMConfig", {})["LinkLocalIPs"] = options["link-local-ip"]
    if options["mac-address"]:
        endpoints[first]["MacAddress"] = _mac(options["mac-address"])
    for name, endpoint in endpoints.items():
        if endpoint.get("Aliases") and not _is_defined(name):
            raise CommandError("network-scoped aliases are only supported for user-defined networks")
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
