# SPDX-License-Identifier: Apache-2.0
"""How much a container's files take: its own, and with those of its image."""

from __future__ import annotations

import os

from scow.errors import ScowError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container


def sizes(service: Containers, container: Container) -> tuple[int, int]:
    """Count a container's bytes.

    Returns:
        Bytes of files it wrote, and those plus the bytes of its image.
    """
    own = 0
    skip = {path.rstrip("/") for path in container.stubs}
    try:
        top = service.snapshots.upper(container.id)
    except ScowError:
        return 0, 0
    seen: set[tuple[int, int]] = set()
    for parent, _, files in os.walk(top):
        for name in files:
            path = os.path.join(parent, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if (found.st_dev, found.st_ino) in seen or path[len(top) :] in skip:
                continue
            seen.add((found.st_dev, found.st_ino))
            own += found.st_size if not os.path.islink(path) else 0
    try:
        image = sum(size for _, size in service.images.layer_sizes(service.images.resolve(container.image).id))
    except ScowError:
        image = 0
    return own, own + image
