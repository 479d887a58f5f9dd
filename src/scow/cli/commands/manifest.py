# SPDX-License-Identifier: Apache-2.0
"""``scow manifest``: image indexes put together here, looked at, annotated and pushed."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import PROGRESS_FLAG, REGISTRY_FLAGS, client_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.engine import Engine
    from scow.images.indexes import Indexes
    from scow.images.remote import Shown
    from scow.images.transfer import Transfers
    from scow.oci.reference import Reference

_ANNOTATION = Flag("annotation", kind="map", type="key=value", help="Set an annotation")

CREATE = Command(
    name="create",
    usage="[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
    summary="Create a local image index for later annotating and pushing",
    min_args=2,
    aliases=("manifest create",),
    flags=(Flag("amend", "a", help="Amend an existing manifest list"), *REGISTRY_FLAGS),
)
APPEND = Command(
    name="append",
    usage="[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
    summary="Add an image to a local image index",
    min_args=2,
    aliases=("manifest append",),
    flags=REGISTRY_FLAGS,
)
ANNOTATE = Command(
    name="annotate",
    usage="[OPTIONS] MANIFEST_LIST [MANIFEST]",
    summary="Add additional information to an image of a local image index",
    min_args=1,
    max_args=2,
    aliases=("manifest annotate",),
    flags=(
        _ANNOTATION,
        Flag("arch", kind="string", help="Set architecture"),
        Flag("os", kind="string", help="Set operating system"),
        Flag("os-features", kind="csv", help="Set operating system feature"),
        Flag("os-version", kind="string", help="Set operating system version"),
        *REGISTRY_FLAGS,
        Flag("variant", kind="string", help="Set architecture variant"),
    ),
)
INSPECT = Command(
    name="inspect",
    usage="[OPTIONS] [MANIFEST_LIST] MANIFEST",
    summary="Display an image manifest or image index",
    min_args=1,
    max_args=2,
    aliases=("manifest inspect",),
    flags=(*REGISTRY_FLAGS, Flag("verbose", "v", help="Output additional info including layers and platform")),
)
PUSH = Command(
    name="push",
    usage="[OPTIONS] MANIFEST_LIST",
    summary="Push an image index to a registry",
    min_args=1,
    max_args=1,
    aliases=("manifest push",),
    flags=(PROGRESS_FLAG, Flag("purge", "p", help="Remove the local manifest list after push"), *REGISTRY_FLAGS),
)
RM = Command(
    name="rm",
    usage="MANIFEST_LIST [MANIFEST_LIST...]",
    summary="Delete one or more local image indexes",
    min_args=1,
    aliases=("manifest rm",),
)


def _indexes(engine: Engine, transfers: Transfers) -> Indexes:
    from scow.images.indexes import Indexes

    return Indexes(engine.db, transfers)


def _open(options: Parsed) -> tuple[Engine, AbstractContextManager[Transfers]]:
    from scow.cli.context import engine

    scow = engine()
    return scow, scow.transfers(client_options(options))


def create(argv: list[str]) -> int:
    """Begin an index."""
    options = parse(CREATE, argv)
    scow, opened = _open(options)
    with opened as transfers:
        _indexes(scow, transfers).create(options.args[0], options.args[1:], amend=options.amend)
    return _created(options.args[0])


def _created(name: str) -> int:
    from scow.oci.reference import Reference

    print(f"Created manifest list {Reference.parse(name).with_default_tag().canonical}")
    return 0


def append(argv: list[str]) -> int:
    """Add images to an index."""
    options = parse(APPEND, argv)
    scow, opened = _open(options)
    with opened as transfers:
        _indexes(scow, transfers).append(options.args[0], options.args[1:])
    return 0


def annotate(argv: list[str]) -> int:
    """Change what an index says."""
    from scow.images.indexes import Changes

    options = parse(ANNOTATE, argv)
    changes = Changes(
        options.os,
        options.arch,
        options.variant,
        options["os-version"],
        tuple(options["os-features"]),
        options.annotation,
    )
    scow, opened = _open(options)
    with opened as transfers:
        image = options.args[1] if len(options.args) > 1 else ""
        _indexes(scow, transfers).annotate(options.args[0], image, changes)
    return 0


def inspect(argv: list[str]) -> int:
    """Print an index in the making, one of its images, or a manifest of a registry."""
    import json

    options = parse(INSPECT, argv)
    scow, opened = _open(options)
    with opened as transfers:
        if len(options.args) > 1:
            document: Any = _indexes(scow, transfers).shown(options.args[0], options.args[1])
            document = _one(transfers, document, verbose=options.verbose)
        else:
            document = _whole(_indexes(scow, transfers), transfers, options.args[0], verbose=options.verbose)
    # docker's client, too, indents lists of images by blanks
    blanks = isinstance(document, dict) and "manifests" in document
    print(json.dumps(document, indent=3 if blanks else "\t", ensure_ascii=False))
    return 0


def _one(transfers: Transfers, shown: Shown, *, verbose: bool) -> Any:
    from scow.images.remote import manifest_row, remote_manifest

    return manifest_row(transfers, shown) if verbose else remote_manifest(transfers, shown.source.canonical)


def _whole(indexes: Indexes, transfers: Transfers, name: str, *, verbose: bool) -> Any:
    import json

    from scow.errors import NotFoundError
    from scow.images.indexes import no_such_manifest
    from scow.images.remote import manifest_row, remote_manifest, remote_manifests
    from scow.oci.reference import Reference

    reference = Reference.parse(name).with_default_tag()
    if not reference.digest and reference.canonical in indexes.names():
        if not verbose:
            return json.loads(indexes.get(name).encoded().raw)
        return [manifest_row(transfers, shown) for shown in indexes.all_shown(name)]
    try:
        return remote_manifests(transfers, name) if verbose else remote_manifest(transfers, name)
    except NotFoundError as error:
        raise no_such_manifest(reference, error) from error


def push(argv: list[str]) -> int:
    """Push an index."""
    import sys

    from scow.cli import bars
    from scow.cli.context import engine

    options = parse(PUSH, argv)
    scow = engine()
    with (
        bars.shown(options.progress, stream=sys.stderr) as progress,
        scow.transfers(client_options(options), progress) as transfers,
    ):

        def each(reference: Reference) -> None:
            print(f"Pushed ref {reference.canonical} with digest: {reference.digest}")

        done = _indexes(scow, transfers).push(options.args[0], purge=options.purge, each=each)
    print(done.descriptor.digest)
    return 0


def rm(argv: list[str]) -> int:
    """Forget indexes in the making."""
    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.errors import ScowError

    options = parse(RM, argv)
    scow = engine()
    status = 0
    with scow.transfers() as transfers:
        indexes = _indexes(scow, transfers)
        for name in options.args:
            try:
                indexes.remove(name)
            except ScowError as error:
                status = report(error)
    return status
