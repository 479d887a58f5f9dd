# SPDX-License-Identifier: Apache-2.0
"""What images, containers and volumes take on disk and what of it could be freed; removing stopped containers.

Source: docker CLI reference, "docker system df" and "docker system prune".
"""

from __future__ import annotations

import os

from scow.base.clock import now, parse_moment
from scow.containers.listing import select
from scow.containers.sizes import sizes
from scow.containers.stopping import prunable, remove
from scow.errors import ConflictError, InvalidArgumentError, NotFoundError
from scow.images.prune import reclaimable
from scow.images.remove import User
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.images.remove import Removal
    from scow.oci.digest import ImageID


class CacheEntry(Protocol):
    """One record of the build cache, as far as it matters here."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def kind(self) -> str:
        """What kind of step made it."""

    @property
    def size(self) -> int:
        """Bytes of its own layer."""

    @property
    def created(self) -> float:
        """Seconds since the epoch."""

    @property
    def used(self) -> float:
        """Seconds since the epoch."""

    @property
    def uses(self) -> int:
        """How often a build took it."""

    @property
    def shared(self) -> bool:
        """Whether an image needs its layer too."""


class UsageRow(NamedTuple):
    """One kind of thing.

    Attributes:
        kind: As docker calls it, such as ``Local Volumes``.
        total: How many there are.
        active: How many are in use.
        size: Bytes.
        reclaimable: Bytes that removing unused ones would free.
    """

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


class DiskUsage(NamedTuple):
    """What the store takes.

    Attributes:
        rows: Docker's four kinds.
        volumes: Name, number of containers and bytes of each volume.
        cache: The records of the build cache.
        blobs: Number of blobs.
        blob_size: Their bytes on disk.
    """

    rows: tuple[UsageRow, ...]
    volumes: tuple[tuple[str, int, int], ...]
    cache: tuple[CacheEntry, ...]
    blobs: int
    blob_size: int


class PrunedAll(NamedTuple):
    """What ``system prune`` took away.

    Attributes:
        containers: Ids.
        networks: Names.
        volumes: Names.
        images: Names and images.
        cache: Ids of cache records.
        size: Bytes freed.
    """

    containers: list[str]
    networks: list[str]
    volumes: list[str]
    images: list[Removal]
    cache: list[str]
    size: int


def image_users(service: Containers, identity: ImageID) -> list[User]:
    """List the containers made from an image, or with it among their mounts.

    Args:
        service: The containers.
        identity: The image.
    """

    def uses(row: Container) -> bool:
        return row.image == identity or any(mount.get("Image") == identity for mount in row.mounts)

    return [User(row.id, row.is_alive) for row in service.all() if uses(row)]


def disk_usage(service: Containers, cache: Sequence[CacheEntry]) -> DiskUsage:
    """Count everything; walks over the files of containers and volumes.

    Args:
        service: The containers, and through them the rest.
        cache: The records of the build cache.
    """
    images = service.images
    containers = service.all()
    used, free = reclaimable(images, lambda identity: image_users(service, identity))
    own = [sizes(service, container)[0] for container in containers]
    idle = sum(size for container, size in zip(containers, own, strict=True) if not container.is_alive)
    users = service.volumes.users()
    volumes = tuple((v.name, len(users.get(v.name, ())), tree_size(v.path)) for v in service.volumes.all())
    free_cache = sum(record.size for record in cache if not record.shared)
    blobs = list(service.content)
    rows = (
        UsageRow("Images", len(images), used, images.total_size(), free),
        UsageRow("Containers", len(containers), sum(row.is_alive for row in containers), sum(own), idle),
        UsageRow(
            "Local Volumes",
            len(volumes),
            sum(links > 0 for _, links, _ in volumes),
            sum(size for _, _, size in volumes),
            sum(size for _, links, size in volumes if not links),
        ),
        UsageRow("Build Cache", len(cache), 0, sum(record.size for record in cache), free_cache),
    )
    return DiskUsage(rows, volumes, tuple(cache), len(blobs), sum(info.size for info in blobs))


def tree_size(path: str) -> int:
    """Count the bytes of the files below a directory, each file once.

    Args:
        path: The directory; links are not followed.
    """
    size = 0
    seen: set[tuple[int, int]] = set()
    for parent, _, files in os.walk(path):
        for name in files:
            try:
                found = os.lstat(os.path.join(parent, name))
            except OSError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += found.st_size
    return size


def prune_stopped(service: Containers, filters: Iterable[tuple[str, str]] = ()) -> tuple[list[str], int]:
    """Remove containers that do not run.

    Args:
        service: The containers.
        filters: ``label``, ``label!`` and ``until``.

    Returns:
        Their ids, and how many bytes they had written.

    Raises:
        InvalidArgumentError: A filter is unknown or its value makes no sense.
    """
    labels: list[tuple[str, str]] = []
    unwanted: set[str] = set()
    limits: list[float] = []
    for name, value in filters:
        if name == "label":
            labels.append((name, value))
        elif name == "label!":
            unwanted |= {found.id for found in select(service, [("label", value)], everything=True)}
        elif name == "until":
            limits.append(parse_moment(value, now()))
        else:
            raise InvalidArgumentError(f"Invalid filter '{name}'")
    gone, size = [], 0
    for container in prunable(select(service, labels, everything=True)):
        if container.id in unwanted or any(container.created >= limit for limit in limits):
            continue
        own, _ = sizes(service, container)
        try:
            remove(service, container)
        except (ConflictError, NotFoundError):  # started, or removed by somebody else
            continue
        gone.append(container.id)
        size += own
    return gone, size


def prune_volumes(service: Containers, *, every: bool = False) -> tuple[list[str], int]:
    """Remove volumes that no container has.

    Args:
        service: The containers.
        every: Named ones too, not only anonymous ones.

    Returns:
        Their names and bytes.
    """
    gone, size = [], 0
    users = service.volumes.users()
    for volume in service.volumes.all():
        if users.get(volume.name) or not (every or volume.anonymous):
            continue
        own = tree_size(volume.path)
        try:
            service.volumes.remove(volume.name)
        except (ConflictError, NotFoundError):
            continue
        gone.append(volume.name)
        size += own
    return gone, size
