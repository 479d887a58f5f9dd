# SPDX-License-Identifier: Apache-2.0
"""Which images an archive holds, and where in it their parts are.

``manifest.json`` (docker, podman) names images; ``index.json`` (an OCI layout) has manifests, and often both are
there: then docker's file says which images and names, the layout gives the exact manifests. Archives of docker before
1.10 have ``repositories`` and one directory for each layer (``legacy``). All of it is hostile input: sizes, counts and
names are checked before anything is read.
"""

from __future__ import annotations

import json

from scow.errors import LimitError
from scow.images.members import ArchiveError, plain
from scow.oci import layout
from scow.oci.decode import MalformedDocumentError, decode_config, decode_index, decode_manifest
from scow.oci.mediatype import DOCKER_CONFIG_V1, OCI_CONFIG_V1, is_index, is_manifest
from scow.oci.model import Platform
from scow.oci.platform import host_platform, score
from scow.oci.reference import InvalidReferenceError, Reference
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scow.images.intake import Layer
    from scow.images.members import Members
    from scow.oci.digest import DiffID, Digest
    from scow.oci.model import Descriptor, Document, ImageConfig, Index, Manifest

MAX_IMAGES = 4096
_CONFIGS = frozenset({OCI_CONFIG_V1, DOCKER_CONFIG_V1})
_MAX_NESTING = 4


class PlannedLayer(NamedTuple):
    """One layer of an image in an archive.

    Args:
        name: The member that holds it.
        descriptor: What the manifest says of it, when there is a manifest.
    """

    name: str
    descriptor: Descriptor | None


class Plan(NamedTuple):
    """One image in an archive.

    Args:
        config: Its config, verified as far as the archive allows.
        layers: Its layers, lowest first.
        names: The tags it asks for.
        manifest: Its manifest, when the archive has one.
        indexes: The indexes above the manifest, as bytes.
        taken: Layers that had to be taken in to find out about the image.
    """

    config: Document[ImageConfig]
    layers: tuple[PlannedLayer, ...]
    names: tuple[Reference, ...]
    manifest: Document[Manifest] | None = None
    indexes: tuple[bytes, ...] = ()
    taken: dict[DiffID, Layer] | None = None


def find_plans(members: Members, platform: Platform | None = None) -> list[Plan]:
    """Find out which images an archive holds.

    Args:
        members: The archive's files.
        platform: Which image to take of an index with several; the host's when ``None``.

    Returns:
        The images, in the archive's order.

    Raises:
        ArchiveError: It holds none, or a part is missing.
        CorruptError: A document is damaged.
        LimitError: It has too many.
        ReservedNameError: An image is to be named ``scratch``.
    """
    if platform is None:
        import os

        platform = host_platform(os.uname().machine)
    in_layout: list[Plan] = []
    if layout.INDEX_FILE in members and layout.LAYOUT_FILE in members:
        in_layout = list(_plans_of_layout(members, platform))
    if layout.MANIFEST_FILE in members:
        return _with_manifests(_plans_of_docker(members), in_layout)
    if in_layout:
        return _merged(in_layout)
    if layout.REPOSITORIES_FILE in members:
        from scow.images.legacy import plans_of_legacy

        return plans_of_legacy(members)
    raise ArchiveError(
        "the archive holds no image: there is neither manifest.json nor index.json in it",
        hint="to make an image of a file system use 'scow import'",
    )


# ---------------------------------------------------------------------- docker's manifest.json


def _plans_of_docker(members: Members) -> list[Plan]:
    try:
        value = json.loads(members.read(layout.MANIFEST_FILE))
    except (ValueError, RecursionError) as error:
        raise MalformedDocumentError(f"the archive's manifest.json is not JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise MalformedDocumentError("the archive's manifest.json is not a list of objects")
    if len(value) > MAX_IMAGES:
        raise LimitError(f"the archive has more than {MAX_IMAGES} images")
    return [_plan_of_docker(members, item) for item in value]


def _plan_of_docker(members: Members, item: dict[str, Any]) -> Plan:
    config_name = item.get("Config")
    layers, tags = item.get("Layers") or [], item.get("RepoTags") or []
    if not isinstance(config_name, str) or not _all_texts(layers) or not _all_texts(tags):
        raise MalformedDocumentError("the archive's manifest.json has an entry that is no image")
    config = decode_config(members.read(plain(config_name.encode())))
    if len(config.value.diff_ids) != len(layers):
        raise MalformedDocumentError(
            f"the archive has {len(layers)} layers for an image whose config names {len(config.value.diff_ids)}"
        )
    planned = tuple(PlannedLayer(plain(name.encode()), None) for name in layers)
    for layer in planned:
        if layer.name not in members:
            raise ArchiveError(f"the archive has no file {layer.name!r}, a layer that manifest.json names")
    return Plan(config, planned, tuple(_tag(tag) for tag in tags))


def _all_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tag(text: str) -> Reference:
    ref = Reference.parse(text)
    if ref.digest or not ref.tag:
        raise InvalidReferenceError(f"the archive wants to tag an image {text[:200]!r}")
    return ref


def _with_manifests(plans: list[Plan], in_layout: list[Plan]) -> list[Plan]:
    """Give docker's images the exact manifests of the layout beside them."""
    known = {plan.config.descriptor.digest: plan for plan in in_layout}
    merged = []
    for plan in plans:
        other = known.get(plan.config.descriptor.digest)
        merged.append(plan if other is None else other._replace(names=plan.names))
    return merged


# ---------------------------------------------------------------------- OCI layouts


def _plans_of_layout(members: Members, platform: Platform) -> Iterator[Plan]:
    index = decode_index(members.read(layout.INDEX_FILE))
    if len(index.value.manifests) > MAX_IMAGES:
        raise LimitError(f"the archive has more than {MAX_IMAGES} images")
    several = len(index.value.manifests) > 1 and not any(_names(desc) for desc in index.value.manifests)
    entries = _fitting(members, index, platform) if several else index.value.manifests
    for desc in entries:
        plan = _plan_of_layout(members, desc, platform, ())
        if plan is not None:
            yield plan._replace(names=_names(desc))


def _names(desc: Descriptor) -> tuple[Reference, ...]:
    full = desc.annotations.get(layout.CONTAINERD_IMAGE_NAME)
    if full:
        return (Reference.parse(full).with_default_tag(),)
    name = desc.annotations.get(layout.REF_NAME, "")
    # A tag alone names nothing here: skopeo and umoci write it for whoever knows the directory's name.
    if ":" in name or "/" in name:
        try:
            ref = Reference.parse(name)
        except InvalidReferenceError:
            return ()
        return () if ref.digest else (ref.with_default_tag(),)
    return ()


def _fitting(members: Members, index: Document[Index], platform: Platform) -> tuple[Descriptor, ...]:
    """Choose from an index of one image for several platforms; all of them when it says no platforms."""
    present = [desc for desc in index.value.manifests if layout.blob_path(desc.digest) in members]
    if not all(desc.platform for desc in present):
        return tuple(present)
    best = max(present, key=lambda desc: score(platform, desc.platform or Platform()), default=None)
    return (best,) if best is not None else ()


def _plan_of_layout(members: Members, desc: Descriptor, platform: Platform, above: tuple[bytes, ...]) -> Plan | None:
    if len(above) > _MAX_NESTING:
        raise LimitError(f"the archive's indexes are nested deeper than {_MAX_NESTING}")
    raw = _verified(members, desc)
    if is_index(desc.media_type):
        index = decode_index(raw, desc.media_type)
        for entry in _fitting(members, index, platform):
            return _plan_of_layout(members, entry, platform, (*above, raw))
        raise ArchiveError(f"the archive has none of the images of its index {desc.digest}")
    if not is_manifest(desc.media_type):
        return None
    manifest = decode_manifest(raw, desc.media_type)
    if manifest.value.config.media_type not in _CONFIGS:
        return None
    config = decode_config(_verified(members, manifest.value.config), manifest.value.config.media_type)
    if len(config.value.diff_ids) != len(manifest.value.layers):
        raise MalformedDocumentError(
            f"the archive has {len(manifest.value.layers)} layers for an image whose config names "
            f"{len(config.value.diff_ids)}"
        )
    layers = tuple(PlannedLayer(layout.blob_path(layer.digest), layer) for layer in manifest.value.layers)
    return Plan(config, layers, (), manifest, above)


def _verified(members: Members, desc: Descriptor) -> bytes:
    """Read a document of a layout and hold it to its digest."""
    from scow.base.streams import BlobMismatchError

    raw = members.read(layout.blob_path(desc.digest))
    if len(raw) != desc.size or digest_of(raw, desc.digest) != desc.digest:
        raise BlobMismatchError(f"the archive's blob {desc.digest} is not what its name says")
    return raw


def digest_of(raw: bytes, like: Digest) -> str:
    """Hash bytes with the algorithm of another digest.

    Args:
        raw: The bytes.
        like: Says which algorithm.

    Returns:
        The digest as text.
    """
    import hashlib

    return f"{like.algorithm}:{hashlib.new(like.algorithm, raw).hexdigest()}"


def _merged(plans: list[Plan]) -> list[Plan]:
    """Make one of the entries that name the same image."""
    merged: dict[Digest, Plan] = {}
    for plan in plans:
        key = plan.config.descriptor.digest
        if key in merged:
            names = dict.fromkeys((*merged[key].names, *plan.names))
            merged[key] = merged[key]._replace(names=tuple(names))
        else:
            merged[key] = plan
    return list(merged.values())
