# SPDX-License-Identifier: Apache-2.0
"""Freeing what nothing needs: the collector, and ``image prune``.

The collector marks from everything alive (leases of living processes, images, containers, cache records) along the
references in ``base.leases`` and sweeps the rest: rows first, in one transaction, then files, and what killed
processes left of either. Since whoever brings or finds an object links it in the same transaction, nothing that another
process uses is ever swept.
"""

from __future__ import annotations

import os

from scow.base.files import sweep_temporary
from scow.errors import ConflictError, NotFoundError
from scow.images.remove import remove_image
from scow.images.store import ImageInUseError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    from scow.base.leases import Edge, Leases
    from scow.content.local import LocalContentStore
    from scow.images.remove import Removal, User
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import Digest, ImageID
    from scow.snapshot.snapshotter import Snapshotter

    T = TypeVar("T")

_BATCH = 100
_OWNED = ("image:", "snapshot:")
"""Owners that are objects themselves: alive only when something reaches them."""


class Freed(NamedTuple):
    """What a collection freed.

    Args:
        size: Bytes on disk.
        blobs: How many blobs.
        snapshots: How many snapshots.
    """

    size: int
    blobs: int
    snapshots: int


class Pruned(NamedTuple):
    """What ``image prune`` took away.

    Args:
        removed: Names and images, in order.
        freed: What that freed.
    """

    removed: list[Removal]
    freed: Freed


def mark(edges: Iterable[Edge], images: Iterable[str]) -> set[tuple[str, str]]:
    """Find every object that something alive reaches.

    Args:
        edges: All references; those of dead leases are gone already.
        images: The IDs of all images: each is alive as long as its row exists.

    Returns:
        Kinds and keys.
    """
    kept: dict[str, list[tuple[str, str]]] = {}
    for owner, kind, key in edges:
        kept.setdefault(owner, []).append((kind, key))
    alive = {("image", image) for image in images}
    todo = [f"image:{image}" for _, image in alive]
    todo += [owner for owner in kept if not owner.startswith(_OWNED)]
    while todo:
        for found in kept.get(todo.pop(), ()):
            if found not in alive:
                alive.add(found)
                todo.append(f"{found[0]}:{found[1]}")
    return alive


def collect(images: ImageStore, content: LocalContentStore, snapshots: Snapshotter | None) -> Freed:
    """Free all blobs and snapshots that nothing alive reaches.

    Args:
        images: The images.
        content: The blobs.
        snapshots: The snapshots; ``None`` leaves them alone.

    Returns:
        What was freed.
    """
    leases = images.leases
    leases.reap()
    size = count = 0
    if snapshots is not None:
        size, count = _sweep_snapshots(images, leases, snapshots)
        snapshots.sweep_orphans()
    with images.db.write() as connection:
        alive = _alive(images, leases)
        dead = [info for info in content if ("blob", info.digest) not in alive]
        connection.executemany("DELETE FROM blobs WHERE digest = ?", [(info.digest,) for info in dead])
    # files that a crash left without a row too: one that is about to get its row is put back by whoever commits it
    content.remove_files([*(info.digest for info in dead), *content.strays()])
    sweep_temporary(os.path.join(content.root, "tmp"))
    size += sum(info.size for info in dead) + content.sweep_ingests()
    return Freed(size, len(dead), count)


def _alive(images: ImageStore, leases: Leases) -> set[tuple[str, str]]:
    with images.db.write() as connection:
        rows = connection.execute("SELECT id FROM images").fetchall()
        return mark(leases.graph(), (row[0] for row in rows))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Items by the hundred: a transaction for each alone writes the same pages again and again."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _sweep_snapshots(images: ImageStore, leases: Leases, snapshots: Snapshotter) -> tuple[int, int]:
    size = count = 0
    alive = _alive(images, leases)
    dead = [info for info in snapshots if ("snapshot", info.name) not in alive]
    parents = {info.parent for info in dead}
    while dead:
        # From the top of each stack down; one that gains an owner in between is refused and stays.
        ready = [info for info in dead if info.name not in parents]
        for batch in _batches(ready):
            with images.db.write():
                for info in batch:
                    try:
                        usage = snapshots.usage(info.name)
                        snapshots.remove(info.name)
                    except (ConflictError, NotFoundError):
                        continue
                    size += usage.size
                    count += 1
        dead = [info for info in dead if info.name in parents]
        parents = {info.parent for info in dead} if ready else set()
    return size, count


def prune_images(
    images: ImageStore,
    content: LocalContentStore,
    snapshots: Snapshotter | None,
    users: Callable[[ImageID], Sequence[User]],
    *,
    every: bool = False,
    wanted: Callable[[ImageRecord], bool] | None = None,
) -> Pruned:
    """Remove images that no container uses and, unless ``every``, that have no tag.

    Args:
        images: The images.
        content: The blobs.
        snapshots: The snapshots.
        users: Says which containers were made from an image.
        every: Images with tags too.
        wanted: Decides which images may go; ``None`` for all.

    Returns:
        What went and what that freed.
    """
    removed: list[Removal] = []
    images.leases.reap()
    for batch in _batches(list(images)):
        with images.db.write():
            for record in batch:
                references = [*images.names(record.id), *images.digests(record.id)]
                if not references and images.children(record.id):
                    continue
                if images.leases.owners("image", record.id, "lease:"):
                    continue  # a command at work has just made it, or builds on it
                if wanted is not None and not wanted(record):
                    continue
                if not every and any(ref.tag for ref in references):
                    continue
                for text in [ref.canonical for ref in references] or [record.id.encoded]:
                    try:
                        removed += remove_image(images, text, users)
                    except (ImageInUseError, NotFoundError):
                        continue
    return Pruned(removed, collect(images, content, snapshots))


def reclaimable(images: ImageStore, users: Callable[[ImageID], Sequence[User]]) -> tuple[int, int]:
    """Count what images take that a container uses.

    Args:
        images: The images.
        users: Says which containers were made from an image.

    Returns:
        How many images containers use; how many bytes of layers no used image has.
    """
    used = [record for record in images if users(record.id)]
    needed = {chain: size for record in used for chain, size in images.layer_sizes(record.id)}
    return len(used), images.total_size() - sum(needed.values())


def dead_blobs(images: ImageStore, content: LocalContentStore) -> list[Digest]:
    """List the blobs that the next collection frees."""
    with images.db.write():
        alive = _alive(images, images.leases)
        return [info.digest for info in content if ("blob", info.digest) not in alive]
