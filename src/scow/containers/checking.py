# SPDX-License-Identifier: Apache-2.0
"""What a container may ask for: limits in range, options that do not contradict each other.

Source: docker's behaviour and messages, observed with dockerd 20.10 and docker 28.2.2.
"""

from __future__ import annotations

import os

from scow.containers import logoptions
from scow.errors import ConflictError, InvalidArgumentError, NotFoundError
from scow.linux import capabilities, cgroups, cpusets
from scow.runtime.oci import RUNTIMES
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MIN_MEMORY = 6 << 20
_MILLISECOND = 1_000_000
_RESTART = ("", "no", "always", "unless-stopped", "on-failure")
_RUNTIMES = frozenset({"", *RUNTIMES, "io.containerd.runc.v2"})


def check(config: Mapping[str, Any], host: dict[str, Any]) -> list[str]:
    """Refuse wishes that cannot be fulfilled.

    Args:
        config: Docker's ``Config``.
        host: Docker's ``HostConfig``; what this kernel cannot do at all is taken out.

    Returns:
        What was taken out, and what deserves a warning, as sentences.

    Raises:
        InvalidArgumentError: A limit is out of range.
        ConflictError: Options exclude each other.
        NotFoundError: A log driver, runtime or device driver is not there.
    """
    warnings = _discard(host)
    check_memory(host)
    _processors(host)
    _network(config, host)
    _restart(host)
    logs = host.get("LogConfig") or {}
    logoptions.read(logs.get("Type") or "", logs.get("Config") or {})
    _capabilities(host)
    _others(config, host)
    return warnings


def _discard(host: dict[str, Any]) -> list[str]:
    warnings = []
    if host.pop("KernelMemory", None):
        warnings.append("Specifying a kernel memory limit is deprecated and has no effect.")
    if host.get("OomKillDisable") and not host.get("Memory"):
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system"
            " running out of resources."
        )
    for member, what in (("BlkioWeight", "weight"), ("BlkioWeightDevice", "weight_device")):
        if host.get(member) and not cgroups.weighs_io():
            del host[member]
            shown = what.replace("_", "-").capitalize()
            warnings.append(
                f"Your kernel does not support Block I/O {what} or the cgroup is not mounted. {shown} discarded."
            )
    if host.get("NetworkMode") == "host" and (host.get("PortBindings") or host.get("PublishAllPorts")):
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def check_memory(host: Mapping[str, Any]) -> None:
    """Refuse memory limits out of range or against each other.

    Args:
        host: Docker's ``HostConfig``.

    Raises:
        InvalidArgumentError: One is.
    """
    memory, swap, reserved = (host.get(name) or 0 for name in ("Memory", "MemorySwap", "MemoryReservation"))
    if memory and memory < _MIN_MEMORY:
        raise InvalidArgumentError("Minimum memory limit allowed is 6MB")
    if memory and swap > 0 and swap < memory:
        raise InvalidArgumentError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if swap > 0 and not memory:
        raise InvalidArgumentError("You should always set the Memory limit when using Memoryswap limit, see usage")
    if reserved and reserved < _MIN_MEMORY:
        raise InvalidArgumentError("Minimum memory reservation allowed is 6MB")
    if memory and reserved > memory:
        raise InvalidArgumentError("Minimum memory limit can not be less than memory reservation limit, see usage")
    score = host.get("OomScoreAdj") or 0
    if not -1000 <= score <= 1000:
        raise InvalidArgumentError(f"Invalid value {score}, range for oom score adj is [-1000, 1000]")


def _processors(host: Mapping[str, Any]) -> None:
    nano, quota, period = (host.get(name) or 0 for name in ("NanoCpus", "CpuQuota", "CpuPeriod"))
    if nano and period:
        raise ConflictError("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if nano and quota:
        raise ConflictError("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    number = os.cpu_count() or 1
    if nano < 0 or nano > number * 10**9:
        raise InvalidArgumentError(
            f"Range of CPUs is from 0.01 to {number:.2f}, as there are only {number} CPUs available"
        )
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidArgumentError(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < quota < 1000:
        raise InvalidArgumentError("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    cpusets.check(host.get("CpusetCpus") or "", host.get("CpusetMems") or "")
    weight = host.get("BlkioWeight") or 0
    if weight and not 10 <= weight <= 1000:
        raise InvalidArgumentError("Range of blkio weight is from 10 to 1000")


def _network(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    mode = host.get("NetworkMode") or "default"
    if host.get("UTSMode") == "host" and config.get("Hostname"):
        raise ConflictError("conflicting options: hostname and the UTS mode")
    if mode == "host" and host.get("Links"):
        raise ConflictError(
            "conflicting options: host type networking can't be used with links. This would result in"
            " undefined behavior"
        )
    if not mode.startswith("container:"):
        return
    if mode == "container:":
        raise InvalidArgumentError("Invalid network mode: invalid container format container:<name|id>")
    conflicts = (
        (config.get("Hostname"), "hostname and the network mode"),
        (host.get("Links"), "container type network can't be used with links. This would result in undefined behavior"),
        (host.get("Dns"), "dns and the network mode"),
        (host.get("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
        (
            host.get("PortBindings") or host.get("PublishAllPorts"),
            "port publishing and the container type network mode",
        ),
        (config.get("ExposedPorts"), "port exposing and the container type network mode"),
    )
    for given, what in conflicts:
        if given:
            raise ConflictError(f"conflicting options: {what}")


def _restart(host: Mapping[str, Any]) -> None:
    policy = host.get("RestartPolicy") or {}
    name, count = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
    if name not in _RESTART:
        raise InvalidArgumentError(f"invalid restart policy '{name}'")
    if count < 0:
        raise InvalidArgumentError("maximum retry count cannot be negative")
    if count and name != "on-failure":
        raise InvalidArgumentError(f"maximum retry count cannot be used with restart policy '{name}'")
    if host.get("AutoRemove") and name not in {"", "no"}:
        raise ConflictError("can't create 'AutoRemove' container with restart policy")


def _capabilities(host: Mapping[str, Any]) -> None:
    for member in ("CapAdd", "CapDrop"):
        for name in host.get(member) or ():
            if not capabilities.is_known(name):
                full = name.strip().upper().removeprefix("CAP_")
                raise InvalidArgumentError(f'invalid {member}: unknown capability: "CAP_{full}"')


def _others(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    from scow.containers.stopping import signal_number

    name = config.get("StopSignal")
    if name and (not name.isdigit() or not int(name)):
        signal_number(name)
    driver = host.get("VolumeDriver") or "local"
    if driver != "local":
        raise NotFoundError(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
    check = config.get("Healthcheck") or {}
    for member in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if 0 < (check.get(member) or 0) < _MILLISECOND:
            raise InvalidArgumentError(f"{member} in Healthcheck cannot be less than 1ms")
    mode = host.get("IpcMode") or ""
    if mode not in {"", "none", "host", "private", "shareable"} and not mode.startswith("container:"):
        raise InvalidArgumentError(f"Invalid IPC mode: {mode}")
    if (host.get("Runtime") or "") not in _RUNTIMES:
        raise NotFoundError(f"Unknown runtime specified {host['Runtime']}")
    if (host.get("Isolation") or "default") != "default":
        raise InvalidArgumentError(f"Invalid isolation: \"{host['Isolation']}\" - linux only supports 'default'")
    for option in host.get("SecurityOpt") or ():
        _security_option(option)
    if host.get("DeviceRequests"):
        raise NotFoundError('could not select device driver "" with capabilities: [[gpu]]')
    for name in host.get("StorageOpt") or ():
        if name != "size":
            raise InvalidArgumentError(f"Unknown option {name}")
        raise InvalidArgumentError("--storage-opt is not supported: the size of a container's own layer has no bound")


def _security_option(option: str) -> None:
    name, mark, value = option.partition("=") if "=" in option else option.partition(":")
    known = name in {"apparmor", "label", "seccomp"} or (
        name == "no-new-privileges" and (not mark or value in {"true", "false"})
    )
    if not known:
        raise InvalidArgumentError(f'invalid --security-opt 2: "{option}"')
