# SPDX-License-Identifier: Apache-2.0
"""Limits of a container where its user has no control groups: they are left out, and that is said.

Docker does the same without root ("Limitation discarded"): an image or a compose file that asks for a limit still runs.
"""

from __future__ import annotations

from scow.errors import UnsupportedError
from scow.linux import cgroups
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_LIMITS = {
    "memory": ("Memory", "MemorySwap", "MemoryReservation", "KernelMemory", "OomKillDisable", "MemorySwappiness"),
    "cpu": ("CpuShares", "CpuPeriod", "CpuQuota", "CpuRealtimeRuntime", "CpuRealtimePeriod", "NanoCpus"),
    "cpuset": ("CpusetCpus", "CpusetMems"),
    "pids": ("PidsLimit",),
    "devices": ("DeviceCgroupRules",),
    "io": (
        "BlkioWeight",
        "BlkioWeightDevice",
        "BlkioDeviceReadBps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteIOps",
    ),
}


def discard(host: dict[str, Any]) -> list[str]:
    """Take limits that cannot be kept out of a container's wishes.

    Args:
        host: Docker's ``HostConfig``; changed in place where this process can make no control groups.

    Returns:
        A sentence for each kind of limit that was taken out.
    """
    asked = {kind: [name for name in names if _is_asked(host, name)] for kind, names in _LIMITS.items()}
    if not any(asked.values()):
        return []
    kept = cgroups.controllers()
    why = "no control group with it is delegated to this user" if cgroups.home() else cgroups.WITHOUT
    said = []
    for kind, names in asked.items():
        if names and kind not in kept:
            said.append(f"Limitation discarded ({kind}): {why}")
            for name in names:
                del host[name]
    return said


def _is_asked(host: Mapping[str, Any], name: str) -> bool:
    """Whether a limit is one: -1 means none."""
    value = host.get(name)
    return bool(value) and value != -1


def check_groups(service: Containers, container: Container, changes: Mapping[str, Any]) -> None:
    """Refuse to change limits that nothing keeps.

    Raises:
        UnsupportedError: There is no control group.
    """
    if any(changes.get(name) for names in _LIMITS.values() for name in names) and not can_freeze(service, container):
        raise UnsupportedError(
            f"the limits of {container.name} cannot be set: {cgroups.WITHOUT}", hint=cgroups.remedy()
        )


def check_freezer(service: Containers, container: Container) -> None:
    """Refuse to halt a container that is in no control group of its own.

    Raises:
        UnsupportedError: It cannot be halted.
    """
    if not can_freeze(service, container):
        raise UnsupportedError(f"container {container.name} cannot be paused: {cgroups.WITHOUT}", hint=cgroups.remedy())


def can_freeze(service: Containers, container: Container) -> bool:
    """Whether a running container can be halted."""
    return bool(service.cgroup_of(container))
