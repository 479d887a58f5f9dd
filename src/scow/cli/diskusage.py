# SPDX-License-Identifier: Apache-2.0
"""What ``system df -v --format`` shows: every image, container, volume and cache record, as templates know them.

Source: docker CLI 28.2.2, formatter "diskUsageContext".
"""

from __future__ import annotations

from scow.cli.format import human_age, human_size
from scow.cli.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.containers.usage import DiskUsage
    from scow.engine import Engine


def everything(scow: Engine, usage: DiskUsage) -> Struct:
    """Collect all of them.

    Args:
        scow: The store.
        usage: What was counted.
    """
    parts = (
        ("Images", "*formatter.imageContext", _images(scow)),
        ("Containers", "*formatter.ContainerContext", _containers(scow)),
        ("Volumes", "*formatter.volumeContext", _volumes(scow, usage)),
        ("BuildCache", "*formatter.buildCacheContext", _cache(usage)),
    )
    fields = [(name, [Struct(sorted(row.items()), kind) for row in rows]) for name, kind, rows in parts]
    return Struct(fields, "*formatter.diskUsageContext")


def _images(scow: Engine) -> Iterable[dict[str, Any]]:
    from scow.cli.commands.images import image_row
    from scow.images.listing import rows

    shared = scow.images.shared_sizes()
    # docker counts every image once, under its first name
    for row in {row.record.id: row for row in reversed(rows(scow.list_images()))}.values():
        common = shared.get(row.record.id, 0)
        yield {
            **image_row(row, full=True),
            "Containers": str(len(scow.image_users(row.record.id))),
            "SharedSize": human_size(common),
            "UniqueSize": human_size(row.record.size - common),
        }


def _containers(scow: Engine) -> Iterable[dict[str, Any]]:
    from scow.cli.commands.ps import container_row

    for container in scow.containers.all():
        yield container_row(scow.containers, container, whole=True, with_size=True)


def _volumes(scow: Engine, usage: DiskUsage) -> Iterable[dict[str, Any]]:
    from scow.cli.commands.volume import volume_row

    counted = {name: (links, size) for name, links, size in usage.volumes}
    for volume in scow.containers.volumes.all():
        links, size = counted.get(volume.name, (0, 0))
        yield {**volume_row(volume), "Links": str(links), "Size": human_size(size)}


def _cache(usage: DiskUsage) -> Iterable[dict[str, Any]]:
    from scow.base.clock import now

    at = now()
    for record in usage.cache:
        yield {
            "ID": record.id,
            "CacheType": record.kind,
            "Size": human_size(record.size),
            "CreatedSince": human_age(record.created, at),
            "LastUsedSince": human_age(record.used, at),
            "UsageCount": str(record.uses),
            "Shared": str(record.shared).lower(),
        }
