# SPDX-License-Identifier: Apache-2.0
"""``scow update``: change the limits of containers."""

from __future__ import annotations

import sys

from scow.cli.containerflags import FLAGS
from scow.cli.flags import Command, parse
from scow.errors import ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_MEMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "kernel-memory": "KernelMemory",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "pids-limit": "PidsLimit",
}
COMMAND = Command(
    name="update",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Update configuration of one or more containers",
    min_args=1,
    aliases=("container update", "update"),
    flags=tuple(flag for flag in FLAGS if flag.name in _MEMBERS or flag.name == "restart"),
)


def main(argv: list[str]) -> int:
    """Change the limits."""
    from scow.cli.containeroptions import read_restart
    from scow.cli.several import for_each

    options = parse(COMMAND, argv)
    changes: dict[str, Any] = {member: options[flag] for flag, member in _MEMBERS.items() if options.changed(flag)}
    if options.changed("restart"):
        changes["RestartPolicy"] = read_restart(options.restart)
    if not changes:
        raise ScowError("you must provide one or more flags when using this command")

    warnings: list[str] = []

    def update(containers: Containers, container: Container) -> None:
        from scow.containers.updating import update

        update(containers, container, changes)
        warnings.extend(containers.warnings)
        containers.warnings.clear()

    status = for_each(options.args, update)
    sys.stdout.writelines(f"{warning}\n" for warning in warnings)
    return status
