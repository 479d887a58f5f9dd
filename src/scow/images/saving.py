# SPDX-License-Identifier: Apache-2.0
"""Images to archives: an OCI image layout in a tar, with docker's own two files beside it.

::

    oci-layout, index.json           the layout; one entry for each name (or image without a name)
    manifest.json, repositories      what docker before 25 and podman read; they point into blobs/
    blobs/sha256/<hex>               manifests, configs and layers, each once

Documents come first, so that a reader of a pipe knows what it sees. The same images give the same bytes: times are 0,
order follows the arguments. Manifests are written as they are kept, so that digests survive; only zstd layers become
plain tars in docker's format, because older dockers cannot read zstd.

Source: OCI image-spec v1.1, image-layout.md; Docker image specification v1.2, "Combined Image JSON + Filesystem
Changeset Format".
"""

from __future__ import annotations

import json

from scow.base.streams import CHUNK, HashingWriter, VerifiedReader, copy_stream
from scow.content.store import BlobNotFoundError
from scow.errors import NotFoundError
from scow.layer.compression import open_stream
from scow.layer.tar import DIRECTORY, TarEntry, TarWriter
from scow.oci import layout
from scow.oci.encode import encode_index, encode_json, encode_manifest
from scow.oci.mediatype import OCI_INDEX_V1, ZSTD, compression_of, is_docker, layer_type
from scow.oci.model import Index
from scow.oci.reference import InvalidReferenceError, Reference
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from scow.content.local import LocalContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import DiffID, Digest, ImageID
    from scow.oci.model import Descriptor, Document, Manifest


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all the bytes."""


class _Blob(NamedTuple):
    """One file below ``blobs/``."""

    digest: Digest
    size: int
    chunks: Callable[[], Iterator[bytes]]


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


class Blobs(Protocol):
    """Where the bytes of images are."""

    def __contains__(self, digest: object, /) -> bool: ...

    def open(self, target: Descriptor | Digest) -> BinaryIO:
        """Open a blob for reading."""

    def read(self, target: Descriptor) -> bytes:
        """Read a small blob, verified."""

    def stat(self, digest: Digest) -> _Sized:
        """Tell a blob's size."""


class Outgoing(NamedTuple):
    """One image on its way out.

    Attributes:
        manifest: Its manifest.
        diff_ids: Its layers, uncompressed.
        names: What it is called in the archive.
    """

    manifest: Document[Manifest]
    diff_ids: Sequence[DiffID]
    names: list[Reference]


class _Image(NamedTuple):
    """One image as the archive will hold it."""

    manifest: Document[Manifest]
    stored: Sequence[Descriptor]
    names: list[Reference]


def save(
    images: ImageStore,
    content: LocalContentStore,
    wanted: Sequence[str],
    out: Sink,
    *,
    form: str = "docker",
    names: Sequence[Reference] = (),
    check: Callable[[], None] | None = None,
) -> list[ImageRecord]:
    """Write an archive; return the images that are in it.

    Args:
        images: The images.
        content: Their blobs.
        wanted: Names, repositories (for all their tags), digests or IDs; images come in this order, each once.
        out: Where to.
        form: ``docker``, readable by everybody, or ``oci``, a layout without docker's files.
        names: Names that the images get in the archive besides those they were asked for by.
        check: Called between pieces; raises to stop.

    Raises:
        ImageNotFoundError: One is not there; nothing was written.
        BlobNotFoundError: A layer is not there any more; nothing was written.
        CorruptError: A stored blob is damaged.
    """
    gathered = _gather(images, wanted)
    outgoing = [
        Outgoing(images.manifest(record.id), images.config(record.id).value.diff_ids, [*own, *names])
        for record, own in gathered.items()
    ]
    write_archive(content, outgoing, out, form=form, check=check)
    return list(gathered)


def write_archive(
    content: Blobs,
    outgoing: Sequence[Outgoing],
    out: Sink,
    *,
    form: str = "docker",
    check: Callable[[], None] | None = None,
) -> None:
    """Write an archive of images whose blobs are at hand; see :func:`save`.

    Args:
        content: The blobs.
        outgoing: The images.
        out: Where to.
        form: As for :func:`save`.
        check: As for :func:`save`.

    Raises:
        BlobNotFoundError: A layer is missing; nothing was written.
        CorruptError: A blob is damaged.
    """
    ready = [_prepare(content, image, docker=form == "docker") for image in outgoing]
    blobs: dict[Digest, _Blob] = {}
    for image in ready:
        _collect_blobs(content, image, blobs)
    writer = TarWriter(out)
    _put(writer, layout.LAYOUT_FILE, layout.LAYOUT_CONTENT)
    _put(writer, layout.INDEX_FILE, encode_index(Index(OCI_INDEX_V1, tuple(_index_entries(ready)))).raw)
    if form == "docker":
        _put(writer, layout.MANIFEST_FILE, _manifest_json(ready))
        if repositories := _repositories(ready):
            _put(writer, layout.REPOSITORIES_FILE, repositories)
    writer.add(TarEntry(b"blobs/", DIRECTORY, 0o755))
    for algorithm in sorted({digest.algorithm for digest in blobs}):
        writer.add(TarEntry(f"blobs/{algorithm}/".encode(), DIRECTORY, 0o755))
    for blob in blobs.values():
        name = layout.blob_path(blob.digest).encode()
        writer.add(TarEntry(name, size=blob.size), _checked(blob.chunks(), check))
    writer.close()


def _gather(images: ImageStore, wanted: Sequence[str]) -> dict[ImageRecord, list[Reference]]:
    """Resolve the arguments; a repository without tag means all its tags, an ID no name."""
    found: dict[ImageRecord, list[Reference]] = {}

    def enter(record: ImageRecord, ref: Reference | None) -> None:
        names = found.setdefault(record, [])
        if ref is not None and ref not in names:
            names.append(ref)

    for text in wanted:
        tags = _tags_of_repository(images, text)
        if tags:
            for ref, identity in tags:
                enter(images.get(identity), ref)
            continue
        record = images.resolve(text)
        name = _as_tag(text)
        enter(record, name if name in images.names(record.id) else None)
    return found


def _as_tag(text: str) -> Reference | None:
    try:
        ref = Reference.parse(text)
    except InvalidReferenceError:  # an ID
        return None
    return None if ref.digest else ref.with_default_tag()


def _tags_of_repository(images: ImageStore, text: str) -> list[tuple[Reference, ImageID]]:
    try:
        ref = Reference.parse(text)
    except InvalidReferenceError:  # an ID
        return []
    if ref.tag or ref.digest:
        return []
    return [
        (name, identity)
        for identity, names in images.all_names().items()
        for name in names
        if name.repository == ref.repository
    ]


def _prepare(content: Blobs, image: Outgoing, *, docker: bool) -> _Image:
    manifest = image.manifest
    stored = manifest.value.layers
    layers = []
    for layer, diff_id in zip(stored, image.diff_ids, strict=True):
        plain = docker and compression_of(layer.media_type) == ZSTD
        if plain or layer.digest not in content:
            layers.append(_plain(content, layer, diff_id))
        else:
            layers.append(layer)
    if tuple(layers) != stored:
        manifest = encode_manifest(replace(manifest.value, layers=tuple(layers)))
    return _Image(manifest, stored, list(image.names))


def _plain(content: Blobs, layer: Descriptor, diff_id: DiffID) -> Descriptor:
    """Describe a layer as its uncompressed tar."""
    if diff_id in content:
        size = content.stat(diff_id).size
    elif layer.digest in content:
        counter = HashingWriter()
        with content.open(layer) as raw:
            copy_stream(open_stream(raw, compression_of(layer.media_type)), counter)
        size = counter.size
    else:
        raise BlobNotFoundError(
            f"layer {layer.digest} is not in the store any more", hint="pull the image again to save it"
        )
    return replace(layer, media_type=layer_type("none", docker=is_docker(layer.media_type)), digest=diff_id, size=size)


def _collect_blobs(content: Blobs, image: _Image, blobs: dict[Digest, _Blob]) -> None:
    manifest = image.manifest
    raw_config = content.read(manifest.value.config)
    for digest, raw in ((manifest.descriptor.digest, manifest.raw), (manifest.value.config.digest, raw_config)):
        blobs.setdefault(digest, _Blob(digest, len(raw), _of_bytes(raw)))
    for layer, stored in zip(manifest.value.layers, image.stored, strict=True):
        if layer.digest not in blobs:
            blobs[layer.digest] = _Blob(layer.digest, layer.size, _of_layer(content, layer, stored))


def _of_bytes(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter((raw,))


def _of_layer(content: Blobs, layer: Descriptor, original: Descriptor) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        stored = layer.digest in content
        with content.open(layer if stored else original) as raw:
            stream = raw if stored else open_stream(raw, compression_of(original.media_type))
            verified = VerifiedReader(stream, layer.digest, layer.size)
            while data := verified.read(CHUNK):
                yield data

    return chunks


def _checked(chunks: Iterator[bytes], check: Callable[[], None] | None) -> Iterator[bytes]:
    for chunk in chunks:
        if check is not None:
            check()
        yield chunk


def _put(writer: TarWriter, name: str, data: bytes) -> None:
    writer.add(TarEntry(name.encode(), size=len(data)), (data,))


def _index_entries(ready: Sequence[_Image]) -> Iterator[Descriptor]:
    for image in ready:
        desc = image.manifest.descriptor
        if not image.names:
            yield desc
        for ref in image.names:
            notes = {layout.CONTAINERD_IMAGE_NAME: ref.canonical, layout.REF_NAME: ref.tag or ""}
            yield replace(desc, annotations=notes)


def _manifest_json(ready: Sequence[_Image]) -> bytes:
    value = [
        {
            "Config": layout.blob_path(image.manifest.value.config.digest),
            "RepoTags": [ref.familiar for ref in image.names] or None,
            "Layers": [layout.blob_path(layer.digest) for layer in image.manifest.value.layers],
        }
        for image in ready
    ]
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _repositories(ready: Sequence[_Image]) -> bytes:
    tables: dict[str, Mapping[str, str]] = {}
    for image in ready:
        layers = image.manifest.value.layers
        top = layers[-1].digest if layers else image.manifest.value.config.digest
        for ref in image.names:
            tables[ref.familiar_repository] = {**tables.get(ref.familiar_repository, {}), ref.tag or "": top.encoded}
    return encode_json(tables) + b"\n" if tables else b""


def require(images: ImageStore, wanted: Sequence[str]) -> None:
    """Make sure that everything to be saved is there, before an output file is opened.

    Raises:
        ImageNotFoundError: Something is not.
    """
    if not _gather(images, wanted):
        raise NotFoundError("there is nothing to save")
