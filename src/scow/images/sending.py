# SPDX-License-Identifier: Apache-2.0
"""From the store into a registry: what is there already is not sent, what can be taken over is mounted.

Promises: an image that was pulled is pushed with the identical manifest; plain layers of images made here are
compressed, the same way every time; the tag moves last, when everything it needs is there.
"""

from __future__ import annotations

import os
import threading

from scow.base.progress import Event, silent
from scow.base.tasks import TaskGroup
from scow.content.store import BlobNotFoundError
from scow.distribution.blobs import download
from scow.distribution.pushing import EXISTS, MOUNTED, push_blob
from scow.errors import NotFoundError, ScowError
from scow.images.fetching import first_failure
from scow.images.origins import TransferRecords
from scow.images.packing import Compression, pack
from scow.oci import mediatype
from scow.oci.decode import decode_manifest
from scow.oci.encode import encode_index, encode_manifest
from scow.oci.model import Descriptor
from scow.oci.reference import Reference
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from scow.base.leases import Lease, Leases
    from scow.base.progress import Progress
    from scow.content.local import LocalContentStore
    from scow.distribution.client import RegistryClient
    from scow.distribution.repository import Repository
    from scow.images.store import ImageRecord, ImageStore
    from scow.images.wholes import Whole
    from scow.oci.digest import DiffID, Digest
    from scow.oci.model import Document, Manifest

UPLOADS = 5


class Pushed(NamedTuple):
    """What a push did.

    Attributes:
        reference: Where the image is now.
        digest: Its manifest's digest there.
        size: Its manifest's size in bytes.
        sent: Bytes of blobs that were sent.
    """

    reference: Reference
    digest: Digest
    size: int
    sent: int


class Pusher:
    """Pushes images of one store.

    Args:
        images: The images.
        content: Their blobs.
        leases: What holds compressed layers meanwhile.
        client: For fetching blobs that were dropped here.
        progress: Told what happens.
    """

    def __init__(
        self,
        images: ImageStore,
        content: LocalContentStore,
        leases: Leases,
        client: RegistryClient,
        progress: Progress = silent,
    ) -> None:
        self.images = images
        self.content = content
        self.leases = leases
        self.client = client
        self.progress = progress
        self.records = TransferRecords(images.db)

    def push(
        self,
        repository: Repository,
        reference: Reference,
        record: ImageRecord,
        compression: Compression | None = None,
    ) -> Pushed:
        """Push one image under one tag.

        Args:
            repository: Where to.
            reference: With the tag.
            record: The image.
            compression: Compress every layer so; ``None`` leaves compressed layers alone and uses gzip for others.

        Raises:
            ScowError: The registry refuses, or cannot be reached; the tag is as before.
        """
        with self.leases.hold(f"push {reference.familiar}") as lease:
            sending = _Sending(self, repository, lease, compression)
            document = self._send(sending, reference, record, self._manifest(reference, record), reference.tag or "")
        return Pushed(reference, document.descriptor.digest, len(document.raw), sending.sent)

    def push_whole(
        self, repository: Repository, reference: Reference, whole: Whole, compression: Compression | None = None
    ) -> Pushed:
        """Push an index and all its images.

        Args:
            repository: Where to.
            reference: With the tag, which only the index gets.
            whole: The index and its images.
            compression: As for :meth:`push`.

        Raises:
            ScowError: The registry refuses, or cannot be reached; the tag is as before.
        """
        entries = []
        with self.leases.hold(f"push {reference.familiar}") as lease:
            sending = _Sending(self, repository, lease, compression)
            for desc, record in whole.parts:
                manifest = decode_manifest(self.content.read(desc), desc.media_type)
                if record is None:
                    for blob in (manifest.value.config, *manifest.value.layers):
                        sending.blob(blob, "")
                    repository.push_manifest(manifest.descriptor, manifest.raw)
                    entries.append(desc)
                    continue
                sent = self._send(sending, reference, record, manifest, "").descriptor
                entries.append(replace(desc, media_type=sent.media_type, digest=sent.digest, size=sent.size))
            document = whole.document
            if tuple(entries) != document.value.manifests:
                document = encode_index(replace(document.value, manifests=tuple(entries)))
            repository.push_manifest(document.descriptor, document.raw, reference.tag or "")
            owner = self.images.owner_of(reference)
            if owner is not None:
                with self.images.db.write():
                    self.content.put(document.raw, lease)
                    self.leases.link(f"image:{owner}", "blob", document.descriptor.digest)
                    self.images.add_digest(reference.with_digest(document.descriptor.digest), owner)
        return Pushed(reference, document.descriptor.digest, len(document.raw), sending.sent)

    def _send(
        self, sending: _Sending, reference: Reference, record: ImageRecord, manifest: Document[Manifest], tag: str
    ) -> Document[Manifest]:
        """Send one image; returns its manifest as the registry has it."""
        diffs = self.images.config(record.id).value.diff_ids
        layers = sending.layers(manifest.value.layers, diffs)
        sending.blob(manifest.value.config, "")
        document = rewritten(manifest, layers)
        sending.repository.push_manifest(document.descriptor, document.raw, tag)
        self._note(sending.repository, reference, record, document, sending.lease)
        return document

    def _manifest(self, reference: Reference, record: ImageRecord) -> Document[Manifest]:
        """The manifest by which the repository knows the image, when it is whole here; else the image's own."""
        for known in self.images.digests(record.id):
            if known.repository != reference.repository or known.digest is None or known.digest not in self.content:
                continue
            try:
                found = decode_manifest(self.content.read(known.digest))
            except ScowError:
                continue  # an index
            value = found.value
            if value.config.digest == record.id and all(layer.digest in self.content for layer in value.layers):
                return found
        return self.images.manifest(record.id)

    def _note(
        self,
        repository: Repository,
        reference: Reference,
        record: ImageRecord,
        document: Document[Manifest],
        lease: Lease,
    ) -> None:
        digest = document.descriptor.digest
        endpoint = repository.origin.endpoint
        blobs = {layer.digest for layer in document.value.layers} | {document.value.config.digest}
        with self.images.db.write():
            self.content.put(document.raw, lease)
            self.leases.link(f"image:{record.id}", "blob", digest)
            self.images.add_digest(reference.with_digest(digest), record.id)
            self.records.seen(blobs, endpoint.host, endpoint.path)


class _Sending:
    """The threads of one push."""

    def __init__(self, pusher: Pusher, repository: Repository, lease: Lease, compression: Compression | None) -> None:
        self.pusher = pusher
        self.repository = repository
        self.lease = lease
        self.compression = compression
        self.sent = 0
        self._lock = threading.Lock()
        self._packing = threading.Semaphore(os.cpu_count() or 1)

    def layers(self, layers: Sequence[Descriptor], diffs: Sequence[DiffID]) -> list[Descriptor]:
        """Send all layers, several at once.

        Returns:
            What they are called in the registry.
        """
        first: dict[str, int] = {}
        for position, layer in enumerate(layers):
            if layer.digest not in first:
                first[layer.digest] = position
                self.pusher.progress(Event(_short(diffs[position]), "Preparing"))
        group = TaskGroup(UPLOADS)
        group.on_cancel(self.repository.origin.stopper.stop)
        with first_failure(), group:
            tasks = {
                digest: group.spawn(self.layer, layers[position], diffs[position], group.check)
                for digest, position in first.items()
            }
        return [tasks[layer.digest].result() for layer in layers]

    def layer(self, layer: Descriptor, diff_id: DiffID, check: Callable[[], None]) -> Descriptor:
        """Send one layer, compressed when it is not.

        Returns:
            What it is called in the registry.
        """
        task = _short(diff_id)
        wanted = self._wanted(layer)
        if wanted is None:
            self.blob(layer, task)
            return layer
        pusher = self.pusher
        known = pusher.records.packed(diff_id, wanted.method)
        if known is not None:
            packed = _packed(layer, wanted, *known)
            if pusher.content.hold(packed.digest, self.lease):
                self.blob(packed, task)
                return packed
            if self.repository.exists(packed):
                pusher.progress(Event(task, "Layer already exists"))
                return packed
        with self._packing:
            check()

            def report(done: int) -> None:
                check()
                pusher.progress(Event(task, "Compressing", done, layer.size))

            packed = _packed(
                layer, wanted, *pack(pusher.content, pusher.records, layer, diff_id, wanted, self.lease, report)
            )
        self.blob(packed, task)
        return packed

    def _wanted(self, layer: Descriptor) -> Compression | None:
        if not mediatype.is_layer(layer.media_type) or mediatype.is_nondistributable(layer.media_type):
            return None
        found = mediatype.compression_of(layer.media_type)
        if self.compression is not None:
            return None if self.compression.name in {"none", found} else self.compression
        return Compression() if found == "none" else None

    def blob(self, desc: Descriptor, task: str) -> None:
        """Send one blob."""
        progress = self.pusher.progress
        if mediatype.is_foreign(desc):
            progress(Event(task, "Skipped foreign layer"))
            return
        endpoint = self.repository.origin.endpoint
        records = self.pusher.records
        mounts = records.candidates(desc.digest, endpoint.host, endpoint.path)
        started = -1

        def report(sent: int) -> None:
            nonlocal started
            started = sent if started < 0 else started
            if task:
                progress(Event(task, "Pushing", sent, desc.size))

        def opened(offset: int) -> BinaryIO:
            stream = self._open(desc)
            stream.seek(offset)
            return stream

        memory = records.of(self.lease, self.pusher.leases)
        how = push_blob(self.repository, desc, opened, mounts=mounts, memory=memory, report=report)
        if how not in {EXISTS, MOUNTED}:
            with self._lock:
                self.sent += desc.size
        if task:
            said = {EXISTS: "Layer already exists", MOUNTED: f"Mounted from {mounts[0] if mounts else ''}"}
            progress(Event(task, said.get(how, "Pushed")))

    def _open(self, desc: Descriptor) -> BinaryIO:
        """Open a blob; one that was dropped here is fetched again from where it came."""
        content = self.pusher.content
        try:
            return content.open(desc)
        except BlobNotFoundError:
            self._fetch_again(desc)
            return content.open(desc)

    def _fetch_again(self, desc: Descriptor) -> None:
        failure: ScowError = NotFoundError(
            f"the store no longer has blob {desc.digest}, and nothing tells where it came from",
            hint="Pull the image again.",
        )
        for registry, path in self.pusher.records.origins(desc.digest):
            domain = "docker.io" if registry == "registry-1.docker.io" else registry
            try:
                source = self.pusher.client.repository(Reference(domain, path))
                with self.pusher.content.ingest(desc.digest, desc.digest.algorithm) as ingest:
                    download(source, desc, ingest, report=lambda _: None)
                    ingest.commit(desc.digest, desc.size, lease=self.lease)
            except ScowError as error:
                failure = error
                continue
            return
        raise failure


def _short(diff_id: Digest) -> str:
    return diff_id.encoded[:12]


def _packed(layer: Descriptor, compression: Compression, digest: Digest, size: int) -> Descriptor:
    docker = mediatype.is_docker(layer.media_type) and compression.name != "zstd"
    kept = {name: value for name, value in layer.annotations.items() if not name.startswith(_BYTE_NOTES)}
    return Descriptor(mediatype.layer_type(compression.name, docker=docker), digest, size, kept)


_BYTE_NOTES = ("io.github.containers.zstd-chunked.", "containerd.io/snapshot/stargz/")
"""Annotations that speak of the compressed bytes, and are wrong for other ones."""


def rewritten(manifest: Document[Manifest], layers: Sequence[Descriptor]) -> Document[Manifest]:
    """The manifest with other layers; the very same bytes when they are the same.

    Docker's types know no zstd: with such layers the whole manifest speaks OCI.
    """
    value = manifest.value
    if tuple(layers) == value.layers:
        return manifest
    if not mediatype.is_docker(value.media_type) or all(mediatype.is_docker(layer.media_type) for layer in layers):
        return encode_manifest(replace(value, layers=tuple(layers)))
    renamed = tuple(replace(layer, media_type=_as_oci(layer.media_type)) for layer in layers)
    config = replace(value.config, media_type=mediatype.OCI_CONFIG_V1)
    return encode_manifest(replace(value, media_type=mediatype.OCI_MANIFEST_V1, config=config, layers=renamed))


def _as_oci(media_type: str) -> str:
    if not mediatype.is_docker(media_type) or mediatype.is_nondistributable(media_type):
        return media_type
    return mediatype.layer_type(mediatype.compression_of(media_type))
