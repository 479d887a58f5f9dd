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
from scow.errors import InvalidArgumentError, ScowError
from scow.linux import process
from scow.linux.capabilities import may_mount
from scow.linux.idmaps import in_user_namespace
from scow.runtime.oci import RUNTIMES
from scow.runtime.oci import find as find_runtime
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.images.store import ImageRecord

_HARMLESS = frozenset(
    {"NetworkMode", "AutoRemove", "Binds", "Init", "Privileged", "ReadonlyRootfs", "PortBindings", "ContainerIDFile"}
)
_CHECKED = frozenset({"StopSignal", "Healthcheck"})


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
    if not may_mount():
        from scow.containers.unmounted import adapt

        service.warnings += adapt(host)
    plain = check_name(name) if name else ""
    image = service.images.resolve(request["Image"])
    config = merge.merge(request, service.images.run_config(image.id))
    service.warnings += check_host(config, host)
    for wish in host.get("Mounts") or ():
        if wish.get("Type") == "image":
            service.unpacked(service.images.resolve(wish.get("Source") or ""))
    if host.get("Links"):
        from scow.containers.extras import check_links

        check_links(service, host)
    if not host.get("Runtime") and service.default_runtime:
        host["Runtime"] = service.default_runtime
    if host.get("Runtime") in RUNTIMES and may_mount():
        find_runtime(host["Runtime"])
    identity = random_id()
    if not config.get("Hostname") and host.get("NetworkMode") != "host" and not host.get("UTSMode"):
        config["Hostname"] = _shared_hostname(service, host) or identity[:12]
    if config.get("Domainname") and in_user_namespace():
        service.warnings.append("Domain name discarded: only root can set it; it is in /etc/hosts")
    chain = service.unpacked(image)
    directory = service.directory(identity)
    make_dir(os.path.join(directory, "rootfs"), 0o711)
    try:
        # Volumes that are made for it appear together with it, or not at all.
        with service.db.write():
            container = Container(
                id=identity,
                name=plain or service.store.free_name(friendly_name),
                image=image.id,
                image_name=request["Image"],
                created=time.time(),
                config=config,
                host=host,
                network={"Endpoints": (request.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}},
                mounts=_mounts(service, identity, config, host),
                status=CREATED,
                monitor=f"run {process.self_mark()}" if service.dedicated and host.get("AutoRemove") else "",
                auto_remove=int(bool(host.get("AutoRemove"))),
            )
            _enter(service, container, image, chain)
    except BaseException:
        remove_tree(directory)
        raise
    return container


def _shared_hostname(service: Containers, host: Mapping[str, Any]) -> str:
    """A container in another one's network has its name too."""
    mode: str = host.get("NetworkMode") or ""
    if not mode.startswith("container:"):
        return ""
    try:
        return service.store.find(mode.removeprefix("container:")).config.get("Hostname") or ""
    except ScowError:
        return ""  # starting it will tell


def _mounts(
    service: Containers, identity: str, config: Mapping[str, Any], host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The container's mounts; most have none, and then nothing is loaded for them."""
    if not (config.get("Volumes") or any(host.get(name) for name in ("Binds", "Mounts", "Tmpfs", "VolumesFrom"))):
        return []
    from scow.containers import mounts

    others = [_others(service, text) for text in host.get("VolumesFrom") or ()]
    found = mounts.resolve(config, host, service.volumes, others)
    for at, mount in enumerate(found):
        if mount["Type"] == "image":
            # What is mounted is the image that has the name now.
            mount["Image"], mount["View"] = service.images.resolve(mount["Source"]).id, f"{identity}:{at}"
    return found


def _enter(service: Containers, container: Container, image: ImageRecord, chain: str | None) -> None:
    """Make the row, and what keeps image and snapshot alive; within a transaction."""
    for mount in container.mounts:
        if mount["Type"] == "image":
            _enter_view(service, container, mount)
    service.store.insert(container)
    service.leases.link(container.owner, "image", image.id)
    service.leases.link(container.owner, "snapshot", container.id)
    service.snapshots.prepare(container.id, chain, volatile=bool(container.auto_remove))
    service.note("create", container)


def _enter_view(service: Containers, container: Container, mount: Mapping[str, Any]) -> None:
    found = service.images.resolve(mount["Image"])
    service.leases.link(container.owner, "image", found.id)
    service.leases.link(container.owner, "snapshot", mount["View"])
    if found.chain is None:
        service.snapshots.prepare(mount["View"])
    else:
        service.snapshots.view(mount["View"], found.chain)


def _others(service: Containers, text: str) -> tuple[list[dict[str, Any]], bool]:
    """Read one ``--volumes-from container[:ro]``."""
    name, _, mode = text.partition(":")
    if not text:
        raise InvalidArgumentError("volumes-from specification cannot be an empty string")
    if mode not in {"", "ro", "rw", "z", "Z"}:
        raise InvalidArgumentError(f"invalid mode: {mode}")
    wanted = [mount for mount in service.store.find(name).mounts if mount["Type"] in {"volume", "bind"}]
    return wanted, mode == "ro"


def check_host(config: Mapping[str, Any], host: dict[str, Any]) -> list[str]:
    """Refuse wishes that cannot be fulfilled; what most containers ask for needs no look.

    Returns:
        Warnings.

    Raises:
        InvalidArgumentError: A limit is out of range, or options contradict each other.
        ConflictError: Options exclude each other.
    """
    mode = host.get("NetworkMode") or ""
    if host.keys() <= _HARMLESS and mode != "host" and ":" not in mode and not _CHECKED & config.keys():
        return []
    from scow.containers.checking import check

    return check(config, host)
