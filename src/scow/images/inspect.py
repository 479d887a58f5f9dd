# SPDX-License-Identifier: Apache-2.0
"""One image as the JSON that docker 28 shows for it, older fields included.

Source: Docker Engine API v1.41 to v1.50, "ImageInspect".
"""

from __future__ import annotations

from scow.base.clock import ZERO, rfc3339
from scow.errors import NotFoundError
from scow.oci.encode import container_config_members
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.content.local import LocalContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.model import ContainerConfig
    from scow.snapshot.snapshotter import Snapshotter

_DRIVERS = {"index": "erofs"}


def inspect(
    images: ImageStore, content: LocalContentStore, snapshots: Snapshotter, record: ImageRecord
) -> dict[str, Any]:
    """Describe an image.

    Args:
        images: Where it is.
        content: Its blobs.
        snapshots: Its tree.
        record: The image.

    Returns:
        Docker's members, and ``Descriptor`` for its manifest.
    """
    config = images.config(record.id).value
    comments = [entry.comment for entry in config.history]
    value: dict[str, Any] = {
        "Id": record.id,
        "RepoTags": [ref.familiar for ref in images.names(record.id)],
        "RepoDigests": [ref.familiar for ref in images.digests(record.id)],
        "Parent": record.parent or "",
        "Comment": config.extra.get("comment") or (comments[-1] if comments else ""),
        "Created": config.created or ZERO,
        "DockerVersion": config.extra.get("docker_version") or "",
        "Author": config.author,
        "Config": config_members(config.config),
        "Architecture": config.platform.architecture,
        "Os": config.platform.os,
        "Size": record.size,
        "VirtualSize": record.size,
        "GraphDriver": _graph_driver(snapshots, record),
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339(record.added) if images.names(record.id) else ZERO},
    }
    if config.platform.variant:
        value["Variant"] = config.platform.variant
    if config.platform.os_version:
        value["OsVersion"] = config.platform.os_version
    value["Descriptor"] = {
        "mediaType": record.media_type,
        "digest": record.manifest,
        "size": content.stat(record.manifest).size,
    }
    return value


def config_members(config: ContainerConfig) -> dict[str, Any]:
    """Write an image's container settings with docker's zero values for what is unset.

    Args:
        config: The settings.

    Returns:
        Docker's ``Config``.
    """
    return unset_config() | container_config_members(config)


def unset_config() -> dict[str, Any]:
    """Docker's ``Config`` of which nothing is set, in docker's order."""
    return {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Cmd": None,
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
    }


def _graph_driver(snapshots: Snapshotter, record: ImageRecord) -> dict[str, Any]:
    if record.chain is None:
        return {"Data": None, "Name": "none"}
    try:
        info = snapshots.stat(record.chain)
    except NotFoundError:  # not unpacked yet
        return {"Data": None, "Name": "none"}
    return {"Data": {"Snapshot": info.name, "Form": info.form}, "Name": _DRIVERS.get(info.form, "overlay")}
