# SPDX-License-Identifier: Apache-2.0
"""What a container is told to be: docker's ``Config`` and ``HostConfig`` as the OCI runtime's ``config.json``. Pure.

Everything that needs a look at the host or into the root (user ids, devices, paths of volumes, the network
namespace) has been found out before and comes in as a :class:`Place`.

Source: OCI runtime-spec v1.1, config.md and config-linux.md; docker's defaults.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from scow.runtime.users import Identity

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM = 64 << 20
_CPU_PERIOD = 100_000
# null, zero, full, tty, random, urandom, ptmx: numbers from the kernel's devices.txt.
_STANDARD_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})


class Place(NamedTuple):
    """What was found out about the host and the root for one container.

    Args:
        rootfs: Absolute path of the mounted root.
        hostname: Name of the machine inside; ``""`` leaves the host's (``--uts host``).
        identity: The numbers behind ``Config.User``.
        mounts: Binds and file systems of this container, as runtime-spec mounts, to follow the standard ones.
        network: ``none`` (a namespace of its own), ``host``, or a path of a namespace to join.
        cgroup: Absolute cgroup path, ``/scow/<id>``; ``""`` where none can be made.
        pid, ipc, uts: Namespace paths to join, ``host``, or ``""`` for one of its own.
        unified: Whether the host has cgroup v2 only.
        capabilities: Names, resolved.
        seccomp: The filter, or ``None`` for none.
        devices: ``linux.devices`` entries beside the standard ones.
        device_rules: ``linux.resources.devices`` entries that allow those.
        args: Command line, resolved from entrypoint and command (``--init`` already put before).
        init_mount: Host path of the init program, or ``""``.
        nofile: Open files a process may have, 0 to leave the runtime's own limit.
        ids: How many group ids there are in the user namespace around it; 0 on the host itself.
        borrowed: Which of ``/proc`` and ``/sys`` cannot be mounted anew in that namespace.
    """

    rootfs: str
    hostname: str
    identity: Identity
    args: tuple[str, ...]
    mounts: tuple[dict[str, Any], ...] = ()
    network: str = "none"
    cgroup: str = ""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    unified: bool = False
    capabilities: tuple[str, ...] = ()
    seccomp: dict[str, Any] | None = None
    devices: tuple[dict[str, Any], ...] = ()
    device_rules: tuple[dict[str, Any], ...] = ()
    init_mount: str = ""
    nofile: int = 0
    ids: int = 0
    borrowed: frozenset[str] = frozenset()


def make_spec(config: Mapping[str, Any], host: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Write down one container for the OCI runtime.

    Args:
        config: Docker's ``Config``: Env, WorkingDir, Tty ...
        host: Docker's ``HostConfig``: Memory, CapAdd, Privileged, ReadonlyRootfs ...
        place: What was found out beforehand.

    Returns:
        The content of ``config.json``.
    """
    privileged = bool(host.get("Privileged"))
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(config, host, place),
        "root": {"path": place.rootfs, "readonly": bool(host.get("ReadonlyRootfs"))},
        "mounts": _mounts(host, place),
        "linux": {
            "cgroupsPath": place.cgroup,
            "resources": resources(host, place.device_rules),
            "namespaces": _namespaces(place),
            "sysctl": _sysctls(host, place),
        },
    }
    if place.hostname:
        spec["hostname"] = place.hostname
    linux = spec["linux"]
    if config.get("Domainname") and not place.uts:
        linux["sysctl"].setdefault("kernel.domainname", config["Domainname"])
    if not privileged:
        linux["maskedPaths"] = list(_paths(host.get("MaskedPaths"), MASKED_PATHS))
        linux["readonlyPaths"] = list(_paths(host.get("ReadonlyPaths"), READONLY_PATHS))
        if place.seccomp is not None:
            linux["seccomp"] = place.seccomp
    if place.devices:
        linux["devices"] = list(place.devices)
    propagation = _root_propagation(place.mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    if place.ids:
        from scow.runtime.confined import confine

        confine(spec, place.ids, place.borrowed)
    return spec


def make_process(
    args: Iterable[str],
    *,
    env: Iterable[str],
    cwd: str,
    identity: Identity,
    capabilities: tuple[str, ...],
    terminal: bool,
    no_new_privileges: bool = False,
    rlimits: Iterable[Mapping[str, Any]] = (),
    nofile: int = 0,
) -> dict[str, Any]:
    """Write down one process: the container's own, or one that ``exec`` adds.

    Args:
        args: Command line.
        env: ``NAME=value``; HOME is added when absent.
        cwd: Absolute path.
        identity: Who runs it.
        capabilities: Names; a process of another user than root gets them as bounding set only.
        terminal: Whether it gets a pseudo-terminal.
        no_new_privileges: Whether set-user-ID programs lose their power.
        rlimits: Docker's ``Ulimits``: Name, Soft, Hard.
        nofile: Open files when ``rlimits`` does not say, 0 for the runtime's own limit.
    """
    environment = list(env)
    if not any(entry.startswith("HOME=") for entry in environment):
        environment.append(f"HOME={identity.home}")
    # Source: CVE-2022-36109: a primary group that is no supplementary one could be dropped by set-group-ID programs.
    groups = list(dict.fromkeys((identity.gid, *identity.groups)))
    user: dict[str, Any] = {"uid": identity.uid, "gid": identity.gid, "additionalGids": groups}
    names = list(capabilities)
    # As docker: a user other than root holds nothing by itself, but may gain through set-user-ID programs.
    held = names if identity.uid == 0 else []
    limits = {"nofile": (nofile, nofile)} if nofile else {}
    for limit in rlimits:
        limits[str(limit["Name"])] = (int(limit["Soft"]), int(limit["Hard"]))
    return {
        "terminal": terminal,
        "user": user,
        "args": list(args),
        "env": environment,
        "cwd": cwd or "/",
        "capabilities": {"bounding": names, "effective": held, "permitted": held, "inheritable": []},
        "rlimits": [
            {"type": f"RLIMIT_{name.upper()}", "soft": _unsigned(soft), "hard": _unsigned(hard)}
            for name, (soft, hard) in limits.items()
        ],
        "noNewPrivileges": no_new_privileges,
    }


def environment(config: Mapping[str, Any], hostname: str) -> list[str]:
    """The environment of a container's processes, in docker's order.

    Args:
        config: Docker's ``Config``; an entry without ``=`` takes the variable away.
        hostname: Value of HOSTNAME.
    """
    values: dict[str, str] = {"PATH": PATH}
    if hostname:
        values["HOSTNAME"] = hostname
    if config.get("Tty"):
        values["TERM"] = "xterm"
    for entry in config.get("Env") or ():
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    return [f"{name}={value}" for name, value in values.items()]


def no_new_privileges(host: Mapping[str, Any]) -> bool:
    """Whether docker's ``HostConfig`` takes the power of set-user-ID programs away."""
    options = [option.replace(":", "=") for option in host.get("SecurityOpt") or ()]
    return "no-new-privileges" in options or "no-new-privileges=true" in options


def _process(config: Mapping[str, Any], host: Mapping[str, Any], place: Place) -> dict[str, Any]:
    process = make_process(
        place.args,
        env=environment(config, place.hostname),
        cwd=config.get("WorkingDir") or "/",
        identity=place.identity,
        capabilities=place.capabilities,
        terminal=bool(config.get("Tty")),
        no_new_privileges=no_new_privileges(host),
        rlimits=host.get("Ulimits") or (),
        nofile=place.nofile,
    )
    if host.get("OomScoreAdj"):
        process["oomScoreAdj"] = host["OomScoreAdj"]
    size = host.get("ConsoleSize") or (0, 0)
    if process["terminal"] and size[0] and size[1]:
        process["consoleSize"] = {"height": size[0], "width": size[1]}
    return process


def _mounts(host: Mapping[str, Any], place: Place) -> list[dict[str, Any]]:
    """The standard file systems, then the container's own; one of its own at a standard place wins."""
    writable = bool(host.get("Privileged"))
    safe = ["nosuid", "noexec", "nodev"]
    access = "rw" if writable else "ro"
    shm = host.get("ShmSize") or DEFAULT_SHM
    standard = [
        _mount("/proc", "proc", "proc", safe),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", "sysfs", [*safe, access]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [access, *safe, "relatime"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
    ]
    if place.ipc == "host":
        standard.append(_mount("/dev/shm", "bind", "/dev/shm", ["rbind", *safe]))
    elif not place.ipc and host.get("IpcMode") != "none":
        standard.append(_mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", f"size={shm}"]))
    own = {mount["destination"] for mount in place.mounts}
    out = [mount for mount in standard if mount["destination"] not in own]
    # A mount below another one has to come after it.
    out.extend(sorted(place.mounts, key=lambda mount: mount["destination"].count("/")))
    if place.init_mount:
        out.append(_mount("/sbin/docker-init", "bind", place.init_mount, ["bind", "ro"]))
    return out


def _namespaces(place: Place) -> list[dict[str, str]]:
    spaces: list[dict[str, str]] = [{"type": "mount"}]
    for kind, where in (("pid", place.pid), ("ipc", place.ipc), ("uts", place.uts)):
        if where == "host":
            continue
        spaces.append({"type": kind, "path": where} if where else {"type": kind})
    if place.network == "none":
        spaces.append({"type": "network"})
    elif place.network != "host":
        spaces.append({"type": "network", "path": place.network})
    if place.unified:
        spaces.append({"type": "cgroup"})
    return spaces


def _sysctls(host: Mapping[str, Any], place: Place) -> dict[str, str]:
    values: dict[str, str] = {}
    if place.network != "host":
        # Nothing below 1024 is special inside a network of one's own.
        values = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    values.update(host.get("Sysctls") or {})
    return values


def resources(host: Mapping[str, Any], device_rules: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """Limits in runtime-spec form.

    Args:
        host: Docker's ``HostConfig``.
        device_rules: Devices to allow beside the standard ones.
    """
    get = host.get
    denied: dict[str, Any] = {"allow": bool(get("Privileged")), "access": "rwm"}
    rules = list(device_rules)
    # The runtime allows these by itself, but a rule of the user's for one of them would take its place.
    standard = [_allowed(major, minor) for major, minor in _STANDARD_DEVICES] if rules else []
    out: dict[str, Any] = {"devices": [denied, *standard, *rules]}
    memory = _present(
        limit=get("Memory"),
        swap=get("MemorySwap"),
        reservation=get("MemoryReservation"),
    )
    if get("MemorySwappiness") not in (None, -1):
        memory["swappiness"] = get("MemorySwappiness")
    if get("OomKillDisable"):
        memory["disableOOMKiller"] = True
    if get("Memory") and not get("MemorySwap"):
        memory["swap"] = 2 * get("Memory", 0)
    if memory:
        out["memory"] = memory
    cpu = _present(
        shares=get("CpuShares"),
        period=get("CpuPeriod"),
        quota=get("CpuQuota"),
        realtimeRuntime=get("CpuRealtimeRuntime"),
        realtimePeriod=get("CpuRealtimePeriod"),
        cpus=get("CpusetCpus"),
        mems=get("CpusetMems"),
    )
    if get("NanoCpus"):
        cpu["period"] = _CPU_PERIOD
        cpu["quota"] = get("NanoCpus", 0) * _CPU_PERIOD // 10**9
    if cpu:
        out["cpu"] = cpu
    pids = get("PidsLimit")
    if pids:
        out["pids"] = {"limit": pids}
    if get("BlkioWeight"):
        out["blockIO"] = {"weight": get("BlkioWeight")}
    return out


def _allowed(major: int, minor: int) -> dict[str, Any]:
    return {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def bind(destination: str, source: str, *, readonly: bool = False, propagation: str = "rprivate") -> dict[str, Any]:
    """A bind mount in runtime-spec form.

    Args:
        destination: Absolute path inside.
        source: Absolute path on the host.
        readonly: Whether writing is refused.
        propagation: One of :data:`PROPAGATIONS`.
    """
    return _mount(destination, "bind", source, ["rbind", "ro" if readonly else "rw", propagation])


def tmpfs(destination: str, options: Iterable[str] = ()) -> dict[str, Any]:
    """A memory file system in runtime-spec form; docker's ``noexec,nosuid,nodev`` unless said otherwise.

    Args:
        destination: Absolute path inside.
        options: Such as ``size=1m``, ``exec``, ``mode=700``.
    """
    given = [option for option in options if option]
    defaults = [
        option
        for option, contrary in (("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev"))
        if contrary not in given and option not in given
    ]
    return _mount(destination, "tmpfs", "tmpfs", [*defaults, *given])


def _root_propagation(mounts: Iterable[Mapping[str, Any]]) -> str:
    """A mount that shares or follows needs a root that does so too."""
    wanted = {option for mount in mounts for option in mount["options"]} & PROPAGATIONS
    if wanted & {"shared", "rshared"}:
        return "shared"
    return "rslave" if wanted & {"slave", "rslave"} else ""


def _paths(given: Any, default: tuple[str, ...]) -> Iterable[str]:
    return default if given is None else given


def _unsigned(value: int) -> int:
    """-1 means no limit, which the specification writes as the largest number."""
    return value if value >= 0 else (1 << 64) - 1
