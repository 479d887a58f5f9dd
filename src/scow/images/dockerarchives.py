# SPDX-License-Identifier: Apache-2.0
"""What ``docker save`` writes as an end of a copy: into an OCI layout and out of one, past the store.

An archive that has manifests keeps them, so digests survive. One without (docker before 25) gets a manifest, its layers
compressed as a push would do it; the image's ID stays the same either way.
"""

from __future__ import annotations

import os

from scow.base.streams import BlobMismatchError, HashingReader, HashingWriter, TeeReader, copy_stream
from scow.errors import NotFoundError
from scow.images.intake import Layer, Peeked
from scow.images.members import open_members
from scow.images.plans import find_plans
from scow.images.saving import Outgoing, write_archive
from scow.layer.changeset import Limits
from scow.layer.compression import CompressWriter, detect, open_stream
from scow.oci.decode import decode_config, decode_manifest
from scow.oci.digest import DiffID, Digest
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import OCI_CONFIG_V1, OCI_MANIFEST_V1, layer_type
from scow.oci.model import Descriptor, Manifest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.base.streams import Readable
    from scow.content.layoutdir import LayoutDirectory
    from scow.images.plans import Plan
    from scow.images.saving import Sink
    from scow.oci.model import Document, Platform
    from scow.oci.reference import Reference


class _Taker:
    """Takes an archive's layers into a layout; what ``Intake`` is for the store.

    Args:
        target: The layout.
        limits: Bounds for each layer.
    """

    def __init__(self, target: LayoutDirectory, limits: Limits) -> None:
        self.limits = limits
        self._target = target

    def take(self, source: Readable, *, digest: Digest | None = None, diff_id: DiffID | None = None) -> Layer:
        """Keep one layer, as it is when its digest or a compression is given, else compressed."""
        peeked = Peeked(source)
        compression = detect(peeked.head)
        path = self._target.aside()
        try:
            with open(path, "xb") as file:
                kept = HashingWriter(file, digest.algorithm if digest else "sha256")
                if digest is not None or compression in {"gzip", "zstd"}:
                    found = self._as_it_is(peeked, compression, kept)
                else:
                    found, compression = self._compressed(peeked, compression, kept), "gzip"
            _compare("layer", diff_id, found)
            _compare("blob", digest, kept.digest)
            self._target.adopt(path, kept.digest)
        finally:
            if os.path.exists(path):
                os.unlink(path)
        return Layer(kept.digest, kept.size, compression, found, None, None)

    def _as_it_is(self, source: Readable, compression: str, kept: HashingWriter) -> DiffID:
        tee = TeeReader(source, kept)
        plain = HashingReader(open_stream(tee, compression, limits=self.limits))
        copy_stream(plain, HashingWriter())
        copy_stream(tee, HashingWriter())  # what follows the compressed stream belongs to the blob
        return DiffID(plain.digest)

    def _compressed(self, source: Readable, compression: str, kept: HashingWriter) -> DiffID:
        plain = HashingReader(open_stream(source, compression, limits=self.limits))
        with CompressWriter(kept, "gzip") as out:
            copy_stream(plain, out)
        return DiffID(plain.digest)


def _compare(what: str, expected: Digest | None, found: Digest) -> None:
    if expected is not None and expected != found:
        raise BlobMismatchError(f"{what} {expected} of the archive has the digest {found}")


def unpack_archive(
    archive: str, name: str, target: LayoutDirectory, platform: Platform, limits: Limits | None = None
) -> None:
    """Take one image out of an archive into a layout, where it has no name.

    Args:
        archive: The file, plain or compressed.
        name: One of the image's tags; ``""`` for the only image.
        target: The layout.
        platform: Which image to take of an index with several.
        limits: Bounds for each layer.

    Raises:
        NotFoundError: There is no such file, or no such image in it.
        CorruptError: The archive is damaged.
    """
    try:
        fd = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"cannot open {archive!r}: {os.strerror(error.errno or 0).lower()}") from error
    try:
        members = open_members(fd, _Taker(target, limits or Limits()))
        plans = [plan for plan in find_plans(members, platform) if not name or name in spellings(plan.names)]
        if len(plans) != 1:
            few = "no such image" if not plans else "more than one image"
            raise NotFoundError(f"{archive!r} has {few}", hint="Name one of its images after a colon.")
        plan = plans[0]
        layers = [
            (plan.taken or {}).get(diff_id)
            or members.layer(layer.name, digest=layer.descriptor.digest if layer.descriptor else None, diff_id=diff_id)
            for layer, diff_id in zip(plan.layers, plan.config.value.diff_ids, strict=True)
        ]
        manifest = plan.manifest or _manifest(plan, layers)
        for document in (plan.config, manifest):
            _put(target, document.descriptor, document.raw)
        target.tag(manifest.descriptor, "")
    finally:
        os.close(fd)


def spellings(names: tuple[Reference, ...]) -> set[str]:
    """Every way to write an image's tags."""
    return {text for ref in names for text in (ref.familiar, ref.canonical, ref.tag or "")}


def _manifest(plan: Plan, layers: list[Layer]) -> Document[Manifest]:
    config = plan.config.descriptor
    return encode_manifest(
        Manifest(
            OCI_MANIFEST_V1,
            Descriptor(OCI_CONFIG_V1, config.digest, config.size),
            tuple(Descriptor(layer_type(layer.compression), layer.digest, layer.size) for layer in layers),
        )
    )


def _put(target: LayoutDirectory, desc: Descriptor, raw: bytes) -> None:
    import io

    target.push(desc, io.BytesIO(raw))


class _Size(NamedTuple):
    size: int


class _Blobs:
    """A layout's blobs, as ``saving`` reads those of the store."""

    def __init__(self, source: LayoutDirectory) -> None:
        self._source = source

    def __contains__(self, digest: object, /) -> bool:
        return isinstance(digest, Digest) and self._source.exists(_pointer(digest))

    def open(self, target: Descriptor | Digest) -> BinaryIO:
        return self._source.fetch(_pointer(target) if isinstance(target, Digest) else target)

    def read(self, target: Descriptor) -> bytes:
        from scow.base.streams import VerifiedReader

        with self.open(target) as file:
            return VerifiedReader(file, target.digest, target.size).read()

    def stat(self, digest: Digest) -> _Size:
        with self.open(digest) as file:
            return _Size(os.fstat(file.fileno()).st_size)


def _pointer(digest: Digest) -> Descriptor:
    return Descriptor("application/octet-stream", digest, 0)


def pack_archive(source: LayoutDirectory, name: Reference | None, out: Sink) -> None:
    """Write the only image of a layout as an archive that every docker reads.

    Args:
        source: The layout.
        name: The image's name in the archive.
        out: Where to.

    Raises:
        NotFoundError: The layout has no image, or several.
        CorruptError: It is damaged.
    """
    top = source.resolve("")
    blobs = _Blobs(source)
    manifest = decode_manifest(blobs.read(top), top.media_type)
    config = decode_config(blobs.read(manifest.value.config), manifest.value.config.media_type)
    write_archive(blobs, [Outgoing(manifest, config.value.diff_ids, [name] if name else [])], out)
