# SPDX-License-Identifier: Apache-2.0
"""What few containers ask for: images as mounts, another's shared memory, legacy links, bounds on single devices.

Runs in the mount namespace the container will live in. Nothing here follows a link out of a root.
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError, NotFoundError
from scow.linux import kernel, namespaces
from scow.linux.mount import mount_all
from scow.runtime.inside import Root
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_CLONE = 1  # OPEN_TREE_CLONE
_EMPTY_PATH = 4  # MOVE_MOUNT_F_EMPTY_PATH
_RATES = (
    ("BlkioDeviceReadBps", "throttleReadBpsDevice"),
    ("BlkioDeviceWriteBps", "throttleWriteBpsDevice"),
    ("BlkioDeviceReadIOps", "throttleReadIOPSDevice"),
    ("BlkioDeviceWriteIOps", "throttleWriteIOPSDevice"),
)


def image_mount(service: Containers, container: Container, mount: Mapping[str, Any]) -> str:
    """Mount the files of an image beside the container's root; returns the directory to bind.

    Raises:
        NotFoundError: The image has no such path.
    """
    view = mount["View"]
    place = os.path.join(service.directory(container.id), "views", view.rpartition(":")[2])
    os.makedirs(place, mode=0o711, exist_ok=True)
    mount_all(service.snapshots.mounts(view), place)
    if not mount.get("Subpath"):
        return place
    with Root(place) as root:
        path = root.resolve(mount["Subpath"])
        if not root.exists(path):
            raise NotFoundError(f"image {mount['Source']} has no {mount['Subpath']}")
    return place + path


def shared_memory(service: Containers, container: Container, other: Container) -> str:
    """Bring another container's ``/dev/shm`` into this mount namespace; returns where.

    Raises:
        InvalidArgumentError: The other one keeps it for itself.
    """
    mode = other.host.get("IpcMode") or "private"
    if mode not in {"shareable", "host"}:
        raise InvalidArgumentError(
            f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor"
            " container)"
        )
    place = os.path.join(service.directory(container.id), "shm")
    os.makedirs(place, mode=0o700, exist_ok=True)

    def take() -> int:
        return kernel.call(kernel.OPEN_TREE, kernel.AT_FDCWD, b"/dev/shm", _CLONE | os.O_CLOEXEC)

    tree = namespaces.run_inside(other.pid, ("mnt",), take)
    try:
        kernel.call(kernel.MOVE_MOUNT, tree, b"", kernel.AT_FDCWD, os.fsencode(place), _EMPTY_PATH)
    finally:
        os.close(tree)
    return place


def links(service: Containers, container: Container) -> tuple[list[tuple[str, str]], list[str]]:
    """What ``--link`` tells a container of others on the default network.

    Returns:
        ``(address, names)`` for ``/etc/hosts``, and environment variables.

    Raises:
        NotFoundError: There is no such container.
        InvalidArgumentError: It does not run.
    """
    lines: list[tuple[str, str]] = []
    variables: list[str] = []
    for text in container.host.get("Links") or ():
        name, _, alias = text.partition(":")
        alias = alias or name
        other = service.find(name)
        if not other.is_alive:
            raise InvalidArgumentError(
                f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}"
            )
        known = (other.network.get("Networks") or {}).get("bridge") or {}
        address = known.get("IPAddress") or ""
        if not address:
            continue
        shown = other.config.get("Hostname") or other.id[:12]
        lines.append((address, f"{alias} {shown}" + (f" {other.name}" if other.name != alias else "")))
        variables += _link_variables(other, f"/{container.name}/{alias}", alias, address)
    return lines, variables


def _link_variables(other: Container, name: str, alias: str, address: str) -> Iterator[str]:
    lead = alias.replace("-", "_").upper()
    yield f"{lead}_NAME={name}"
    ports = sorted(other.config.get("ExposedPorts") or (), key=lambda port: (int(port.partition("/")[0]), port))
    for at, port in enumerate(ports):
        number, _, protocol = port.partition("/")
        if not at:
            yield f"{lead}_PORT={protocol}://{address}:{number}"
        one = f"{lead}_PORT_{number}_{protocol.upper()}"
        yield f"{one}={protocol}://{address}:{number}"
        yield f"{one}_ADDR={address}"
        yield f"{one}_PORT={number}"
        yield f"{one}_PROTO={protocol}"
    for entry in other.config.get("Env") or ():
        key, equals, value = entry.partition("=")
        if equals and key not in {"HOME", "PATH"}:
            yield f"{lead}_ENV_{key}={value}"


def check_links(service: Containers, host: Mapping[str, Any]) -> None:
    """Refuse links to containers that are not there.

    Raises:
        NotFoundError: There is no such container.
    """
    for text in host.get("Links") or ():
        name = text.partition(":")[0]
        try:
            service.store.find(name)
        except NotFoundError as error:
            raise NotFoundError(f"could not get container for {name}: {error.message}") from None


def bound_devices(host: Mapping[str, Any], resources: dict[str, Any]) -> None:
    """Enter rates of single devices, and rules for kinds of them, into limits in runtime-spec form.

    Raises:
        NotFoundError: There is no such device.
    """
    for member, name in _RATES:
        for wish in host.get(member) or ():
            try:
                number = os.stat(wish["Path"]).st_rdev
            except OSError as error:
                raise NotFoundError(f"stat {wish['Path']}: {(error.strerror or '').lower()}") from None
            entry = {"major": os.major(number), "minor": os.minor(number), "rate": wish["Rate"]}
            resources.setdefault("blockIO", {}).setdefault(name, []).append(entry)
    for rule in host.get("DeviceCgroupRules") or ():
        kind, numbers, access = rule.split(" ")
        major, _, minor = numbers.partition(":")
        entry = {"allow": True, "type": kind, "access": access}
        for key, text in (("major", major), ("minor", minor)):
            if text != "*":
                entry[key] = int(text)
        resources["devices"].append(entry)
