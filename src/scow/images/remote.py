# SPDX-License-Identifier: Apache-2.0
"""What registries say about images that need not be here: inspecting, tags with dates, deleting, what is outdated."""

from __future__ import annotations

import json

from scow.base.clock import ZERO
from scow.base.tasks import TaskGroup
from scow.errors import NotFoundError, ScowError
from scow.images.fetching import first_failure
from scow.images.inspect import config_members
from scow.images.listing import path_pattern
from scow.images.pulling import choose
from scow.oci import layout
from scow.oci.decode import MAX_CONFIG_SIZE, decode_config, decode_index, decode_manifest
from scow.oci.encode import descriptor_members
from scow.oci.mediatype import is_docker, is_index
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scow.distribution.repository import Fetched, Repository
    from scow.images.store import ImageRecord
    from scow.images.transfer import Transfers
    from scow.oci.model import Descriptor, Document, ImageConfig, Manifest, Platform

_PARALLEL = 6


class RemoteImage(NamedTuple):
    """One image in a registry.

    Attributes:
        top: What the name means: a manifest or an index.
        manifest: The manifest for the platform.
        config: Its config.
    """

    top: Fetched
    manifest: Document[Manifest]
    config: Document[ImageConfig]


def look_up(repository: Repository, name: str, platform: Platform, shown: Reference) -> RemoteImage:
    """Fetch an image's documents, and no layer.

    Raises:
        NotFoundError: There is no such image, or not for this platform.
        CorruptError: A document is not what its digest promises.
    """
    from scow.distribution.blobs import read_blob

    top = fetched = repository.manifest(name)
    while is_index(fetched.descriptor.media_type):
        entries = decode_index(fetched.raw, fetched.descriptor.media_type).value.manifests
        entry = choose(entries, platform, shown)
        fetched = repository.manifest(entry.digest, entry)
    manifest = decode_manifest(fetched.raw, fetched.descriptor.media_type)
    desc = manifest.value.config
    if desc.size > MAX_CONFIG_SIZE:
        raise NotFoundError(f"{shown.familiar} has no config that could be shown")
    return RemoteImage(top, manifest, decode_config(read_blob(repository, desc), desc.media_type))


class Shown(NamedTuple):
    """One image of which a manifest is to be shown.

    Attributes:
        ref: What it is called.
        source: Where it is, by digest.
        descriptor: What is said of it.
    """

    ref: str
    source: Reference
    descriptor: Descriptor


def remote_manifest(transfers: Transfers, name: str) -> Any:
    """The manifest or index that a name means in its registry, as parsed JSON."""
    reference = Reference.parse(name).with_default_tag()
    top = transfers.client.repository(reference).manifest(reference.digest or reference.tag or "latest")
    return json.loads(top.raw)


def remote_manifests(transfers: Transfers, name: str) -> dict[str, Any] | list[dict[str, Any]]:
    """What ``docker manifest inspect --verbose`` says: an object for an image, a list of them for an index."""
    reference = Reference.parse(name).with_default_tag()
    repository = transfers.client.repository(reference)
    top = repository.manifest(reference.digest or reference.tag or "latest").descriptor
    if not is_index(top.media_type):
        return manifest_row(transfers, Shown(reference.canonical, reference.with_digest(top.digest), top))
    with repository.fetch(top) as stream:
        entries = decode_index(stream.read(), top.media_type).value.manifests
    return [
        manifest_row(
            transfers,
            Shown(reference._replace(digest=entry.digest).canonical, reference.with_digest(entry.digest), entry),
        )
        for entry in entries
    ]


def manifest_row(transfers: Transfers, shown: Shown) -> dict[str, Any]:
    """One image's descriptor, its manifest's bytes in base64, and what they say.

    Raises:
        ScowError: It cannot be fetched, or is not what the descriptor says.
    """
    from base64 import b64encode

    from scow.record import replace

    repository = transfers.client.repository(shown.source)
    desc = shown.descriptor
    raw = repository.manifest(desc.digest, desc).raw
    if desc.platform is None and not is_index(desc.media_type):
        try:
            config = look_up(repository, desc.digest, transfers.platform(), shown.source).config
            desc = replace(desc, platform=config.value.platform)
        except (ScowError, ValueError):
            pass  # an artifact, which is for no platform
    kind = "SchemaV2Manifest" if is_docker(desc.media_type) else "OCIManifest"
    members = descriptor_members(desc)
    return {"Ref": shown.ref, "Descriptor": members, "Raw": b64encode(raw).decode(), kind: json.loads(raw)}


def inspect_remote(transfers: Transfers, name: str, platform: str = "") -> dict[str, Any]:
    """Describe an image in a registry as docker describes a local one.

    Args:
        transfers: The way to registries.
        name: What the user typed.
        platform: Wanted; ``""`` for the usual.
    """
    reference = Reference.parse(name).with_default_tag()
    repository = transfers.client.repository(reference)
    wanted = transfers.platform(platform)
    image = look_up(repository, reference.digest or reference.tag or "latest", wanted, reference)
    config = image.config.value
    manifest = image.manifest.value
    value: dict[str, Any] = {
        "Id": manifest.config.digest,
        "RepoTags": [reference.familiar] if reference.tag else [],
        "RepoDigests": [reference.with_digest(image.top.descriptor.digest).familiar],
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or ZERO,
        "DockerVersion": config.extra.get("docker_version") or "",
        "Author": config.author,
        "Config": config_members(config.config),
        "Architecture": config.platform.architecture,
        "Os": config.platform.os,
        "Size": sum(layer.size for layer in manifest.layers),
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Descriptor": descriptor_members(image.manifest.descriptor),
        "Layers": [descriptor_members(layer) for layer in manifest.layers],
    }
    if config.platform.variant:
        value["Variant"] = config.platform.variant
    if is_index(image.top.descriptor.media_type):
        entries = decode_index(image.top.raw, image.top.descriptor.media_type).value.manifests
        value["Platforms"] = [str(entry.platform) for entry in entries if entry.platform is not None]
    return value


# ---------------------------------------------------------------------------------------------------------- tags


class TagInfo(NamedTuple):
    """One tag.

    Attributes:
        name: The tag.
        digest: What it means, ``""`` when that was not asked.
        created: When its image was made, RFC 3339, ``""`` when that was not asked or it does not say.
        size: Bytes of its compressed layers, 0 when that was not asked.
    """

    name: str
    digest: str = ""
    created: str = ""
    size: int = 0


def list_tags(
    transfers: Transfers, name: str, *, match: str = "", sort: str = "name", details: bool = False
) -> list[TagInfo]:
    """List the tags of a repository.

    Args:
        transfers: The way to registries.
        name: The repository.
        match: Only tags that fit this pattern of ``*``, ``?`` and ``[...]``, as in filters of images.
        sort: ``name``, ``version`` (semantic versions, the newest first) or ``date`` (the newest first).
        details: Ask for digest, date and size of each, which costs requests.

    Raises:
        InvalidFilterError: ``match`` is no pattern.
        RegistryNotFoundError: There is no such repository.
    """
    reference = Reference.parse(name)
    pattern = path_pattern(match or "*")
    repository = transfers.client.repository(reference)
    names = sorted(tag for tag in set(repository.tags()) if pattern.fullmatch(tag))
    found = [TagInfo(tag) for tag in names]
    if details or sort == "date":
        wanted = transfers.platform()
        group = TaskGroup(_PARALLEL)
        group.on_cancel(repository.origin.stopper.stop)
        with first_failure(), group:
            tasks = [group.spawn(_details, repository, tag, wanted, reference) for tag in names]
        found = [task.result() for task in tasks]
    if sort == "version":
        found.sort(key=lambda info: version_key(info.name), reverse=True)
    elif sort == "date":
        found.sort(key=lambda info: (info.created, info.name), reverse=True)
    return found


def _details(repository: Repository, tag: str, platform: Platform, reference: Reference) -> TagInfo:
    try:
        image = look_up(repository, tag, platform, reference.with_tag(tag))
    except NotFoundError:
        # not for this platform, or deleted meanwhile: what the tag means is still worth knowing
        try:
            return TagInfo(tag, repository.resolve(tag).digest)
        except NotFoundError:
            return TagInfo(tag)
    size = sum(layer.size for layer in image.manifest.value.layers)
    return TagInfo(tag, image.top.descriptor.digest, image.config.value.created or "", size)


def version_key(tag: str) -> tuple[Any, ...]:
    """Orders tags as semantic versions, leniently: ``1.10`` after ``1.9``, a release after its candidates.

    Tags that begin with no number come before all that do.

    Source: Semantic Versioning 2.0.0, section 11.
    """
    text = tag.removeprefix("v").partition("+")[0]
    core, dash, suffix = text.partition("-")
    numbers = core.split(".")
    if not all(part.isascii() and part.isdigit() for part in numbers):
        return (0, (), 0, (), tag)
    padded = tuple(map(int, numbers))
    pieces = tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in suffix.split("."))
    return (1, padded, 0 if dash else 1, pieces, tag)


# ------------------------------------------------------------------------------------------------------ deleting


def delete_remote(transfers: Transfers, name: str) -> str:
    """Delete a tag, or a manifest by digest, in a registry.

    Args:
        transfers: The way to registries.
        name: With a tag or a digest; ``latest`` is implied.

    Returns:
        What was deleted.

    Raises:
        RegistryUnsupportedError: The registry does not allow it.
        RegistryNotFoundError: There is none.
    """
    from scow.distribution.spec import RegistryRefusedError, RegistryUnsupportedError

    reference = Reference.parse(name).with_default_tag()
    repository = transfers.client.repository(reference, push=True)
    wanted = reference.digest or reference.tag or "latest"
    try:
        repository.delete(wanted)
    except (RegistryUnsupportedError, RegistryRefusedError) as error:
        if reference.digest:
            raise
        digest = repository.resolve(wanted).digest
        raise RegistryUnsupportedError(
            error.message,
            hint="This registry may only delete by digest, together with all tags of the image:"
            f" {reference.with_digest(digest).familiar}",
        ) from error
    return reference.familiar


# ------------------------------------------------------------------------------------------------------ outdated


class Standing(NamedTuple):
    """How a local name, or the base of a local image, compares with its registry.

    Attributes:
        name: The local name.
        kind: ``image`` or ``base``.
        source: What was asked for in the registry.
        here: The digest known here, ``""`` when none is.
        there: The digest in the registry, ``""`` when it could not be had.
        status: ``current``, ``outdated``, ``gone`` or ``unknown``.
        error: Why the status is unknown, or what the registry said of an image that is gone.
    """

    name: str
    kind: str
    source: str
    here: str
    there: str
    status: str
    error: str = ""


def outdated(transfers: Transfers, names: Sequence[str] = ()) -> list[Standing]:
    """Compare local images and their bases with their registries.

    Args:
        transfers: The store and the way to registries.
        names: Only these; empty for every name that came from a registry or was pushed to one.

    Raises:
        ImageNotFoundError: A given name is not here.
    """
    images = transfers.images
    wanted: list[tuple[Reference, ImageRecord]]
    if names:
        wanted = [(Reference.parse(text).with_default_tag(), images.resolve(text)) for text in names]
    else:
        records = {record.id: record for record in images}
        wanted = [(ref, records[i]) for i, refs in images.all_names().items() for ref in refs if i in records]
    jobs: list[Callable[[], Standing]] = []
    for reference, record in sorted(wanted):
        known = [ref.digest or "" for ref in images.digests(record.id) if ref.repository == reference.repository]
        if known or names:
            why = f"it was neither pulled from nor pushed to {reference.familiar_repository}"
            jobs.append(_job(transfers, reference.familiar, "image", reference, known, why))
        base, base_digest = base_of(transfers, record)
        if base is not None:
            why = "the image does not say which digest its base had"
            jobs.append(_job(transfers, reference.familiar, "base", base, [base_digest] if base_digest else [], why))
    group = TaskGroup(_PARALLEL)
    with group:
        tasks = [group.spawn(job) for job in jobs]
    return [task.result() for task in tasks]


def base_of(transfers: Transfers, record: ImageRecord) -> tuple[Reference | None, str]:
    """The image that another one says it was made on, by the standard annotations or labels.

    Source: OCI image-spec v1.1, annotations.md.
    """
    try:
        manifest = transfers.images.manifest(record.id).value
        labels = transfers.images.config(record.id).value.config.labels
        notes = {**labels, **manifest.annotations}
        name = notes.get(layout.BASE_NAME, "")
        return (Reference.parse(name).with_default_tag(), notes.get(layout.BASE_DIGEST, "")) if name else (None, "")
    except ScowError:
        return None, ""


def _job(
    transfers: Transfers, name: str, kind: str, source: Reference, known: Sequence[str], without: str
) -> Callable[[], Standing]:
    """Ask about one name; pushed with another compression, an image is known by several digests.

    Args:
        transfers: The way to registries.
        name: The local name.
        kind: ``image`` or ``base``.
        source: What to ask for.
        known: The digests it is known by here.
        without: Why there may be none.
    """

    def ask() -> Standing:
        here = known[0] if known else ""
        try:
            there = transfers.client.repository(source).resolve(source.tag or "latest").digest
        except NotFoundError as error:
            return Standing(name, kind, source.familiar, here, "", "gone", error.message)
        except ScowError as error:
            return Standing(name, kind, source.familiar, here, "", "unknown", error.message)
        if not here:
            return Standing(name, kind, source.familiar, "", there, "unknown", without)
        status = "current" if there in known else "outdated"
        return Standing(name, kind, source.familiar, there if there in known else here, there, status)

    return ask
