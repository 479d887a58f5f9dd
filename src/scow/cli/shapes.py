# SPDX-License-Identifier: Apache-2.0
"""The Go types behind docker's inspect documents: which fields exist though JSON leaves them out, and what they are.

A shape lists the fields of one struct in their declared order. Kinds: ``s`` string, ``i`` integer, ``b`` boolean,
``d`` duration, ``[]`` list of strings, ``m`` map of strings, ``m{}`` set, ``*i`` optional integer, ``*b`` optional
boolean, ``any``; or another shape, or ``("[]", shape)``, ``("m", shape)``, ``("m[]", shape)`` for a map of lists.

Source: docker/docker 28.2 api/types (field names and order of the Engine API v1.50 documents).
"""

from __future__ import annotations

from scow.cli.template.values import Duration, NilPointer, Struct, TypedList, TypedMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Kind: TypeAlias = "str | Shape | tuple[str, Shape]"


class Shape:
    """One struct type.

    Args:
        name: Its Go name.
        fields: Words ``Name:kind``, or ``Name`` alone for a string; ``Name=name`` when JSON has another name for it.
        nested: Fields that are structs, lists or maps of structs; a name that ``fields`` has too keeps its place.
        optional: Whether an absent one is a nil pointer.
        omit_empty: Whether JSON leaves out what is empty.
    """

    __slots__ = ("fields", "name", "omit_empty", "optional")

    def __init__(
        self,
        name: str,
        fields: str,
        nested: dict[str, Kind] | None = None,
        *,
        optional: bool = False,
        omit_empty: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        self.omit_empty = omit_empty
        self.fields: dict[str, tuple[str, Kind]] = {}
        for word in fields.split():
            names, _, kind = word.partition(":")
            field, _, in_json = names.partition("=")
            self.fields[field] = in_json or field, (nested or {}).get(field, kind or "s")


def typed(value: dict[str, Any], shape: Shape) -> Struct:
    """Give a JSON object its Go types; fields that JSON left out get their zero values, unknown ones are dropped."""
    rows, present = [], {}
    for field, (name, kind) in shape.fields.items():
        rows.append((field, _convert(value.get(name), kind)))
        if value.get(name) or (name in value and not shape.omit_empty):
            present[field] = name
    return Struct(rows, shape.name, present)


def _convert(value: Any, kind: Kind) -> Any:
    if isinstance(kind, Shape):
        if isinstance(value, dict):
            return typed(value, kind)
        return NilPointer("*" + kind.name) if kind.optional else typed({}, kind)
    if isinstance(kind, tuple):
        container, shape = kind
        if container == "[]":
            return TypedList([_convert(item, shape) for item in value or ()], shape.name, nil=value is None)
        if container == "m[]":
            rows = [(name, _convert(item, ("[]", shape))) for name, item in (value or {}).items()]
            return TypedMap(rows, f"[]{shape.name}", _convert(None, ("[]", shape)), nil=value is None)
        items = [(name, _convert(item, shape)) for name, item in (value or {}).items()]
        return TypedMap(items, shape.name, _convert(None, shape), nil=value is None)
    return _plain(value, kind)


def _plain(value: Any, kind: str) -> Any:
    if kind == "[]":
        return TypedList(value or (), "string", nil=value is None)
    if kind == "m":
        return TypedMap((value or {}).items(), "string", "", nil=value is None)
    if kind == "m{}":
        items = [(name, Struct((), "struct {}")) for name in value or {}]
        return TypedMap(items, "struct {}", Struct((), "struct {}"), nil=value is None)
    if kind == "d":
        return Duration(value or 0)
    if value is not None or kind == "any":
        return value
    return {"s": "", "i": 0, "b": False, "*i": NilPointer("*int64"), "*b": NilPointer("*bool")}[kind]


_HEALTHCHECK = Shape(
    "container.HealthConfig", "Test:[] Interval:d Timeout:d StartPeriod:d StartInterval:d Retries:i", optional=True
)
CONFIG = Shape(
    "container.Config",
    "Hostname Domainname User AttachStdin:b AttachStdout:b AttachStderr:b ExposedPorts:m{} Tty:b OpenStdin:b"
    " StdinOnce:b Env:[] Cmd:[] Healthcheck ArgsEscaped:b Image Volumes:m{} WorkingDir Entrypoint:[] NetworkDisabled:b"
    " MacAddress OnBuild:[] Labels:m StopSignal StopTimeout:*i Shell:[]",
    {"Healthcheck": _HEALTHCHECK},
)
_IMAGE_CONFIG = Shape(
    "v1.DockerOCIImageConfig",
    "User ExposedPorts:m{} Env:[] Entrypoint:[] Cmd:[] Volumes:m{} WorkingDir Labels:m StopSignal ArgsEscaped:b"
    " Healthcheck OnBuild:[] Shell:[]",
    {"Healthcheck": _HEALTHCHECK},
    omit_empty=True,
)
_GRAPH_DRIVER = Shape("storage.DriverData", "Data:m Name")
IMAGE = Shape(
    "image.InspectResponse",
    "ID=Id RepoTags:[] RepoDigests:[] Parent Comment Created Container DockerVersion Author Config Architecture Variant"
    " Os OsVersion Size:i VirtualSize:i GraphDriver RootFS Metadata Descriptor:any Manifests:any",
    {
        "Config": _IMAGE_CONFIG,
        "GraphDriver": _GRAPH_DRIVER,
        "RootFS": Shape("image.RootFS", "Type Layers:[]"),
        "Metadata": Shape("image.Metadata", "LastTagTime"),
    },
)
_HEALTH = Shape(
    "container.Health",
    "Status FailingStreak:i Log",
    {"Log": ("[]", Shape("*container.HealthcheckResult", "Start End ExitCode:i Output"))},
    optional=True,
)
_STATE = Shape(
    "container.State",
    "Status Running:b Paused:b Restarting:b OOMKilled:b Dead:b Pid:i ExitCode:i Error StartedAt FinishedAt Health",
    {"Health": _HEALTH},
)
_BINDING = Shape("nat.PortBinding", "HostIP=HostIp HostPort")
_DEVICE_RATE = Shape("*blkiodev.ThrottleDevice", "Path Rate:i")
HOST_CONFIG = Shape(
    "container.HostConfig",
    "Binds:[] ContainerIDFile LogConfig NetworkMode PortBindings:any RestartPolicy AutoRemove:b VolumeDriver"
    " VolumesFrom:[] ConsoleSize:any Annotations:m CapAdd:[] CapDrop:[] CgroupnsMode DNS=Dns:[]"
    " DNSOptions=DnsOptions:[] DNSSearch=DnsSearch:[] ExtraHosts:[] GroupAdd:[] IpcMode Cgroup Links:[]"
    " OomScoreAdj:i PidMode Privileged:b PublishAllPorts:b ReadonlyRootfs:b SecurityOpt:[] StorageOpt:m"
    " Tmpfs:m UTSMode UsernsMode ShmSize:i Sysctls:m Runtime Isolation CPUShares=CpuShares:i Memory:i"
    " NanoCPUs=NanoCpus:i CgroupParent BlkioWeight:i BlkioWeightDevice:any BlkioDeviceReadBps"
    " BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CPUPeriod=CpuPeriod:i CPUQuota=CpuQuota:i"
    " CPURealtimePeriod=CpuRealtimePeriod:i CPURealtimeRuntime=CpuRealtimeRuntime:i CpusetCpus CpusetMems"
    " Devices DeviceCgroupRules:[] DeviceRequests:any KernelMemory:i KernelMemoryTCP:i MemoryReservation:i"
    " MemorySwap:i MemorySwappiness:*i OomKillDisable:any PidsLimit:*i Ulimits CPUCount=CpuCount:i"
    " CPUPercent=CpuPercent:i IOMaximumIOps:i IOMaximumBandwidth:i Mounts MaskedPaths:[] ReadonlyPaths:[]"
    " Init:*b",
    {
        "LogConfig": Shape("container.LogConfig", "Type Config:m"),
        "RestartPolicy": Shape("container.RestartPolicy", "Name MaximumRetryCount:i"),
        "PortBindings": ("m[]", _BINDING),
        "BlkioDeviceReadBps": ("[]", _DEVICE_RATE),
        "BlkioDeviceWriteBps": ("[]", _DEVICE_RATE),
        "BlkioDeviceReadIOps": ("[]", _DEVICE_RATE),
        "BlkioDeviceWriteIOps": ("[]", _DEVICE_RATE),
        "Devices": ("[]", Shape("container.DeviceMapping", "PathOnHost PathInContainer CgroupPermissions")),
        "Ulimits": ("[]", Shape("*units.Ulimit", "Name Hard:i Soft:i")),
        "Mounts": (
            "[]",
            Shape(
                "mount.Mount",
                "Type Source Target ReadOnly:b Consistency BindOptions:any VolumeOptions:any ImageOptions:any"
                " TmpfsOptions:any ClusterOptions:any",
            ),
        ),
    },
)
_ENDPOINT = Shape(
    "*network.EndpointSettings",
    "IPAMConfig Links:[] Aliases:[] MacAddress DriverOpts:m GwPriority:i NetworkID EndpointID Gateway IPAddress"
    " IPPrefixLen:i IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen:i DNSNames:[]",
    {"IPAMConfig": Shape("network.EndpointIPAMConfig", "IPv4Address IPv6Address LinkLocalIPs:[]", optional=True)},
)
CONTAINER = Shape(
    "container.InspectResponse",
    "ID=Id Created Path Args:[] State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount:i Driver"
    " Platform MountLabel ProcessLabel AppArmorProfile ExecIDs:[] HostConfig GraphDriver SizeRw:*i SizeRootFs:*i Mounts"
    " Config NetworkSettings ImageManifestDescriptor:any",
    {
        "State": _STATE,
        "HostConfig": HOST_CONFIG,
        "GraphDriver": _GRAPH_DRIVER,
        "Config": CONFIG,
        "Mounts": (
            "[]",
            Shape("container.MountPoint", "Type Name Source Destination Driver Mode RW:b Propagation"),
        ),
        "NetworkSettings": Shape(
            "container.NetworkSettings",
            "Bridge SandboxID SandboxKey Ports HairpinMode:b LinkLocalIPv6Address LinkLocalIPv6PrefixLen:i"
            " SecondaryIPAddresses:any SecondaryIPv6Addresses:any EndpointID Gateway GlobalIPv6Address"
            " GlobalIPv6PrefixLen:i IPAddress IPPrefixLen:i IPv6Gateway MacAddress Networks",
            {"Networks": ("m", _ENDPOINT), "Ports": ("m[]", _BINDING)},
        ),
    },
)
NETWORK = Shape(
    "network.Inspect",
    "Name ID=Id Created Scope Driver EnableIPv4:b EnableIPv6:b IPAM Internal:b Attachable:b Ingress:b ConfigFrom"
    " ConfigOnly:b Containers Options:m Labels:m Peers:any Services:any",
    {
        "IPAM": Shape(
            "network.IPAM",
            "Driver Options:m Config",
            {"Config": ("[]", Shape("network.IPAMConfig", "Subnet IPRange Gateway AuxiliaryAddresses:m"))},
        ),
        "ConfigFrom": Shape("network.ConfigReference", "Network"),
        "Containers": (
            "m",
            Shape("network.EndpointResource", "Name EndpointID MacAddress IPv4Address IPv6Address"),
        ),
    },
)
VOLUME = Shape(
    "volume.Volume",
    "ClusterVolume CreatedAt Driver Labels:m Mountpoint Name Options:m Scope Status:m UsageData",
    {
        "ClusterVolume": Shape("volume.ClusterVolume", "", optional=True),
        "UsageData": Shape("volume.UsageData", "", optional=True),
    },
)
