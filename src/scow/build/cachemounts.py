# SPDX-License-Identifier: Apache-2.0
"""The directories behind ``RUN --mount=type=cache``: which there are, how large, and taking them away.

::

    <root>/cache-mounts/<name>/   one for each id (and owner, mode, beginning); ``<name>-1`` for private ones in use;
    │                             ``<name>.gone-…`` what is being removed
    ├── lock                      shared while a step uses it, exclusive for ``sharing=locked`` and ``private``
    ├── making                    exclusive while ``data`` is made
    ├── id                        what the Dockerfile calls it
    └── data/                     what steps see
"""

from __future__ import annotations

import os

from scow.base.files import remove_tree
from scow.base.locks import FileLock
from scow.errors import ScowError
from scow.typing import NamedTuple

PLACE = "cache-mounts"


class CacheMount(NamedTuple):
    """One cache.

    Attributes:
        name: Of its directory.
        id: As the Dockerfile has it.
        size: Bytes on disk.
        used: When a step last began with it, seconds since the epoch.
    """

    name: str
    id: str
    size: int
    used: float


def cache_mounts(root: str) -> list[CacheMount]:
    """All caches, the least recently used first.

    Args:
        root: The store's directory.
    """
    top = os.path.join(root, PLACE)
    out: list[CacheMount] = []
    for name in sorted(os.listdir(top)) if os.path.isdir(top) else ():
        path = os.path.join(top, name)
        try:
            used = os.stat(path).st_mtime
        except FileNotFoundError:
            continue
        out.append(CacheMount(name, _identity(path), _size(os.path.join(path, "data")), used))
    return sorted(out, key=lambda mount: mount.used)


def remove_cache_mount(root: str, name: str) -> bool:
    """Remove a cache that no step uses now.

    Returns:
        Whether it is gone.
    """
    path = os.path.join(root, PLACE, name)
    gone = f"{path}.gone-{os.urandom(4).hex()}"
    try:
        with FileLock(os.path.join(path, "lock")).exclusive(timeout=0):
            # At once, and with its lock: a step that waited for that makes the cache anew.
            os.rename(path, gone)
        remove_tree(gone)
    except (ScowError, OSError):
        return False
    return True


def _identity(path: str) -> str:
    """What the Dockerfile calls a cache; ``""`` while it is made, and for what a killed removal left."""
    try:
        with open(os.path.join(path, "id"), encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""


def _size(path: str) -> int:
    total = 0
    stack = [path]
    while stack:
        try:
            with os.scandir(stack.pop()) as scan:
                for item in scan:
                    try:
                        total += item.stat(follow_symlinks=False).st_blocks * 512
                    except OSError:
                        continue
                    if item.is_dir(follow_symlinks=False):
                        stack.append(item.path)
        except OSError:
            continue
    return total
