# SPDX-License-Identifier: Apache-2.0
"""Changing the limits of a container, running or not."""

from __future__ import annotations

from scow import jsontext
from scow.containers.checking import check, check_memory
from scow.errors import ConflictError
from scow.linux import process
from scow.linux.idmaps import in_user_namespace
from scow.runtime.oci import start_error
from scow.runtime.spec import resources
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container


def update(service: Containers, container: Container, changes: Mapping[str, Any]) -> None:
    """Change limits.

    Args:
        service: The room.
        container: The container.
        changes: Members of docker's ``HostConfig``; a bound of 0 changes nothing, but for that of processes.

    Raises:
        InvalidArgumentError: A limit is out of range.
        ConflictError: A container with ``--rm`` gets a restart policy.
        StartError: The runtime refused.
    """
    changes = {name: value for name, value in changes.items() if value or name == "PidsLimit"}
    host = {**container.host, **changes}
    check_memory({"Memory": changes.get("Memory")})  # the rest is looked at together, below
    if in_user_namespace():
        from scow.containers.limits import check_groups

        check_groups(service, container, changes)
    if changes.get("Memory") and "MemorySwap" not in changes and changes["Memory"] > (host.get("MemorySwap") or 0):
        raise ConflictError(
            f"Cannot update container {container.id}: "  # noqa: S608
            "Memory limit should be smaller than already set memoryswap limit,"
            " update the memoryswap at the same time"
        )
    service.warnings += check(container.config, host)
    if container.is_alive:
        wanted = resources(host)
        wanted.pop("devices", None)
        status, _, complaint = process.run(
            service.runtime_of(container).words("update", "--resources", "-", container.id),
            feed=jsontext.dumps(wanted).encode(),
        )
        if status:
            raise start_error(complaint)
    service.store.update(container.id, host=host)
    service.note("update", container)
