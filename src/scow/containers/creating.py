# SPDX-License-Identifier: Apache-2.0
"""From a wish to a container that could be started: checked, named, recorded, with a writable snapshot of its image.

The row, the links that keep image and snapshot alive, and the snapshot appear in one transaction: a process killed in
between leaves a directory without a row at most.
"""

from __future__ import annotations

import os
import time

from scow.base.files import make_dir, remove_tree
from scow.base.ids import friendly_name, random_id
from scow.containers import merge
from scow.containers.store import CREATED, Container, check_name
from scow.errors import ConflictError, InvalidArgumentError
from scow.linux import process
from scow.linux.idmaps import in_user_namespace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.images.store import ImageRecord

_MIN_MEMORY = 6 << 20
_RESTART = ("", "no", "always", "unless-stopped", "on-failure")


def create(service: Containers, request: Mapping[str, Any], name: str = "") -> Container:
    """Make a container.

    Args:
        service: The room.
        request: Docker's body of a create request; ``Image`` names a local image.
        name: Its name, or ``""`` to make one up.

    Returns:
        Its record.

    Raises:
        ImageNotFoundError: There is no such image here.
        NameTakenError: Another container has the name.
        InvalidArgumentError: The wish contradicts itself.
    """
    host = dict(request.get("HostConfig") or {})
    if in_user_namespace():
        from scow.containers.limits import discard

        service.warnings += discard(host)
    plain = check_name(name) if name else ""
    image = service.images.resolve(request["Image"])
    config = merge.merge(request, service.images.run_config(image.id))
    check_host(config, host)
    identity = random_id()
    if not config.get("Hostname") and host.get("NetworkMode") != "host" and not host.get("UTSMode"):
        config["Hostname"] = identity[:12]
    chain = service.unpacked(image)
    container = Container(
        id=identity,
        name=plain or service.store.free_name(friendly_name),
        image=image.id,
        image_name=request["Image"],
        created=time.time(),
        config=config,
        host=host,
        network={"Endpoints": (request.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}},
        mounts=_mounts(service, config, host),
        status=CREATED,
        monitor=f"run {process.self_mark()}" if service.dedicated and host.get("AutoRemove") else "",
        auto_remove=int(bool(host.get("AutoRemove"))),
    )
    directory = service.directory(identity)
    make_dir(os.path.join(directory, "rootfs"), 0o711)
    try:
        _enter(service, container, image, chain)
    except BaseException:
        remove_tree(directory)
        from scow.containers.ending import drop_anonymous

        drop_anonymous(service, container)
        raise
    return container


def _mounts(service: Containers, config: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The container's mounts; most have none, and then nothing is loaded for them."""
    if not (config.get("Volumes") or any(host.get(name) for name in ("Binds", "Mounts", "Tmpfs", "VolumesFrom"))):
        return []
    from scow.containers import mounts

    others = [_others(service, text) for text in host.get("VolumesFrom") or ()]
    return mounts.resolve(config, host, service.volumes, others)


def _enter(service: Containers, container: Container, image: ImageRecord, chain: str | None) -> None:
    with service.db.write():
        service.store.insert(container)
        service.leases.link(container.owner, "image", image.id)
        service.leases.link(container.owner, "snapshot", container.id)
        service.snapshots.prepare(container.id, chain, volatile=bool(container.auto_remove))
        service.note("create", container)


def _others(service: Containers, text: str) -> tuple[list[dict[str, Any]], bool]:
    """Read one ``--volumes-from container[:ro]``."""
    name, _, mode = text.partition(":")
    if mode not in {"", "ro", "rw", "z", "Z"}:
        raise InvalidArgumentError(f"invalid mode: {mode}")
    wanted = [mount for mount in service.store.find(name).mounts if mount["Type"] in {"volume", "bind"}]
    return wanted, mode == "ro"


def check_host(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    """Refuse wishes that cannot be fulfilled.

    Raises:
        InvalidArgumentError: A limit is out of range, or options contradict each other.
        ConflictError: Options exclude each other.
    """
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if memory and memory < _MIN_MEMORY:
        raise InvalidArgumentError("Minimum memory limit allowed is 6MB")
    if memory and swap > 0 and swap < memory:
        raise InvalidArgumentError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if swap > 0 and not memory:
        raise InvalidArgumentError("You should always set the Memory limit when using Memoryswap limit, see usage")
    if host.get("NanoCpus") and host["NanoCpus"] > (os.cpu_count() or 1) * 10**9:
        raise InvalidArgumentError(
            f"Range of CPUs is from 0.01 to {os.cpu_count():.2f}, as there are only {os.cpu_count()} CPUs available"
        )
    policy = host.get("RestartPolicy") or {}
    if (policy.get("Name") or "") not in _RESTART:
        raise InvalidArgumentError(f"invalid restart policy: unknown policy '{policy.get('Name')}'")
    if host.get("AutoRemove") and policy.get("Name") not in {None, "", "no"}:
        raise ConflictError("can't create 'AutoRemove' container with restart policy")
    if host.get("NetworkMode") == "host" and host.get("UTSMode") == "host" and config.get("Hostname"):
        raise ConflictError("conflicting options: hostname and the UTS mode")
    if (host.get("NetworkMode") or "").startswith("container:") and host.get("PortBindings"):
        raise ConflictError("conflicting options: port publishing and the container type network mode")
