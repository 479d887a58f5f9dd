# SPDX-License-Identifier: Apache-2.0
"""Archives to images: what docker, podman, skopeo, buildah and umoci write, old and new.

An archive's documents say which images it holds (``plans``); layers are taken in, in parallel where the archive allows
it; stacks of snapshots are linked, so that the images are ready to run; and only then, in one transaction, all images
are entered. An archive that fails anywhere leaves the store as it was.

Source: Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"; OCI image-spec v1.1,
image-layout.md.
"""

from __future__ import annotations

import os

from scow.base.progress import Event, silent
from scow.base.tasks import TaskGroup
from scow.images.intake import Intake, Layer
from scow.images.members import FileMembers, open_members
from scow.images.plans import find_plans
from scow.images.prune import collect
from scow.oci.digest import Digest, ImageID, chain_ids, sha256_digest
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import OCI_CONFIG_V1, OCI_MANIFEST_V1, compression_of, layer_type
from scow.oci.model import Descriptor, Manifest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.base.leases import Lease
    from scow.base.progress import Progress
    from scow.base.tasks import Task
    from scow.content.local import LocalContentStore
    from scow.images.members import Members
    from scow.images.plans import Plan
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Limits
    from scow.oci.digest import ChainID, DiffID, Digest
    from scow.oci.model import Document, Platform
    from scow.oci.reference import Reference
    from scow.snapshot.snapshotter import Snapshotter

_PARALLEL = 4


class Loaded(NamedTuple):
    """One image that an archive brought.

    Args:
        record: The image.
        names: The tags it was given.
        replaced: For tags that another image had: which one.
    """

    record: ImageRecord
    names: tuple[Reference, ...]
    replaced: dict[Reference, ImageID]


class _Ready(NamedTuple):
    """One image whose layers are in the store and stacked."""

    plan: Plan
    manifest: Descriptor
    keep: list[Digest]
    sizes: dict[ChainID, int]


def load(
    images: ImageStore,
    content: LocalContentStore,
    snapshots: Snapshotter,
    source: int | str,
    *,
    limits: Limits | None = None,
    platform: Platform | None = None,
    progress: Progress = silent,
) -> list[Loaded]:
    """Bring the images of an archive into the store, ready to run.

    Args:
        images: Where images are entered.
        content: Where blobs go.
        snapshots: Where layers are stacked.
        source: A file descriptor (a file or a pipe; not closed), or the path of a layout directory.
        limits: Bounds for each layer.
        platform: Which image to take of an index with several; the host's when ``None``.
        progress: Told which layers are taken in.

    Returns:
        The images, in the archive's order.

    Raises:
        CorruptError: The archive is damaged, cut off or holds no image; the store is as before.
        LimitError: Something in it is too large; the store is as before.
        ReservedNameError: It wants to name an image ``scratch``.
    """
    try:
        with images.leases.hold("load") as lease, TaskGroup(_PARALLEL) as tasks:
            intake = Intake(content, snapshots, lease, limits, tasks.check)
            members = open_members(source, intake)
            plans = find_plans(members, platform)
            loader = _Loader(images, lease, intake, members, progress)
            if not isinstance(source, int) or isinstance(members, FileMembers):
                for plan in plans:
                    loader.prefetch(tasks, plan)
            ready = [loader.bring(plan) for plan in plans]
            loader.tidy()
            loader.keep_documents()
            with images.db.write():
                return [loader.enter(image) for image in ready]
    except BaseException:
        collect(images, content, snapshots)
        raise


class _Loader:
    """One archive on its way in."""

    def __init__(self, images: ImageStore, lease: Lease, intake: Intake, members: Members, progress: Progress) -> None:
        self._images = images
        self._content = intake.content
        self._snapshots = intake.snapshots
        self._lease = lease
        self._intake = intake
        self._members = members
        self._progress = progress
        # by DiffID and, where a manifest says it, blob: two manifests may pack one layer differently
        self._coming: dict[tuple[DiffID, str], Task[Layer]] = {}
        self._layers: dict[tuple[DiffID, str], Layer] = {}
        self._used: set[str] = set()
        self._documents: list[bytes] = []

    # ------------------------------------------------------------------ layers

    def prefetch(self, tasks: TaskGroup, plan: Plan) -> None:
        """Begin to take in the layers of an image, several at a time."""
        if (os.cpu_count() or 1) < 2 or self._known(plan) is not None:
            return
        chains = chain_ids(plan.config.value.diff_ids)
        for position, chain in enumerate(chains):
            key = _key(plan, position)
            if key not in self._coming and self._present(plan, position, chain) is None:
                self._coming[key] = tasks.spawn(self._take, plan, position)

    def _take(self, plan: Plan, position: int) -> Layer:
        diff_id = plan.config.value.diff_ids[position]
        self._progress(Event(diff_id.encoded[:12], "Loading layer"))
        name, descriptor = plan.layers[position]
        layer = self._members.layer(name, digest=descriptor.digest if descriptor else None, diff_id=diff_id)
        self._progress(Event(diff_id.encoded[:12], "Loaded layer", layer.size, layer.size))
        return layer

    def _present(self, plan: Plan, position: int, chain: ChainID) -> Layer | None:
        """Find a layer that needs no reading: its blob and its place in the stack are there."""
        diff_id = plan.config.value.diff_ids[position]
        descriptor = plan.layers[position].descriptor
        digest: Digest = descriptor.digest if descriptor else diff_id
        if not self._hold_snapshot(chain) or not self._content.hold(digest, self._lease):
            return None
        compression = compression_of(descriptor.media_type) if descriptor else "none"
        usage = self._snapshots.stat(chain).size or None
        return Layer(digest, self._content.stat(digest).size, compression, diff_id, usage, None)

    def _hold_snapshot(self, chain: ChainID) -> bool:
        with self._images.db.write():
            if not self._snapshots.exists(chain):
                return False
            self._lease.add("snapshot", chain)
            return True

    def _layer(self, plan: Plan, position: int, chain: ChainID) -> Layer:
        key = _key(plan, position)
        if key not in self._layers:
            if key in self._coming:
                self._layers[key] = self._coming[key].result()
            elif plan.taken and key[0] in plan.taken:
                self._layers[key] = plan.taken[key[0]]
            else:
                self._layers[key] = self._present(plan, position, chain) or self._take(plan, position)
        return self._layers[key]

    def _place(self, layer: Layer, chain: ChainID, parent: ChainID | None) -> None:
        if self._hold_snapshot(chain):
            return
        staged = layer.staged
        if staged is None or staged.token in self._used:
            staged = self._intake.again(layer)
        self._used.add(staged.token)
        self._snapshots.link(chain, staged, parent, lease=self._lease)

    def tidy(self) -> None:
        """Drop staged layers that found no place, or found it taken."""
        for token in self._intake.tokens:
            if token not in self._used:
                self._snapshots.remove(token, force=True)

    # ------------------------------------------------------------------ images

    def _known(self, plan: Plan) -> ImageRecord | None:
        """Find an image that is there already, whole; the lease then holds all it needs."""
        identity = ImageID(plan.config.descriptor.digest)
        with self._images.db.write():
            if identity not in self._images:
                return None
            record = self._images.get(identity)
            if record.chain is not None and not self._hold_snapshot(record.chain):
                return None
            for kind, key in self._images.leases.owned(f"image:{identity}"):
                self._lease.add(kind, key)
            return record

    def bring(self, plan: Plan) -> _Ready:
        """Get everything of an image into the store, its stack of layers linked."""
        known = self._known(plan)
        if known is not None:
            size = self._content.stat(known.manifest).size
            return _Ready(plan, Descriptor(known.media_type, known.manifest, size), [], {})
        diff_ids = plan.config.value.diff_ids
        sizes: dict[ChainID, int] = {}
        layers: list[Layer] = []
        parent: ChainID | None = None
        for position, chain in enumerate(chain_ids(diff_ids)):
            layer = self._layer(plan, position, chain)
            self._place(layer, chain, parent)
            if layer.usage is not None:
                sizes[chain] = layer.usage
            layers.append(layer)
            parent = chain
        if parent is not None:
            self._snapshots.ready(parent)
        manifest = self._manifest(plan, layers)
        self._documents += [plan.config.raw, manifest.raw, *plan.indexes]
        return _Ready(plan, manifest.descriptor, [sha256_digest(raw) for raw in plan.indexes], sizes)

    def _manifest(self, plan: Plan, layers: list[Layer]) -> Document[Manifest]:
        """Keep the archive's manifest, or write one for an archive without."""
        document = plan.manifest
        if document is None:
            config = plan.config.descriptor
            document = encode_manifest(
                Manifest(
                    OCI_MANIFEST_V1,
                    Descriptor(OCI_CONFIG_V1, config.digest, config.size),
                    tuple(Descriptor(layer_type(layer.compression), layer.digest, layer.size) for layer in layers),
                )
            )
        return document

    def keep_documents(self) -> None:
        """Put the configs, manifests and indexes of all images into the store."""
        self._content.put_many(self._documents, self._lease)

    def enter(self, image: _Ready) -> Loaded:
        """Enter an image with its names; inside the transaction that enters all of them."""
        identity = image.plan.config.descriptor.digest
        replaced: dict[Reference, ImageID] = {}
        for name in image.plan.names:
            owner = self._images.owner_of(name)
            if owner is not None and owner != identity:
                replaced[name] = owner
        record = self._images.add(image.manifest, self._lease, image.plan.names, keep=image.keep, sizes=image.sizes)
        return Loaded(record, image.plan.names, replaced)


def _key(plan: Plan, position: int) -> tuple[DiffID, str]:
    descriptor = plan.layers[position].descriptor
    return plan.config.value.diff_ids[position], descriptor.digest if descriptor else ""
