# SPDX-License-Identifier: Apache-2.0
"""One container as docker's ``container inspect`` document.

Source: Engine API v1.50, ``ContainerInspect``; the zero values docker 28.2.2 shows.
"""

from __future__ import annotations

from scow.base.clock import ZERO, rfc3339
from scow.errors import NotFoundError
from scow.runtime.spec import DEFAULT_SHM, MASKED_PATHS, READONLY_PATHS
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_CONFIG_ORDER = (
    "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd"
    " Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal"
    " StopTimeout Shell"
)


def inspect(service: Containers, container: Container, *, size: bool = False) -> dict[str, Any]:
    """Tell everything about a container.

    Args:
        service: The room.
        container: The container.
        size: Whether to count its files (``--size``).

    Returns:
        Docker's document.
    """
    directory = service.directory(container.id)
    whole = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
    document: dict[str, Any] = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": whole[0] if whole else "",
        "Args": whole[1:],
        "State": state(container),
        "Image": container.image,
        "ResolvConfPath": f"{directory}/resolv.conf" if container.started else "",
        "HostnamePath": f"{directory}/hostname" if container.started else "",
        "HostsPath": f"{directory}/hosts" if container.started else "",
        "LogPath": f"{directory}/log",
        "Name": f"/{container.name}",
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": host_config(container),
        "GraphDriver": {"Data": {"UpperDir": _upper(service, container)}, "Name": "overlay2"},
    }
    if size:
        from scow.containers.sizes import sizes

        document["SizeRw"], document["SizeRootFs"] = sizes(service, container)
    if container.host.get("Links"):
        document["HostConfig"]["Links"] = [_link(service, container, text) for text in container.host["Links"]]
    document["Mounts"] = [_mount(mount) for mount in container.mounts if mount["Type"] != "tmpfs" or "Named" in mount]
    document["Config"] = config(container)
    document["NetworkSettings"] = network_settings(container)
    return document


def _upper(service: Containers, container: Container) -> str:
    try:
        return service.snapshots.upper(container.id)
    except Exception:
        return ""


def _link(service: Containers, container: Container, text: str) -> str:
    """One link as docker tells it: ``/other:/container/alias``."""
    name, _, alias = text.partition(":")
    try:
        other = service.store.find(name).name
    except NotFoundError:
        other = name  # gone by now
    return f"/{other}:/{container.name}/{alias or name}"


def _mount(mount: dict[str, Any]) -> dict[str, Any]:
    names = ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
    return {name: mount[name] for name in names if name in mount}


def state(container: Container) -> dict[str, Any]:
    """Docker's ``State``."""
    document: dict[str, Any] = {
        "Status": container.status,
        "Running": container.status in {"running", "paused", "restarting"},
        "Paused": container.status == "paused",
        "Restarting": container.status == "restarting",
        "OOMKilled": bool(container.oom),
        "Dead": container.status == "dead",
        "Pid": container.pid if container.is_alive else 0,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": rfc3339(container.started) if container.started else ZERO,
        "FinishedAt": rfc3339(container.finished) if container.finished else ZERO,
    }
    if container.health:
        document["Health"] = container.health
    return document


def config(container: Container) -> dict[str, Any]:
    """Docker's ``Config``, absent members as docker shows them."""
    from scow.images.inspect import unset_config

    given = container.config
    defaults = unset_config() | {"Image": container.image_name, "Labels": {}}
    found = {name: given.get(name, defaults.get(name)) for name in _CONFIG_ORDER.split() if name in {*given, *defaults}}
    if not found.get("ExposedPorts"):
        found.pop("ExposedPorts", None)
    return found


def host_config(container: Container) -> dict[str, Any]:
    """Docker's ``HostConfig``, every member."""
    given = container.host
    document: dict[str, Any] = {
        "Binds": None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "default",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [0, 0],
        "CapAdd": None,
        "CapDrop": None,
        "CgroupnsMode": "host",
        "Dns": [],
        "DnsOptions": [],
        "DnsSearch": [],
        "ExtraHosts": None,
        "GroupAdd": None,
        "IpcMode": "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": 0,
        "PidMode": "",
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        "SecurityOpt": None,
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": DEFAULT_SHM,
        "Runtime": "runc",
        "Isolation": "",
        "CpuShares": 0,
        "Memory": 0,
        "NanoCpus": 0,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": "",
        "CpusetMems": "",
        "Devices": [],
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": 0,
        "MemorySwap": 0,
        "MemorySwappiness": None,
        "OomKillDisable": False,
        "PidsLimit": None,
        "Ulimits": [],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": None if given.get("Privileged") else list(MASKED_PATHS),
        "ReadonlyPaths": None if given.get("Privileged") else list(READONLY_PATHS),
    }
    document.update({name: value for name, value in given.items() if value is not None})
    for name in ("CapAdd", "CapDrop"):
        if document[name]:
            document[name] = [_capability(text) for text in document[name]]
    if document["Memory"] and not document["MemorySwap"]:
        document["MemorySwap"] = 2 * document["Memory"]
    return document


def _capability(text: str) -> str:
    name = text.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


_NOWHERE = {"MacAddress": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0}


def network_settings(container: Container) -> dict[str, Any]:
    """Docker's ``NetworkSettings``."""
    known: dict[str, Any] | None = container.network.get("Networks")
    networks = known or {}
    if known is None:
        mode = container.host.get("NetworkMode") or "default"
        name = "bridge" if mode == "default" else mode
        if not name.startswith("container:"):
            networks = {name: container.network.get("Endpoints", {}).get(mode) or {}}
    if not container.is_alive:
        networks = {name: {**value, **_NOWHERE} for name, value in networks.items()}
    networks = {name: endpoint(value) for name, value in networks.items()}
    bridge = networks.get("bridge") or endpoint({})
    return {
        "Bridge": "",
        "SandboxID": container.id if container.is_alive else "",
        "SandboxKey": f"/proc/{container.pid}/ns/net" if container.is_alive else "",
        "Ports": ports(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge["EndpointID"],
        "Gateway": bridge["Gateway"],
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": bridge["IPAddress"],
        "IPPrefixLen": bridge["IPPrefixLen"],
        "IPv6Gateway": "",
        "MacAddress": bridge["MacAddress"],
        "Networks": networks,
    }


def endpoint(given: dict[str, Any]) -> dict[str, Any]:
    """One network of a container, every member."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
        **given,
    }


def ports(container: Container) -> dict[str, Any]:
    """Ports a running container has open: container port -> where on the host, ``None`` when only exposed."""
    if not container.is_alive:
        return {}
    found: dict[str, Any] = dict.fromkeys(container.config.get("ExposedPorts") or {})
    found.update(container.network.get("Ports") or {})
    return found
