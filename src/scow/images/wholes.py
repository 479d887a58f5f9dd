# SPDX-License-Identifier: Apache-2.0
"""Names that stand for images of several platforms at once: an index whose images are all in the store.

Such a name comes from a build for several platforms or a copy of a whole image into the store. To ``run`` and
``inspect`` it means the one image for this machine, as with docker; a push sends the index and all its images.
"""

from __future__ import annotations

from scow.errors import ScowError
from scow.oci.decode import decode_index, decode_manifest
from scow.oci.digest import Digest, ImageID
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.base.leases import Leases
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.model import Descriptor, Document, Index


class Part(NamedTuple):
    """One entry of an index.

    Attributes:
        descriptor: What the index says of it.
        record: The image; ``None`` for what is none, such as an attestation, whose blobs are kept as they came.
    """

    descriptor: Descriptor
    record: ImageRecord | None


class Whole(NamedTuple):
    """An index with all that stands in it."""

    document: Document[Index]
    parts: tuple[Part, ...]


def index_of(images: ImageStore, ref: Reference) -> Digest | None:
    """The index that a tag stands for, if it does."""
    name = ref.with_default_tag().canonical
    with images.db.read() as connection:
        row = connection.execute("SELECT whole FROM names WHERE name = ?", (name,)).fetchone()
    return Digest(row[0]) if row and row[0] else None


def whole_of(images: ImageStore, name: str, record: ImageRecord) -> Digest | None:
    """The index that a name stands for, as long as the name means an image by its tag and not by its ID."""
    try:
        ref = Reference.parse(name)
    except ScowError:
        return None
    if ref.digest or images.owner_of(ref) != record.id:
        return None
    return index_of(images, ref)


def find_whole(images: ImageStore, digest: Digest) -> Whole | None:
    """Find the images of an index.

    Args:
        images: The store's images.
        digest: The index.

    Returns:
        ``None`` when one of them is not here any more.
    """
    try:
        document = decode_index(images.content.read(digest))
        parts = [_part(images, desc) for desc in document.value.manifests]
    except ScowError:
        return None
    return Whole(document, tuple(parts))


def _part(images: ImageStore, desc: Descriptor) -> Part:
    """Find one entry of an index.

    Raises:
        ScowError: It is not here.
    """
    value = decode_manifest(images.content.read(desc), desc.media_type).value
    identity = ImageID(value.config.digest)
    if identity in images:
        return Part(desc, images.get(identity))
    for blob in (value.config, *value.layers):
        images.content.stat(blob.digest)
    return Part(desc, None)


def keep_whole(leases: Leases, chosen: ImageRecord, index: Digest, others: Sequence[ImageRecord]) -> None:
    """Let the image that has the name keep the index and the other images; inside a transaction.

    Args:
        leases: The store's references.
        chosen: The image for this machine.
        index: The index.
        others: Its images.
    """
    leases.link(f"image:{chosen.id}", "blob", index)
    for record in others:
        if record.id != chosen.id:
            leases.link(f"image:{chosen.id}", "image", record.id)
