# SPDX-License-Identifier: Apache-2.0
"""Values of the container flags that docker checks while it reads the command line. Pure.

Each reader takes the text of one use of a flag and returns what is kept of it; the ``ValueError`` it raises becomes
``invalid argument "v" for "--flag" flag: MESSAGE``. Loaded only when a command line uses such a flag.

Source: docker 28.2.2's grammar and messages.
"""

from __future__ import annotations

import os
import re

from scow.cli.flags import FALSE, TRUE
from scow.cli.values import quote, read_bytes, split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIMITS = frozenset(
    {
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
        "rttime", "sigpending", "stack",
    }
)  # fmt: skip
_SYSCTLS = frozenset(
    {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced",
    }
)  # fmt: skip
_DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_DOMAIN = re.compile(r"(:?(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9]))(:?\.|$))+")
_RECURSIONS = ("enabled", "disabled", "writable", "readonly")


def label(text: str) -> str:
    """Check one ``--label``."""
    name = text.partition("=")[0].lstrip(" \t")
    if not name:
        raise ValueError(f"invalid label '{text}': empty name")
    if " " in name or "\t" in name:
        raise ValueError(f"label '{name}' contains whitespaces")
    return text


def network(text: str) -> tuple[str, dict[str, Any]]:
    """Read one ``--network name=...,alias=...``; returns the name and the settings of its endpoint."""
    name = ""
    endpoint: dict[str, Any] = {}
    addresses: dict[str, Any] = {}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals:
            raise ValueError(f"invalid field {field}")
        if key == "name":
            name = value
        elif key == "alias":
            endpoint.setdefault("Aliases", []).append(value)
        elif key in {"ip", "ip6"}:
            addresses["IPv6Address" if key == "ip6" else "IPv4Address"] = value
        elif key == "link-local-ip":
            addresses.setdefault("LinkLocalIPs", []).append(value)
        elif key == "mac-address":
            endpoint["MacAddress"] = value
        elif key == "driver-opt":
            option, mark, setting = value.partition("=")
            if not mark:
                raise ValueError("invalid key value pair format in driver options")
            endpoint.setdefault("DriverOpts", {})[option] = setting
        elif key == "gw-priority":
            endpoint["GwPriority"] = _priority(value)
        else:
            raise ValueError(f"invalid field key {key}")
    if not name:
        raise ValueError("network name/id is not specified")
    if addresses:
        endpoint["IPAMConfig"] = addresses
    return name, endpoint


def _priority(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"invalid gw-priority ({text}): strconv.Atoi: parsing {quote(text)}: invalid syntax") from None


def gpus(text: str) -> int:
    """Read ``--gpus``; returns how many, -1 for all of them."""
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        if equals and key in {"driver", "device", "capabilities", "options"}:
            continue
        if equals and key != "count":
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        count = value if equals else field
        if count != "all" and not count.removeprefix("-").isdigit():
            raise ValueError(f'invalid count ({count}): value must be either "all" or an integer: invalid syntax')
        if count != "all":
            return int(count)
    return -1


def extra_host(text: str) -> str:
    """Check one ``--add-host name:address``; returns ``name:address``."""
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    if not name or not mark or (not address and "=" not in text):
        raise ValueError(f"bad format for add-host: {quote(text)}")
    if address != "host-gateway":
        if address[:1] == "[" and address[-1:] == "]":
            address = address[1:-1]
        if not _is_address(address):
            raise ValueError(f"invalid IP address in add-host: {quote(address)}")
    return f"{name}:{address}"


def address(text: str) -> str:
    """Check one ``--dns``."""
    if not _is_address(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def search_domain(text: str) -> str:
    """Check one ``--dns-search``."""
    found = text.strip(" ")
    if found == ".":
        return found
    if not re.search("[a-zA-Z]", found) or not _DOMAIN.fullmatch(found) or len(found) > 255:
        raise ValueError(f"{found} is not a valid domain")
    return found


def sysctl(text: str) -> str:
    """Check one ``--sysctl``: only what belongs to a container's own namespaces may be set."""
    name, equals, _ = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def device_rule(text: str) -> str:
    """Check one ``--device-cgroup-rule``."""
    if not _DEVICE_RULE.fullmatch(text):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def link(text: str) -> str:
    """Check one ``--link name[:alias]``."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def bytes_rate(text: str) -> dict[str, Any]:
    """Read one ``--device-read-bps path:rate``."""
    path, rate = _device_and(text)
    try:
        return {"Path": path, "Rate": read_bytes(rate)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a"
            " positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def operations_rate(text: str) -> dict[str, Any]:
    """Read one ``--device-read-iops path:rate``."""
    path, rate = _device_and(text)
    if not rate.isdigit():
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive"
            " integer"
        )
    return {"Path": path, "Rate": int(rate)}


def device_weight(text: str) -> dict[str, Any]:
    """Read one ``--blkio-weight-device path:weight``."""
    path, weight = _device_and(text)
    if not weight.isdigit() or (int(weight) and not 10 <= int(weight) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def _device_and(text: str) -> tuple[str, str]:
    path, colon, rest = text.partition(":")
    if not colon or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, rest


def ulimit(text: str) -> dict[str, Any]:
    """Read one ``--ulimit name=soft[:hard]``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _LIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = value.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`")
    low, high = _limit(parts[0]), _limit(parts[-1])
    if high != -1 and low == -1:
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {high}"
        )
    if high != -1 and low > high:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return {"Name": name, "Hard": high, "Soft": low}


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax") from None


def mount(text: str) -> dict[str, Any]:
    """Read one ``--mount type=...,source=...,target=...``."""
    if not text:
        raise ValueError("EOF")
    found: dict[str, Any] = {"Type": "volume"}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        name = key.lower()
        if not equals and name not in {"readonly", "ro", "volume-nocopy", "bind-nonrecursive"}:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if not _mount_field(found, name, value, flag=not equals):
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if not found["Type"]:
        raise ValueError("type is required")
    if not found.get("Target"):
        raise ValueError("target is required")
    for kind in ("volume", "bind", "tmpfs", "image"):
        if f"{kind.title()}Options" in found and found["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{found['Type']}'")
    bind = found.get("BindOptions") or {}
    if bind.get("ReadOnlyForceRecursive") and not found.get("ReadOnly"):
        raise ValueError("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive") and bind.get("Propagation") != "rprivate":
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )
    return found


def _mount_field(found: dict[str, Any], name: str, value: str, *, flag: bool) -> bool:
    """Enter one ``key=value`` of ``--mount``; false when the key is unknown."""
    if name == "type":
        found["Type"] = value.lower()
    elif name in {"source", "src"}:
        found["Source"] = os.path.abspath(value) if value == "." or value.startswith(("./", "../")) else value
    elif name in {"target", "dst", "destination"}:
        found["Target"] = value
    elif name in {"readonly", "ro"}:
        found["ReadOnly"] = flag or _bool(name, value)
    elif name == "consistency":
        found["Consistency"] = value.lower()
    elif name.startswith("bind-"):
        return _bind_field(found, name, value, flag=flag)
    elif name.startswith("volume-"):
        return _volume_field(found, name, value, flag=flag)
    elif name in {"tmpfs-size", "tmpfs-mode"}:
        _tmpfs_field(found.setdefault("TmpfsOptions", {}), name, value)
    elif name == "image-subpath":
        found.setdefault("ImageOptions", {})["Subpath"] = value
    else:
        return False
    return True


def _bind_field(found: dict[str, Any], name: str, value: str, *, flag: bool) -> bool:
    if name == "bind-propagation":
        found.setdefault("BindOptions", {})["Propagation"] = value.lower()
    elif name == "bind-nonrecursive":
        found.setdefault("BindOptions", {})["NonRecursive"] = flag or _bool(name, value)
    elif name == "bind-recursive":
        if value not in _RECURSIONS:
            raise ValueError(
                f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        member = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive"}
        if value in member:
            found.setdefault("BindOptions", {})[member[value]] = True
    else:
        return False
    return True


def _volume_field(found: dict[str, Any], name: str, value: str, *, flag: bool) -> bool:
    if name == "volume-nocopy":
        found.setdefault("VolumeOptions", {})["NoCopy"] = flag or _bool(name, value)
    elif name == "volume-subpath":
        found.setdefault("VolumeOptions", {})["Subpath"] = value
    elif name == "volume-label":
        key, _, text = value.partition("=")
        if key:
            found.setdefault("VolumeOptions", {}).setdefault("Labels", {})[key] = text
    elif name == "volume-driver":
        found.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})["Name"] = value
    elif name == "volume-opt":
        key, _, text = value.partition("=")
        config = found.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})
        config.setdefault("Options", {})[key] = text
    else:
        return False
    return True


def _tmpfs_field(options: dict[str, Any], name: str, value: str) -> None:
    try:
        if name == "tmpfs-size":
            options["SizeBytes"] = read_bytes(value)
        else:
            options["Mode"] = int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for {name}: {value}") from None


def _bool(name: str, value: str) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ValueError(f"invalid value for {name}: {value}")
