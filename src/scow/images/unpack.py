# SPDX-License-Identifier: Apache-2.0
"""From an image's layers to snapshots one can stand on: layers staged side by side, linked in order.

Pulls and loads unpack while they read; this is for images that came without snapshots (made here, or whose snapshots
were removed) and costs nothing when they are there. Two processes that want the same layers do the work once. When it
fails, nothing that was linked stays.
"""

from __future__ import annotations

import os

from scow.base.locks import FileLock
from scow.base.progress import Event, silent
from scow.base.tasks import TaskGroup
from scow.errors import CorruptError, NotFoundError, ScowError
from scow.oci.digest import chain_ids
from scow.oci.mediatype import compression_of
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from scow.base.leases import Lease
    from scow.base.progress import Progress
    from scow.base.tasks import Task
    from scow.content.local import LocalContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Limits
    from scow.oci.digest import ChainID, DiffID
    from scow.oci.model import Descriptor
    from scow.snapshot.snapshotter import Snapshotter, Staged

_SIDE_BY_SIDE = 4
"""Layers staged at the same time; hashing and inflating leave Python's lock alone."""


def unpack(
    record: ImageRecord,
    images: ImageStore,
    content: LocalContentStore,
    snapshots: Snapshotter,
    lease: Lease,
    progress: Progress = silent,
    *,
    limits: Limits | None = None,
) -> ChainID | None:
    """Make the snapshots of an image.

    Args:
        record: The image.
        images: Where it is entered.
        content: Where its layers are.
        snapshots: Where the snapshots go.
        lease: Keeps the top one alive, and with it all below.
        progress: Told about every layer.
        limits: Bounds for each layer.

    Returns:
        The name of the top snapshot; ``None`` for an image without layers.

    Raises:
        CorruptError: A layer is damaged or is not what the config says; the message names it.
        NotFoundError: A layer's blob is not in the store.
        LimitError: A layer is larger than allowed.
    """
    if record.chain is None:
        return None
    if snapshots.hold(record.chain, lease):
        snapshots.ready(record.chain)
        return record.chain
    layers = images.manifest(record.id).value.layers
    diffs = images.config(record.id).value.diff_ids
    if len(layers) != len(diffs):
        raise CorruptError(f"image {record.id} has {len(layers)} layers and {len(diffs)} DiffIDs")
    work = _Unpacking(content, snapshots, lease, progress, limits, list(zip(layers, diffs, strict=True)))
    images.measured(work.run())
    return record.chain


class _Unpacking:
    """The layers of one image, lowest first."""

    def __init__(
        self,
        content: LocalContentStore,
        snapshots: Snapshotter,
        lease: Lease,
        progress: Progress,
        limits: Limits | None,
        layers: list[tuple[Descriptor, DiffID]],
    ) -> None:
        self._content = content
        self._snapshots = snapshots
        self._lease = lease
        self._progress = progress
        self._limits = limits
        self._layers = layers
        self._chains = chain_ids(diff for _, diff in layers)

    def run(self) -> dict[ChainID, int]:
        """Do what is missing.

        Returns:
            Bytes of file data by chain, of the layers that were unpacked.
        """
        # Whoever unpacks the same image waits for the first lock, whoever unpacks another one that begins with the
        # same missing layer for the second; both then find it done. The first is needed too: while layers are being
        # linked the first missing one changes.
        with self._lock(f"image-{self._chains[-1].encoded}"):
            missing = self._first_missing()
            while missing < len(self._chains):
                with self._lock(f"unpack-{self._chains[missing].encoded}"):
                    now = self._first_missing()
                    if now == missing:
                        return self._from(missing)
                missing = now
        return {}

    def _lock(self, name: str) -> AbstractContextManager[object]:
        return FileLock(os.path.join(self._content.root, "locks", name)).exclusive()

    def _first_missing(self) -> int:
        """How many layers from the bottom have snapshots; the topmost of those is kept alive."""
        for height in range(len(self._chains), 0, -1):
            if self._snapshots.hold(self._chains[height - 1], self._lease):
                return height
        return 0

    def _from(self, height: int) -> dict[ChainID, int]:
        sizes: dict[ChainID, int] = {}
        linked: list[ChainID] = []
        try:
            # All are read and verified before the first is linked.
            staged = self._stage_all(height)
            for position in range(height, len(self._chains)):
                chain = self._chains[position]
                parent = self._chains[position - 1] if position else None
                sizes[chain] = self._snapshots.stat(staged[position].token).size
                self._snapshots.link(chain, staged[position], parent, lease=self._lease)
                linked.append(chain)
            self._snapshots.ready(self._chains[-1])
        except BaseException:
            self._drop(linked)
            raise
        for desc, _ in self._layers[height:]:
            self._progress(Event(_short(desc), "Unpacked"))
        return sizes

    def _stage_all(self, height: int) -> dict[int, Staged]:
        tasks: dict[int, Task[Staged]] = {}
        leaders: dict[DiffID, int] = {}
        with TaskGroup(_SIDE_BY_SIDE) as group:
            for position in range(height, len(self._layers)):
                if self._layers[position][1] in leaders:
                    continue
                leaders[self._layers[position][1]] = position
                tasks[position] = group.spawn(self._stage, position, group)
        staged = {position: task.result() for position, task in tasks.items()}
        for position in range(height, len(self._layers)):
            if position not in staged:  # the same layer a second time
                staged[position] = self._stage(position, None)
        return staged

    def _stage(self, position: int, group: TaskGroup | None) -> Staged:
        desc, diff = self._layers[position]
        self._progress(Event(_short(desc), "Unpacking", 0, desc.size))
        try:
            if self._content.hold(diff, self._lease):
                return self._snapshots.stage_blob(diff, lease=self._lease, limits=self._limits)
            return self._stage_compressed(desc, diff, group)
        except NotFoundError as error:
            raise NotFoundError(f"layer {desc.digest} is not in the store", hint="pull the image again") from error
        except CorruptError as error:
            if desc.digest in error.message or diff in error.message:
                raise
            raise type(error)(f"layer {desc.digest}: {error.message}", hint=error.hint) from error

    def _stage_compressed(self, desc: Descriptor, diff: DiffID, group: TaskGroup | None) -> Staged:
        from scow.layer.compression import open_stream

        with self._content.open(desc) as raw:
            source = _Watched(raw, desc, self._progress, group)
            tar = open_stream(source, compression_of(desc.media_type), limits=self._limits)
            return self._snapshots.stage(tar, lease=self._lease, diff_id=diff, limits=self._limits)

    def _drop(self, linked: list[ChainID]) -> None:
        """Take back what was linked, unless somebody else has come to use it."""
        for chain in reversed(linked):
            self._content.leases.unlink(self._lease.owner, "snapshot", chain)
            try:
                self._snapshots.remove(chain, force=chain == self._chains[-1])
            except ScowError:
                continue


class _Watched:
    """A compressed blob that tells how far it was read, and stops when a sibling failed."""

    def __init__(self, raw: BinaryIO, desc: Descriptor, progress: Progress, group: TaskGroup | None) -> None:
        self._raw = raw
        self._desc = desc
        self._progress = progress
        self._group = group
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read on."""
        if self._group is not None:
            self._group.check()
        data = self._raw.read(size)
        self._position += len(data)
        self._progress(Event(_short(self._desc), "Unpacking", self._position, self._desc.size))
        return data


def _short(desc: Descriptor) -> str:
    return desc.digest.encoded[:12]
