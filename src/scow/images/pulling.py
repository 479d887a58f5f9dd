# SPDX-License-Identifier: Apache-2.0
"""From a registry into the store: downloaded, verified, unpacked in one pass, several layers at once.

Promises: nothing is named before everything is there and verified; what the store has is never fetched; what an
interrupted pull has fetched is kept and continued; the old tag stays until the very end. Workers: some download in
the order of size, some unpack behind them (:mod:`.growing`), the caller's thread links finished layers in order.
"""

from __future__ import annotations

from scow.base.progress import Event, silent
from scow.distribution.blobs import read_blob
from scow.distribution.repository import Fetched
from scow.errors import CorruptError, LimitError, NotFoundError
from scow.images.fetching import Fetch, Job, LayerPlan, Place
from scow.images.origins import TransferRecords
from scow.images.records import NotAnImageError
from scow.oci.decode import MAX_CONFIG_SIZE, decode_config, decode_index, decode_manifest
from scow.oci.digest import chain_ids
from scow.oci.mediatype import DOCKER_MANIFEST_V2, OCI_INDEX_V1, OCI_MANIFEST_V1, is_index, is_layer
from scow.oci.model import Platform
from scow.oci.platform import score
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.base.leases import Lease, Leases
    from scow.base.progress import Progress
    from scow.content.local import LocalContentStore
    from scow.distribution.repository import Repository
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Limits
    from scow.oci.digest import ChainID, DiffID, Digest
    from scow.oci.model import Descriptor, Document, ImageConfig, Manifest
    from scow.oci.reference import Reference
    from scow.snapshot.snapshotter import Snapshotter

_NESTING = 4
_EXACT = 100


class NoPlatformError(NotFoundError):
    """The image exists, but not for the wanted platform."""

    code = "no-platform"


class PullPlan(NamedTuple):
    """What a pull would do.

    Attributes:
        reference: What was asked for, with a tag or a digest.
        top: What it means in the registry: a manifest or an index.
        manifest: The one manifest for this platform.
        config: Its config.
        parcel: The index it came in, with its bytes.
        layers: Lowest first.
        current: The image that the name means now has exactly this content.
    """

    reference: Reference
    top: Descriptor
    manifest: Document[Manifest]
    config: Document[ImageConfig]
    parcel: Fetched | None
    layers: tuple[LayerPlan, ...]
    current: bool

    @property
    def missing(self) -> int:
        """Bytes that would be downloaded."""
        wanted = {layer.desc.digest: layer.desc.size for layer in self.layers if not layer.has_blob}
        return sum(wanted.values())


class Pulled(NamedTuple):
    """What a pull did.

    Attributes:
        reference: What was asked for.
        digest: What it means in the registry.
        record: The image.
        changed: Whether anything is different from before.
        tagged: The tag that the image got, when it was asked for by a tag and fetched by the digest that it must have.
    """

    reference: Reference
    digest: Digest
    record: ImageRecord
    changed: bool
    tagged: Reference | None = None


class Puller:
    """Pulls images into one store.

    Args:
        images: Where they are entered.
        content: Where blobs go.
        snapshots: Where layers are unpacked.
        leases: What holds everything meanwhile.
        limits: Bounds for each layer.
        progress: Told what happens.
    """

    def __init__(
        self,
        images: ImageStore,
        content: LocalContentStore,
        snapshots: Snapshotter,
        leases: Leases,
        limits: Limits,
        progress: Progress = silent,
    ) -> None:
        self.images = images
        self.content = content
        self.snapshots = snapshots
        self.leases = leases
        self.limits = limits
        self.progress = progress
        self.records = TransferRecords(images.db)
        self._heads: dict[Reference, Descriptor] = {}

    # ------------------------------------------------------------------ what is wanted

    def plan(
        self, repository: Repository, reference: Reference, platform: Platform, *, strict: bool, lease: Lease
    ) -> PullPlan:
        """Find out what a reference means and what of it is missing here.

        Args:
            repository: Where to ask.
            reference: With a tag or a digest.
            platform: Wanted.
            strict: Refuse an image that says it is for another platform.
            lease: Holds what is found.

        Raises:
            RegistryNotFoundError: There is no such image.
            NoPlatformError: There is none for this platform.
            CorruptError: A document is not what its digest promises, or makes no sense.
        """
        name = reference.digest or reference.tag or "latest"
        known = self._known(repository, reference, lease)
        top = known or repository.manifest(name)
        index = None
        fetched = top
        for _ in range(_NESTING):
            if not is_index(fetched.descriptor.media_type):
                break
            index = index or fetched
            entry = choose(
                decode_index(fetched.raw, fetched.descriptor.media_type).value.manifests, platform, reference
            )
            fetched = self._document(repository, entry, lease)
        manifest = decode_manifest(fetched.raw, fetched.descriptor.media_type)
        config = self._config(repository, manifest.value.config, lease)
        value = config.value
        if strict and not score(platform, value.platform):
            raise NoPlatformError(
                f"image {reference.familiar} is for {value.platform}, not for {platform}",
            )
        if len(value.diff_ids) != len(manifest.value.layers):
            raise CorruptError(
                f"image {reference.familiar} has {len(manifest.value.layers)} layers in its manifest "
                f"and {len(value.diff_ids)} in its config"
            )
        layers = self._layers(manifest.value.layers, value.diff_ids, lease)
        return PullPlan(
            reference,
            top.descriptor,
            manifest,
            config,
            index,
            layers,
            self._is_current(reference, top.descriptor.digest),
        )

    def _known(self, repository: Repository, reference: Reference, lease: Lease) -> Fetched | None:
        """What the name means, without fetching a manifest that the store has: HEAD is free where GET is counted."""
        if reference.digest:
            digest = reference.digest
            desc = None
        else:
            if self._record_of(reference) is None:
                return None
            desc = self._resolve(repository, reference)
            digest = desc.digest
        if not self.content.hold(digest, lease):
            return None
        raw = self.content.read(digest)
        if desc is None:
            desc = repository.resolve(digest)
        return Fetched(desc, raw)

    def _resolve(self, repository: Repository, reference: Reference) -> Descriptor:
        if reference not in self._heads:
            self._heads[reference] = repository.resolve(reference.tag or "latest")
        return self._heads[reference]

    def _record_of(self, reference: Reference) -> ImageRecord | None:
        try:
            return self.images.resolve(reference.familiar)
        except NotFoundError:
            return None

    def _is_current(self, reference: Reference, digest: Digest) -> bool:
        record = self._record_of(reference)
        known = self.images.digests(record.id) if record else []
        return any(ref.repository == reference.repository and ref.digest == digest for ref in known)

    def _document(self, repository: Repository, desc: Descriptor, lease: Lease) -> Fetched:
        if self.content.hold(desc.digest, lease):
            return Fetched(desc, self.content.read(desc.digest))
        return repository.manifest(desc.digest, desc)

    def _config(self, repository: Repository, desc: Descriptor, lease: Lease) -> Document[ImageConfig]:
        if "config" in desc.media_type and not desc.media_type.startswith(_IMAGE_CONFIGS):
            raise NotAnImageError(f"the manifest is no container image but a {desc.media_type!r}")
        if desc.size > MAX_CONFIG_SIZE:
            raise LimitError(f"the image's config has {desc.size} bytes, more than the {MAX_CONFIG_SIZE} allowed")
        if self.content.hold(desc.digest, lease):
            return decode_config(self.content.read(desc), desc.media_type)
        return decode_config(read_blob(repository, desc), desc.media_type)

    def _layers(self, blobs: Sequence[Descriptor], diffs: Sequence[DiffID], lease: Lease) -> tuple[LayerPlan, ...]:
        plans = []
        for desc, diff, chain in zip(blobs, diffs, chain_ids(diffs), strict=True):
            if not is_layer(desc.media_type):
                raise NotAnImageError(f"the image has a layer of type {desc.media_type!r}, which scow cannot unpack")
            has_blob = self.content.hold(desc.digest, lease)
            if has_blob and self.content.stat(desc.digest).size != desc.size:
                raise CorruptError(f"layer {desc.digest} does not have the {desc.size} bytes that the manifest says")
            plans.append(LayerPlan(desc, diff, chain, has_blob, self.snapshots.hold(chain, lease)))
        return tuple(plans)

    # ------------------------------------------------------------------ bringing it here

    def pull(self, repository: Repository, reference: Reference, platform: Platform, *, strict: bool = False) -> Pulled:
        """Bring one image here.

        Args:
            repository: Where from.
            reference: With a tag or a digest.
            platform: Wanted.
            strict: Refuse an image that says it is for another platform.

        Raises:
            ScowError: It could not be had; the store is as before, but for bytes that the next attempt continues from.
        """
        with self.leases.hold(f"pull {reference.familiar}") as lease:
            current = self.current(repository, reference, platform, lease)
            if current is not None:
                self._say_from(repository, reference)
                return current
            plan = self.plan(repository, reference, platform, strict=strict, lease=lease)
            self._say_from(repository, reference)
            sizes = self._fetch(repository, plan, lease)
            return self._enter(repository, plan, lease, sizes)

    def _say_from(self, repository: Repository, reference: Reference) -> None:
        shown = reference._replace(tag=None).canonical if reference.digest else reference.tag
        self.progress(Event("", f"{shown}: Pulling from {repository.reference.path}"))

    def current(self, repository: Repository, reference: Reference, platform: Platform, lease: Lease) -> Pulled | None:
        """The image, when the name means what it meant before and all of it is here; ``None`` otherwise.

        One HEAD request, which registries do not count as a pull, and none for a digest.
        """
        record = self._record_of(reference)
        if record is None or score(platform, Platform(record.os, record.architecture, record.variant)) < _EXACT:
            return None
        digest = reference.digest or self._resolve(repository, reference).digest
        if not self._is_current(reference, digest):
            return None
        if record.chain is not None and not self.snapshots.hold(record.chain, lease):
            # never unpacked, but all here: an image that was made or loaded and pushed from here
            layers = self.images.manifest(record.id).value.layers
            if not all(self.content.hold(layer.digest, lease) for layer in layers):
                return None
        return Pulled(reference, digest, record, changed=False)

    def _enter(self, repository: Repository, plan: PullPlan, lease: Lease, sizes: dict[ChainID, int]) -> Pulled:
        reference = plan.reference
        keep = [plan.parcel.descriptor.digest] if plan.parcel is not None else []
        names = [reference._replace(digest=None)] if reference.tag and not reference.digest else []
        record = self.images.add(
            plan.manifest.descriptor,
            lease,
            names,
            [reference.with_digest(plan.top.digest)],
            keep=keep,
            sizes=sizes,
        )
        endpoint = repository.origin.endpoint
        self.records.seen({layer.desc.digest for layer in plan.layers}, endpoint.host, endpoint.path)
        return Pulled(reference, plan.top.digest, record, not plan.current)

    def _fetch(self, repository: Repository, plan: PullPlan, lease: Lease) -> dict[ChainID, int]:
        """Bring here what is missing; give the sizes of what was unpacked."""
        jobs = [Job(position, layer) for position, layer in enumerate(plan.layers)]
        here = [job.plan.has_blob and job.plan.has_snapshot for job in jobs]
        if not all(here) or plan.manifest.value.config.digest not in self.images:
            for job, present in zip(jobs, here, strict=True):
                self.progress(Event(job.task, "Already exists" if present else "Pulling fs layer"))
        place = Place(self.content, self.snapshots, lease, self.limits, self.progress)
        work = Fetch(place, repository, jobs)
        config = plan.manifest.value.config
        documents = [(config.digest, plan.config.raw), (plan.manifest.descriptor.digest, plan.manifest.raw)]
        if plan.parcel is not None:
            documents.append((plan.parcel.descriptor.digest, plan.parcel.raw))

        def keep() -> None:
            for digest, raw in documents:
                self._keep(digest, raw, lease)

        if work.needed:
            return work.run(keep)
        keep()
        return {}

    def _keep(self, digest: Digest, raw: bytes, lease: Lease) -> None:
        if not self.content.hold(digest, lease):
            with self.content.ingest("", digest.algorithm) as ingest:
                ingest.write(raw)
                ingest.commit(digest, len(raw), lease=lease)


def choose(entries: Sequence[Descriptor], platform: Platform, reference: Reference) -> Descriptor:
    """The manifest of an index that serves a platform best.

    Raises:
        NoPlatformError: None does.
    """
    best, points = None, 0
    for entry in entries:
        if entry.platform is None:
            # an index without platforms is a plain list: its first image is meant
            found = 1 if entry.media_type in _MANIFESTS else 0
        else:
            found = 10 * score(platform, entry.platform)
        if found > points:
            best, points = entry, found
    if best is None:
        offered = sorted(
            {str(entry.platform) for entry in entries if entry.platform and entry.platform.os != "unknown"}
        )
        raise NoPlatformError(
            f"no matching manifest for {platform} in the manifest list entries of {reference.familiar}",
            hint=f"It is offered for {', '.join(offered[:20])}." if offered else "",
        )
    return best


_MANIFESTS = frozenset({OCI_MANIFEST_V1, DOCKER_MANIFEST_V2, OCI_INDEX_V1})
_IMAGE_CONFIGS = ("application/vnd.oci.image.config.", "application/vnd.docker.container.image.")
