# SPDX-License-Identifier: Apache-2.0
"""New images from old ones: a changed config, more layers on top.

Layers of images made here are uncompressed tar blobs, whose digest is the DiffID; a push compresses them.
"""

from __future__ import annotations

from scow.content.store import BlobNotFoundError
from scow.errors import InvalidArgumentError
from scow.oci.encode import encode_config, encode_manifest
from scow.oci.mediatype import (
    OCI_CONFIG_V1,
    OCI_LAYER,
    OCI_LAYER_NONDIST,
    OCI_LAYER_NONDIST_GZIP,
    OCI_LAYER_NONDIST_ZSTD,
    OCI_MANIFEST_V1,
    compression_of,
    is_docker,
    is_nondistributable,
    layer_type,
)
from scow.oci.model import Descriptor, Manifest
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scow.base.leases import Lease
    from scow.content.store import ContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import ChainID, DiffID
    from scow.oci.model import ImageConfig
    from scow.oci.reference import Reference

_NONDIST = {"none": OCI_LAYER_NONDIST, "gzip": OCI_LAYER_NONDIST_GZIP, "zstd": OCI_LAYER_NONDIST_ZSTD}


def new_image(
    images: ImageStore,
    content: ContentStore,
    base: ImageRecord | None,
    config: ImageConfig,
    layers: Sequence[tuple[DiffID, int]],
    lease: Lease,
    names: Iterable[Reference] = (),
    *,
    annotations: Mapping[str, str] | None = None,
    parent: ImageRecord | None = None,
    sizes: Mapping[ChainID, int] | None = None,
) -> ImageRecord:
    """Make an image of a base, more layers and a config, and enter it.

    Args:
        images: Where it is entered.
        content: Where its documents are put and its layers are.
        base: The image whose layers come first, or ``None``.
        config: The whole config, history included; its ``diff_ids`` are those of the base, or of the base and
            ``layers``.
        layers: DiffID and tar size in bytes of each further layer, lowest first; the tars are blobs, held by ``lease``.
        lease: Keeps everything until the image is entered.
        names: Tags for it.
        annotations: For the manifest.
        parent: The image shown as its parent, for ``commit`` and the classic builder; often ``base``.
        sizes: Bytes of file data of its chains, as far as they are known.

    Returns:
        The image's record.

    Raises:
        InvalidArgumentError: The config's DiffIDs are others than those of its layers.
    """
    below: tuple[DiffID, ...] = ()
    descriptors: list[Descriptor] = []
    if base is not None:
        below = images.config(base.id).value.diff_ids
        descriptors = [_as_oci(layer) for layer in images.manifest(base.id).value.layers]
    whole = (*below, *(diff for diff, _ in layers))
    if config.diff_ids not in (below, whole):
        raise InvalidArgumentError("the config names other layers than the image has")
    for diff, size in layers:
        descriptors.append(Descriptor(OCI_LAYER, diff, _blob_size(content, diff, size)))
    for layer in descriptors:
        content.hold(layer.digest, lease)
    document = encode_config(replace(config, diff_ids=whole))
    config_digest = content.put(document.raw, lease)
    manifest = encode_manifest(
        Manifest(
            OCI_MANIFEST_V1,
            Descriptor(OCI_CONFIG_V1, config_digest, len(document.raw)),
            tuple(descriptors),
            annotations=dict(annotations or {}),
        )
    )
    content.put(manifest.raw, lease)
    return images.add(manifest.descriptor, lease, names, sizes=sizes, parent=parent.id if parent else None)


def withdraw(images: ImageStore, record: ImageRecord, lease: Lease) -> None:
    """Remove an image again, unless somebody named it, entered the same one, or works with it since it was entered.

    Args:
        images: Where it was entered.
        record: As ``new_image`` gave it.
        lease: The one that ``new_image`` was given.
    """
    with images.db.write():
        if record.id not in images or images.get(record.id).added != record.added or images.names(record.id):
            return
        if set(images.leases.owners("image", record.id, "lease:")) <= {lease.owner}:
            images.remove(record.id)


def _blob_size(content: ContentStore, diff: DiffID, size: int) -> int:
    try:
        return content.stat(diff).size
    except BlobNotFoundError:
        return size


def _as_oci(layer: Descriptor) -> Descriptor:
    """Name a layer's type in OCI's words; the bytes are the same."""
    if not is_docker(layer.media_type):
        return layer
    compression = compression_of(layer.media_type)
    other = _NONDIST[compression] if is_nondistributable(layer.media_type) else layer_type(compression)
    return replace(layer, media_type=other)
