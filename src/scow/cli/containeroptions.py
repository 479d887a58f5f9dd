# SPDX-License-Identifier: Apache-2.0
"""The rarer flags of ``run`` and ``create``: ports, mounts, health checks, limits, devices, networks.

Source: docker 28.2.2's grammar and messages.
"""

from __future__ import annotations

import os

from scow.cli.flags import CommandError
from scow.cli.values import read_bytes, split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed

_LIMITS = frozenset(
    {
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
        "rttime", "sigpending", "stack",
    }
)  # fmt: skip
_DRIVERS = frozenset({"json-file", "local", "none", "k8s-file", "journald"})


def apply_rare(options: Parsed, body: dict[str, Any], host: dict[str, Any], networks: list[str]) -> None:
    """Read the rarer flags into a create request.

    Raises:
        CommandError: A value is malformed.
    """
    if options.tmpfs:
        host["Tmpfs"] = {path: rest for path, _, rest in (text.partition(":") for text in options.tmpfs)}
    if options.mount:
        host["Mounts"] = [read_mount(text) for text in options.mount]
    if options.publish or options.expose:
        _ports(options, body, host)
    if options.changed("restart"):
        host["RestartPolicy"] = read_restart(options.restart)
    if options.ulimit:
        host["Ulimits"] = [read_ulimit(text) for text in options.ulimit]
    if options.device:
        host["Devices"] = [read_device(text) for text in options.device]
    if options["security-opt"]:
        host["SecurityOpt"] = [_security(text) for text in options["security-opt"]]
    if options["storage-opt"]:
        host["StorageOpt"] = dict(text.partition("=")[::2] for text in options["storage-opt"])
    _logging(options, host)
    _health(options, body)
    _labels(options, body)
    _networks(options, body, host, networks)


def _security(text: str) -> str:
    """Read a seccomp profile now: the file may be gone when the container starts."""
    name, mark, value = text.partition("=") if "=" in text else text.partition(":")
    if not mark and name != "no-new-privileges":
        raise CommandError(f'invalid --security-opt: "{text}"')
    if name == "seccomp" and value not in {"unconfined", "builtin"}:
        try:
            with open(value, encoding="utf-8") as file:
                return f"seccomp={file.read()}"
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise CommandError(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from None
    return text


def _labels(options: Parsed, body: dict[str, Any]) -> None:
    if options["label-file"]:
        from scow.cli.containerrequest import labels, read_lines

        found = labels([line for path in options["label-file"] for line in read_lines(path)])
        body["Labels"] = {**found, **body["Labels"]}


def _logging(options: Parsed, host: dict[str, Any]) -> None:
    driver, settings = options["log-driver"], options["log-opt"]
    if not driver and not settings:
        return
    if driver and driver not in _DRIVERS:
        raise CommandError(f"logger: no log driver named '{driver}' is registered")
    for text in settings:
        if "=" not in text:
            raise CommandError(f"invalid logging opts format: {text}")
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
    if colon and not count.isdigit():
        raise CommandError("invalid restart policy format: maximum retry count must be an integer")
    if colon and name != "on-failure":
        raise CommandError("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    return {"Name": name, "MaximumRetryCount": int(count) if colon else 0}


def read_ulimit(text: str) -> dict[str, Any]:
    """Read ``--ulimit name=soft[:hard]``.

    Raises:
        CommandError: Malformed.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandError(f"invalid ulimit argument: {text}")
    if name not in _LIMITS:
        raise CommandError(f"invalid ulimit type: {name}")
    soft, colon, hard = value.partition(":")
    try:
        low, high = int(soft), int(hard if colon else soft)
    except ValueError:
        raise CommandError(f"invalid ulimit value {value!r}") from None
    if high != -1 and (low > high or low == -1):
        raise CommandError(f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return {"Name": name, "Hard": high, "Soft": low}


def read_device(text: str) -> dict[str, str]:
    """Read ``--device host[:container[:permissions]]``.

    Raises:
        CommandError: Malformed.
    """
    parts = text.split(":")
    access = "rwm"
    if len(parts) > 3:
        raise CommandError(f"invalid device specification: {text}")
    target = parts[0]
    if len(parts) > 1:
        if set(parts[1]) <= set("rwm") and parts[1] and len(parts) == 2:
            access = parts[1]
        elif parts[1]:
            target = parts[1]
    if len(parts) == 3:
        access = parts[2]
        if not access or not set(access) <= set("rwm"):
            raise CommandError(f"bad mode specified: {access}")
    return {"PathOnHost": parts[0], "PathInContainer": target, "CgroupPermissions": access}


def read_mount(text: str) -> dict[str, Any]:
    """Read ``--mount type=...,source=...,target=...``.

    Raises:
        CommandError: A key is unknown or a value malformed.
    """
    mount: dict[str, Any] = {"Type": "volume"}
    fault = f'invalid argument "{text}" for "--mount" flag: '
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        name = key.strip().lower()
        if not equals and name not in {"readonly", "ro", "volume-nocopy", "bind-nonrecursive"}:
            raise CommandError(f"{fault}invalid field '{field}' must be a key=value pair")
        if not _mount_field(mount, name, value, flag=not equals, fault=fault):
            raise CommandError(f"{fault}unexpected key '{name}' in '{field}'")
    if not mount.get("Target"):
        raise CommandError(f"{fault}target is required")
    for kind, member in (("volume", "VolumeOptions"), ("bind", "BindOptions"), ("tmpfs", "TmpfsOptions")):
        if member in mount and mount["Type"] != kind:
            raise CommandError(f"{fault}cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    return mount


def _mount_field(mount: dict[str, Any], name: str, value: str, *, flag: bool, fault: str) -> bool:
    """Enter one ``key=value`` of ``--mount``; false when the key is unknown."""
    if name == "type":
        mount["Type"] = value.lower()
    elif name in {"source", "src"}:
        mount["Source"] = os.path.abspath(value) if value == "." or value.startswith((".", "..")) else value
    elif name in {"target", "dst", "destination"}:
        mount["Target"] = value
    elif name in {"readonly", "ro"}:
        mount["ReadOnly"] = flag or _bool(name, value, fault)
    elif name == "consistency":
        mount["Consistency"] = value.lower()
    elif name == "bind-propagation":
        mount.setdefault("BindOptions", {})["Propagation"] = value.lower()
    elif name == "bind-create-mountpoint":
        mount.setdefault("BindOptions", {})["CreateMountpoint"] = _bool(name, value, fault)
    elif name in {"bind-nonrecursive", "bind-recursive"}:
        mount.setdefault("BindOptions", {})["NonRecursive"] = (
            flag or value == "disabled" or (name == "bind-nonrecursive" and _bool(name, value, fault))
        )
    elif name == "volume-nocopy":
        mount.setdefault("VolumeOptions", {})["NoCopy"] = flag or _bool(name, value, fault)
    elif name == "volume-subpath":
        mount.setdefault("VolumeOptions", {})["Subpath"] = value
    elif name == "volume-label":
        key, _, label = value.partition("=")
        mount.setdefault("VolumeOptions", {}).setdefault("Labels", {})[key] = label
    elif name in {"volume-driver", "volume-opt"}:
        mount.setdefault("VolumeOptions", {}).setdefault("Driver", []).append(value)
    elif name == "tmpfs-size":
        try:
            mount.setdefault("TmpfsOptions", {})["SizeBytes"] = read_bytes(value)
        except ValueError:
            raise CommandError(f"{fault}invalid value for {name}: {value}") from None
    elif name == "tmpfs-mode":
        try:
            mount.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
        except ValueError:
            raise CommandError(f"{fault}invalid value for {name}: {value}") from None
    else:
        return False
    return True


def _bool(name: str, value: str, fault: str) -> bool:
    if value in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if value in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise CommandError(f"{fault}invalid value for {name}: {value}")


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


def _networks(options: Parsed, body: dict[str, Any], host: dict[str, Any], networks: list[str]) -> None:
    """Networks with their settings; the first one is the container's mode."""
    aliases = [*options["network-alias"], *options["net-alias"]]
    endpoints: dict[str, dict[str, Any]] = {}
    for text in networks or ["default"]:
        endpoint: dict[str, Any] = {}
        name = text
        if "=" in text:
            name = ""
            for field in split_csv(text):
                key, _, value = field.partition("=")
                if key == "name":
                    name = value
                elif key == "alias":
                    endpoint.setdefault("Aliases", []).append(value)
                elif key == "ip":
                    endpoint.setdefault("IPAMConfig", {})["IPv4Address"] = value
                elif key == "ip6":
                    endpoint.setdefault("IPAMConfig", {})["IPv6Address"] = value
                elif key == "mac-address":
                    endpoint["MacAddress"] = value
                else:
                    raise CommandError(f"invalid field key {key}")
            if not name:
                raise CommandError("network name is required")
        endpoints[name] = endpoint
    first = next(iter(endpoints))
    host["NetworkMode"] = first
    if aliases:
        endpoints[first].setdefault("Aliases", []).extend(aliases)
    for flag, member in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if options[flag]:
            endpoints[first].setdefault("IPAMConfig", {})[member] = options[flag]
    if options["mac-address"]:
        endpoints[first]["MacAddress"] = options["mac-address"]
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
