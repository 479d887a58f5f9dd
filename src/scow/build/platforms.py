# SPDX-License-Identifier: Apache-2.0
"""One build for several platforms: an image for each, and an index over all.

The store's names mean one image: tags go to this machine's platform, or to the first one. The index is kept beside that
image; ``--output type=oci`` writes it out, and a push of a name with an index pushes all its images.
"""

from __future__ import annotations

import os

from scow.build.builder import BuildResult
from scow.build.options import Output
from scow.errors import UnsupportedError
from scow.images.wholes import keep_whole
from scow.oci.encode import encode_index
from scow.oci.mediatype import OCI_INDEX_V1
from scow.oci.model import Descriptor, Index
from scow.oci.platform import host_platform, score
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.base.leases import Lease
    from scow.build.builder import Builder, Rooms
    from scow.build.events import BuildProgress, Ledger
    from scow.build.options import BuildOptions
    from scow.images.store import ImageRecord
    from scow.oci.model import Document, Platform


def build_each(
    builder: Builder,
    rooms: Rooms,
    options: BuildOptions,
    ledger: Ledger,
    progress: BuildProgress,
    check: Callable[[], None],
) -> BuildResult:
    """Build for every platform of the options.

    Args:
        builder: Builds one.
        rooms: What it works with.
        options: Of the build.
        ledger: Told of what comes after the builds.
        progress: Told of the builds.
        check: Raises to stop.

    Returns:
        The image that the names mean.

    Raises:
        UnsupportedError: An output that can hold one image only.
    """
    for wanted in options.outputs:
        if wanted.type not in ("oci", "image", "registry", "local"):
            raise UnsupportedError(
                f"the output {wanted.type} holds one platform",
                hint="write several with type=oci or type=local",
            )
    images = not options.outputs or any(wanted.type != "local" for wanted in options.outputs)
    records: list[ImageRecord] = []
    cached = run = 0
    emulated = 0.0
    for platform in options.platforms:
        one = options._replace(platforms=(platform,), tags=(), outputs=_outputs_of(options, platform, images=images))
        result = builder.build(one, progress, check=check)
        if result.image is not None:
            records.append(result.image)
        cached, run, emulated = cached + result.cached, run + result.run, emulated + result.emulated
    if not images:
        return BuildResult(None, cached, run, emulated=emulated)
    with rooms.leases.hold("build index") as lease:
        document = _index(rooms, records)
        rooms.content.put(document.raw, lease)
        chosen = _chosen(records)
        with ledger.internal("exporting manifest list"):
            _enter(rooms, options, chosen, records, document, lease)
        for wanted in options.outputs:
            if wanted.type == "oci" and wanted.destination:
                with ledger.internal("exporting to oci image format"):
                    _write_layout(rooms, options, records, document, wanted)
    return BuildResult(chosen, cached, run, emulated=emulated)


def _outputs_of(options: BuildOptions, platform: Platform, *, images: bool) -> tuple[Output, ...]:
    """What the build for one platform writes: its image, and its files in directories of its own."""
    place = str(platform).replace("/", "_")
    trees = [
        wanted._replace(destination=os.path.join(wanted.destination, place))
        for wanted in options.outputs
        if wanted.type == "local"
    ]
    return (*([Output("image")] if images else []), *trees)


def _index(rooms: Rooms, records: Sequence[ImageRecord]) -> Document[Index]:
    manifests = []
    for record in records:
        platform = rooms.images.config(record.id).value.platform
        size = rooms.content.stat(record.manifest).size
        manifests.append(Descriptor(record.media_type, record.manifest, size, platform=platform))
    return encode_index(Index(OCI_INDEX_V1, tuple(manifests)))


def _chosen(records: Sequence[ImageRecord]) -> ImageRecord:
    """The image for this machine, or the first."""
    from scow.oci.model import Platform

    here = host_platform(os.uname().machine)
    fits = [record for record in records if score(here, Platform(record.os, record.architecture, record.variant))]
    return (fits or list(records))[0]


def _enter(
    rooms: Rooms,
    options: BuildOptions,
    chosen: ImageRecord,
    records: Sequence[ImageRecord],
    document: Document[Index],
    lease: Lease,
) -> None:
    """Tag the image for this machine, and keep the index and the other images with it."""
    manifest = rooms.images.manifest(chosen.id).descriptor
    index = document.descriptor.digest
    with rooms.db.write():
        rooms.images.add(manifest, lease, keep=(index,))
        keep_whole(rooms.leases, chosen, index, records)
        for tag in options.tags:
            rooms.images.tag(tag, chosen.id, index)


def _write_layout(
    rooms: Rooms, options: BuildOptions, records: Sequence[ImageRecord], document: Document[Index], wanted: Output
) -> None:
    """Write an OCI layout with all images, as a directory or an archive."""
    from scow.base.files import temporary_directory
    from scow.build.output import sink
    from scow.images.places import pack_layout

    if wanted.attributes.get("tar", "true").lower() in ("0", "false"):
        _fill_layout(wanted.destination, rooms, options, records, document)
        return
    with temporary_directory(os.path.join(rooms.root, "tmp"), "layout-") as place, sink(wanted.destination) as out:
        _fill_layout(place, rooms, options, records, document)
        pack_layout(place, out)


def _fill_layout(
    place: str, rooms: Rooms, options: BuildOptions, records: Sequence[ImageRecord], document: Document[Index]
) -> None:
    from scow.content.layoutdir import LayoutDirectory

    layout = LayoutDirectory(place, create=True)
    for record in records:
        manifest = rooms.images.manifest(record.id)
        for desc in (manifest.value.config, *manifest.value.layers, manifest.descriptor):
            with rooms.content.open(desc) as file:
                layout.push(desc, file)
    with rooms.content.open(document.descriptor.digest) as file:
        layout.push(document.descriptor, file)
    for name in [tag.canonical for tag in options.tags] or [""]:
        layout.tag(replace(document.descriptor), name)
