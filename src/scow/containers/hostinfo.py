# SPDX-License-Identifier: Apache-2.0
"""What ``scow info`` tells: the store, the host, and what of it scow uses or misses, in docker's members.

Source: Docker Engine API v1.50, "SystemInfo"; scow's own members are ``Mode``, ``Snapshotter``, ``OCIRuntime``,
``Monitor`` and ``Missing``.
"""

from __future__ import annotations

import os

from scow.base.clock import now, rfc3339
from scow.containers import logoptions
from scow.errors import UnsupportedError
from scow.linux import cgroups
from scow.linux.features import PROGRAMS, probe
from scow.linux.standing import CHROOT, NOTHING, ROOT
from scow.runtime.network.usermode import TUN, TUN_REMEDY
from scow.runtime.oci import RUNTIMES
from scow.runtime.oci import find as find_runtime
from scow.snapshot.choose import describe
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.linux.features import Features
    from scow.linux.standing import Standing

_LIMITS = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit")
_NEEDED = ("runc", "conmon", "nft")


def info(
    service: Containers, environ: Mapping[str, str], snapshotter: str, version: str, standing: Standing
) -> dict[str, Any]:
    """Describe the store and the host.

    Args:
        service: The containers, and through them the images.
        environ: Where proxies are named.
        snapshotter: What the settings force, or ``""``.
        version: Of scow.
        standing: What this user may do here, and why.

    Returns:
        Docker's members and scow's own.
    """
    features = probe()
    states = [container.status for container in service.all()]
    choice = describe(service.root, snapshotter)
    runtimes = _runtimes()
    default = service.default_runtime or next(iter(runtimes), "")
    rootless = standing.mode != ROOT
    runs = standing.mode not in {CHROOT, NOTHING}
    missing = _missing(features, rootless=rootless) if runs else {}
    limits = runs and bool(cgroups.home())
    return {
        "ID": _store_id(service),
        "Containers": len(states),
        "ContainersRunning": sum(state in ("running", "restarting") for state in states),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": sum(state in ("created", "exited", "dead") for state in states),
        "Images": len(service.images),
        "Driver": choice.kind,
        "DriverStatus": [["Why", choice.reason], ["Backing Filesystem", _filesystem(service.root)]],
        **_of_docker(),
        **dict.fromkeys(_LIMITS, limits),
        "SystemTime": rfc3339(now()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs" if features.cgroups != "none" and limits else "none",
        "CgroupVersion": "2" if features.cgroups == "v2" else "1",
        "KernelVersion": features.kernel,
        **_system(),
        "OSType": "linux",
        "Architecture": features.machine,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}},
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "Mirrors": None,
        },
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "DockerRootDir": service.root,
        "HttpProxy": _proxy(environ, "HTTP_PROXY"),
        "HttpsProxy": _proxy(environ, "HTTPS_PROXY"),
        "NoProxy": environ.get("NO_PROXY") or environ.get("no_proxy") or "",
        "Name": os.uname().nodename,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": version,
        "Runtimes": {name: {"path": path} for name, path in runtimes.items()},
        "DefaultRuntime": default,
        "InitBinary": "",
        "SecurityOptions": [
            f"name={name}" + ",profile=builtin" * (name == "seccomp")
            for name in (*features.security, *(["rootless"] if rootless else []))
        ],
        "Rootless": rootless,
        "Mode": {"Name": standing.mode, "Reason": standing.reason, "More": standing.more},
        "Snapshotter": {"Kind": choice.kind, "Reason": choice.reason},
        "OCIRuntime": runtimes.get(default, ""),
        "Monitor": features.programs.get("conmon", ""),
        "Missing": missing,
        "Warnings": [
            *(f"{name} is not installed (Debian package: {package})" for name, package in missing.items()),
            *([] if limits or not runs else [f"Containers have no limits: {cgroups.WITHOUT}. {cgroups.remedy()}"]),
            *(_carrying() if rootless and runs and "pasta" not in missing else []),
        ]
        or None,
    }


def _of_docker() -> dict[str, Any]:
    """Members that scripts ask for and that are the same for every store."""
    return {
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": [*logoptions.DRIVERS],
        },
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "Debug": False,
        "Isolation": "",
        "LiveRestoreEnabled": True,  # there is no daemon whose end could end containers
    }


def _runtimes() -> dict[str, str]:
    """The runtimes that can work here, with their paths."""
    found: dict[str, str] = {}
    for name in RUNTIMES:
        try:
            found[name] = find_runtime(name)
        except UnsupportedError:
            continue
    return found


def _carrying() -> list[str]:
    """What keeps networks of the user's own from working."""
    if os.access(TUN, os.R_OK | os.W_OK):
        return []
    return [f"Networks other than host and none do not work: {TUN} cannot be opened. As root: {TUN_REMEDY}."]


def _missing(features: Features, *, rootless: bool) -> dict[str, str]:
    """The programs scow would use here and does not find, with the packages that have them."""
    wanted = [*_NEEDED, "newuidmap", "pasta"] if rootless else [*_NEEDED]
    found = features.programs
    alternatives = {"runc": "crun", "pasta": "slirp4netns"}
    return {name: PROGRAMS[name] for name in wanted if name not in found and alternatives.get(name, name) not in found}


def _store_id(service: Containers) -> str:
    """A lasting identity of the store: made of the place, since nothing else needs one."""
    from hashlib import sha256

    return sha256(f"{os.uname().nodename}:{service.root}".encode()).hexdigest()


def _system() -> dict[str, str]:
    values: dict[str, str] = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    name, _, value = line.strip().partition("=")
                    values.setdefault(name, value.strip("\"'"))
            break
        except OSError:
            continue
    return {"OperatingSystem": values.get("PRETTY_NAME", "Linux"), "OSVersion": values.get("VERSION_ID", "")}


def _filesystem(path: str) -> str:
    """The type of the file system that holds a path, from the longest mount point above it."""
    best, kind = "", ""
    path = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                point = left.split(" ")[4]
                if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                    best, kind = point, right.split(" ", 1)[0]
    except OSError:
        return ""
    return kind


def _proxy(environ: Mapping[str, str], name: str) -> str:
    """A proxy's address without its password."""
    text = environ.get(name) or environ.get(name.lower()) or ""
    scheme, mark, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    return f"{scheme}{mark}xxxxx:xxxxx@{host}{slash}{path}" if at and ":" in user else text
