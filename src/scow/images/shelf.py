# SPDX-License-Identifier: Apache-2.0
"""Copies out of the store and into it: images of all platforms with their index, and what refers to them.

A name in the store means one image to ``run``; the images for other platforms, the index, signatures and attestations
are kept beside it (``wholes``, ``attached``) and leave with it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from scow.base.files import temporary_directory
from scow.base.streams import VerifiedReader
from scow.content.layoutdir import LayoutDirectory
from scow.errors import NotFoundError
from scow.images.attached import Attached
from scow.images.copying import copy
from scow.images.dockerarchives import spellings
from scow.images.places import DOCKER_ARCHIVE, REGISTRY, STORE, reference_of, replacing, take_one, unpack_layout
from scow.images.pulling import choose
from scow.images.wholes import find_whole, keep_whole, whole_of
from scow.oci.decode import decode_index
from scow.oci.mediatype import is_index, is_manifest
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scow.base.leases import Lease
    from scow.content.target import Source
    from scow.images.archive import Loaded
    from scow.images.places import Copier, Place
    from scow.images.saving import Sink
    from scow.images.store import ImageRecord
    from scow.oci.digest import Digest
    from scow.oci.model import Descriptor, Document, Index


class _Offer(NamedTuple):
    """What a source has under a name.

    Attributes:
        top: The manifest or index.
        document: The index, when all its images are wanted.
        images: The images' manifests.
        others: What stands in the index besides.
    """

    top: Descriptor
    document: Document[Index] | None
    images: Sequence[Descriptor]
    others: Sequence[Descriptor]


class Shelf:
    """The store as one end of a copy.

    Args:
        copier: Says what is wanted, and opens the other end.
    """

    def __init__(self, copier: Copier) -> None:
        self._copier = copier
        self._transfers = copier.transfers
        self._attached = Attached(self._transfers.content, self._transfers.leases)

    # ------------------------------------------------------------------ out

    def send(self, source: Place, target: Place) -> Digest:
        """Copy out of the store.

        Args:
            source: A name in the store.
            target: Where to.

        Returns:
            The digest of the top manifest.

        Raises:
            ScowError: Something is missing or refused.
        """
        transfers, copier = self._transfers, self._copier
        record = transfers.images.resolve(source.name)
        whole = whole_of(transfers.images, source.name, record)
        if whole is not None and find_whole(transfers.images, whole) is None:
            whole = None
        if target.kind == STORE:
            transfers.images.tag(Reference.parse(target.name), record.id, whole)
            return whole or record.manifest
        if target.kind == REGISTRY:
            goal = Reference.parse(target.name)
            digest = transfers.push_record(record, goal, platform=copier.platform, whole=whole).digest
            if copier.with_referrers:
                self._send_referrers(digest, goal)
            return digest
        top = self._attached.resolve(whole or record.manifest)
        if target.kind == DOCKER_ARCHIVE or not self._attached.is_whole(top):
            return self._save(transfers.fitting(record, whole, copier.platform, source.name), target)
        with copier.target(target) as (other, name):
            return copy(
                self._attached,
                top.digest,
                other,
                name,
                only=copier.only(self._attached, source) if copier.platform else None,
                referrers=copier.with_referrers,
                progress=transfers.progress,
            ).descriptor.digest

    def _send_referrers(self, digest: Digest, goal: Reference) -> None:
        """Send what refers to an image that was sent."""
        repository = self._transfers.client.repository(goal, push=True)
        for subject in self._attached.parts(self._attached.resolve(digest)):
            for other in self._attached.referrers(subject):
                copy(self._attached, other.digest, repository, "", progress=self._transfers.progress)

    def _save(self, record: ImageRecord, target: Place) -> Digest:
        """Write one image in the way of ``save``, which does without compressed layers."""
        if target.kind == DOCKER_ARCHIVE:
            names = [Reference.parse(target.name).with_default_tag()] if target.name else []
            with replacing(target.path) as out:
                self._archive(record, out, "docker", names)
            return record.manifest
        with temporary_directory(self._copier.scratch(), "copy-") as folder:
            tar = os.path.join(folder, "image.tar")
            with open(tar, "wb") as file:
                self._archive(record, cast("Sink", file), "oci", [])
            inner = os.path.join(folder, "layout")
            unpack_layout(tar, inner)
            origin = LayoutDirectory(inner)
            top = origin.index().manifests[0]
            with self._copier.target(target) as (other, name):
                return copy(origin, top.digest, other, name).descriptor.digest

    def _archive(self, record: ImageRecord, out: Sink, form: str, names: Sequence[Reference]) -> None:
        from scow.images.saving import save

        save(self._transfers.images, self._transfers.content, [record.id], out, form=form, names=names)

    # ------------------------------------------------------------------ in

    def receive(self, source: Place, target: Place) -> Digest:
        """Copy into the store.

        Args:
            source: Where from.
            target: The name in the store, which may be empty.

        Returns:
            The digest of the top manifest.

        Raises:
            ScowError: Something is missing, wrong or refused.
        """
        name = Reference.parse(target.name).with_default_tag() if target.name else None
        if source.kind == DOCKER_ARCHIVE:
            return self._receive_archive(source, name)
        with self._copier.source(source) as (origin, wanted):
            offer = self._offer(origin, source, wanted)
            names = [name] if name is not None else []
            chosen = 0
            if offer.document is not None:
                best = choose(offer.images, self._transfers.platform(), reference_of(source))
                chosen = [desc.digest for desc in offer.images].index(best.digest)
            with self._transfers.leases.hold("copy") as lease:
                if source.kind == REGISTRY:
                    pulled = Reference.parse(source.name)
                    records = self._pull(pulled, offer, lease)
                    self._transfers.images.add_digest(pulled.with_digest(offer.top.digest), records[chosen].id)
                    if not pulled.digest:
                        names.append(pulled)
                else:
                    records = self._load_layout(cast("LayoutDirectory", origin), offer, lease)
                self._enter(origin, offer, records, records[chosen], names, lease)
        return offer.top.digest

    def _offer(self, origin: Source, source: Place, name: str) -> _Offer:
        top = origin.resolve(name)
        if self._copier.platform or not is_index(top.media_type):
            top = self._copier.only(origin, source)(top)
            return _Offer(top, None, (top,), ())
        with origin.fetch(top) as stream:
            raw = VerifiedReader(stream, top.digest, top.size).read()
        document = decode_index(raw, top.media_type)
        entries = document.value.manifests
        images = [desc for desc in entries if is_manifest(desc.media_type) and not _is_attestation(desc)]
        if not images:  # an index of indexes
            top = self._copier.only(origin, source)(top)
            return _Offer(top, None, (top,), ())
        return _Offer(top, document, images, [desc for desc in entries if desc not in images])

    def _pull(self, reference: Reference, offer: _Offer, lease: Lease) -> list[ImageRecord]:
        transfers = self._transfers
        repository = transfers.client.repository(reference)
        records = []
        for desc in offer.images:
            by_digest = reference.with_digest(desc.digest)
            platform = desc.platform or transfers.platform(self._copier.platform)
            records.append(transfers.puller().pull(repository, by_digest, platform).record)
            lease.add("image", records[-1].id)
        return records

    def _load_layout(self, origin: LayoutDirectory, offer: _Offer, lease: Lease) -> list[ImageRecord]:
        records = []
        for desc in offer.images:
            with temporary_directory(self._copier.scratch(), "copy-") as folder:
                inner = LayoutDirectory(os.path.join(folder, "one"), create=True)
                take_one(origin, desc, inner)
                records.append(self._load(inner.path)[0].record)
                lease.add("image", records[-1].id)
        return records

    def _enter(
        self,
        origin: Source,
        offer: _Offer,
        records: Sequence[ImageRecord],
        chosen: ImageRecord,
        names: Sequence[Reference],
        lease: Lease,
    ) -> None:
        """Keep what belongs to the images, and give the names."""
        transfers = self._transfers
        found = list(offer.others)
        if self._copier.with_referrers:
            found += self._referrers(origin, [offer.top, *offer.images])
        self._attached.take(origin, found, chosen.id, referrers=self._copier.with_referrers)
        whole = None
        if offer.document is not None:
            whole = transfers.content.put(offer.document.raw, lease)
        with transfers.images.db.write():
            if whole is not None:
                keep_whole(transfers.leases, chosen, whole, records)
            for name in names:
                transfers.images.tag(name, chosen.id, whole)

    def _referrers(self, origin: Source, subjects: Sequence[Descriptor]) -> list[Descriptor]:
        from scow.content.target import ReferrerSource

        if not isinstance(origin, ReferrerSource):
            return []
        seen = {subject.digest: subject for subject in subjects}
        return [other for subject in seen.values() for other in origin.referrers(subject)]

    def _receive_archive(self, source: Place, name: Reference | None) -> Digest:
        with _opened(source.path) as fd:
            loaded = self._load(fd)
        wanted = [one for one in loaded if not source.name or source.name in spellings(one.names)]
        if not wanted or (name is not None and len({one.record.id for one in wanted}) > 1):
            few = "no such image" if not wanted else "more than one image"
            raise NotFoundError(f"{source.path!r} has {few}", hint="Name one of its images after a colon.")
        if name is not None:
            self._transfers.images.tag(name, wanted[0].record.id)
        return wanted[0].record.manifest

    def _load(self, opened: int | str) -> list[Loaded]:
        from scow.images.archive import load

        transfers = self._transfers
        return load(
            transfers.images,
            transfers.content,
            transfers.snapshots,
            opened,
            limits=transfers.settings.limits,
            platform=transfers.platform(self._copier.platform),
            progress=transfers.progress,
        )


def _is_attestation(desc: Descriptor) -> bool:
    return desc.platform is not None and desc.platform.os == "unknown"


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"cannot open {path!r}: {os.strerror(error.errno or 0).lower()}") from error
    try:
        yield fd
    finally:
        os.close(fd)
