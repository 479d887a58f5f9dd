# SPDX-License-Identifier: Apache-2.0
"""A solved tree to what was asked for: an image in the store, an archive, a file tree."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from scow.build.graph import LayerRef, Solved
from scow.build.ops.values import BaseOp, CopyOp
from scow.errors import InvalidArgumentError
from scow.oci.digest import chain_id
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from scow.build.draft import Draft
    from scow.build.graph import Vertex
    from scow.build.options import Output
    from scow.build.workshop import Workshop
    from scow.images.store import ImageRecord, ImageStore
    from scow.layer.changeset import Writable
    from scow.oci.digest import ChainID, DiffID
    from scow.oci.reference import Reference

TREES = frozenset({"tar", "local"})
ARCHIVES = frozenset({"docker", "oci"})
NOTHING = "cacheonly"


class Made(NamedTuple):
    """A finished tree with what it says of itself.

    Attributes:
        solved: The tree.
        draft: Its configuration.
        base: The image at its bottom, if any.
        created: When it was made, seconds since the epoch.
    """

    solved: Solved
    draft: Draft
    base: ImageRecord | None
    created: int


def makers(target: Vertex | None, layers: Sequence[LayerRef]) -> dict[Vertex, LayerRef]:
    """Which step of a target made which of its layers, the first step first; a base and empty copies make none."""
    steps: list[Vertex] = []
    here = target
    while here is not None and not isinstance(here.op, BaseOp):
        if not isinstance(here.op, CopyOp) or here.op.parts:
            steps.append(here)
        here = here.below
    return dict(zip(reversed(steps), layers, strict=True)) if len(steps) == len(layers) else {}


def wants_image(outputs: Sequence[Output]) -> bool:
    """Whether an image is to stay in the store."""
    if not outputs:
        return True
    return any(
        output.type in ("image", "registry") or (output.type == "docker" and not output.destination)
        for output in outputs
    )


def make_image(
    shop: Workshop, images: ImageStore, made: Made, tags: tuple[Reference, ...] | None = None
) -> ImageRecord:
    """Enter the image, with its names.

    Args:
        shop: What to work with.
        images: Where it is entered.
        made: What was built.
        tags: Instead of those of the options.

    Returns:
        Its record.
    """
    from scow.images.mutate import new_image

    below: list[DiffID] = list(images.config(made.base.id).value.diff_ids) if made.base is not None else []
    layers = made.solved.layers
    times = [layer.time if shop.epoch is None else shop.epoch for layer in layers]
    config = made.draft.finish([*below, *(layer.diff_id for layer in layers)], times, made.created)
    sizes: dict[ChainID, int] = {}
    chain = made.solved.base
    for layer in layers:
        chain = chain_id(chain, layer.diff_id)
        sizes[chain] = layer.usage
    if tags is None:
        tags = shop.options.tags if wants_image(shop.options.outputs) else ()
    return new_image(
        images,
        shop.content,
        made.base,
        config,
        [(layer.diff_id, layer.size) for layer in layers],
        shop.lease,
        tags,
        annotations=shop.options.annotations,
        sizes=sizes,
    )


# ---------------------------------------------------------------------- squash


def squash(shop: Workshop, made: Made) -> Made:
    """Make one layer of several: of those of this build, or of all.

    Args:
        shop: What to work with.
        made: What was built.

    Returns:
        The same files in fewer layers.

    Raises:
        InvalidArgumentError: ``--squash`` has another value than ``new`` and ``all``.
    """
    how = shop.options.squash
    if how not in ("new", "all"):
        raise InvalidArgumentError(f"invalid value {how!r} for --squash", hint="it can be new or all")
    solved = made.solved
    if how == "new" and len(solved.layers) < 2:
        return made
    if how == "all" and solved.chain is None:
        return made
    top = shop.stand(solved)
    below = None if how == "all" or solved.base is None else shop.stand(Solved(solved.base, (), 0))

    def write(places: Sequence[str]) -> tuple[DiffID, int, int]:
        return shop.keep_layer(lambda out: _difference(places, below, out, shop.epoch))

    diff, size, usage = shop.with_trees([below, top], write)
    layer = LayerRef(diff, size, usage, solved.time)
    start = Solved(None, (), 0) if how == "all" else Solved(solved.base, (), solved.time)
    merged = shop.place(start, layer)
    kept = 0 if how == "all" else made.draft.inherited
    history = [
        entry if index < kept else replace(entry, empty_layer=True) for index, entry in enumerate(made.draft.history)
    ]
    draft = replace(made.draft, history=history, inherited=kept)
    draft.record("# scow: squashed", layer=True)
    return Made(merged, draft, None if how == "all" else made.base, made.created)


def _difference(places: Sequence[str], below: str | None, out: Writable, epoch: int | None) -> int:
    from scow.layer.diff import diff_trees, tar_tree

    if below is None:
        return tar_tree(places[1], out, epoch=epoch).usage
    return diff_trees(places[0], places[1], out, epoch=epoch).usage


# ---------------------------------------------------------------------- files


def write_tree(shop: Workshop, solved: Solved, output: Output) -> None:
    """Write the files of a tree as an archive, or into a directory.

    Raises:
        InvalidArgumentError: Standard output is a terminal.
    """
    from scow.layer.diff import tar_tree

    name = shop.stand(solved)

    def work(places: Sequence[str]) -> None:
        if output.type == "tar":
            with sink(output.destination) as out:
                tar_tree(places[0], out, epoch=shop.epoch)
            return
        _copy_out(places[0], output.destination, shop)

    shop.with_trees([name], work)


def _copy_out(source: str, destination: str, shop: Workshop) -> None:
    """Put a mounted tree into a directory of the user's; what is there already stays unless it is replaced."""
    from scow.layer.diff import tar_tree
    from scow.layer.extract import extract_plain
    from scow.linux.idmaps import in_user_namespace

    os.makedirs(destination, exist_ok=True)
    fd = os.open(shop.scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w+b") as file:
        tar_tree(source, file, epoch=shop.epoch)
        file.seek(0)
        # The user shall be able to work with the files, also one who is 0 in a namespace of her own.
        plain_root = os.geteuid() == 0 and not in_user_namespace()
        extract_plain(file, destination, owner=None if plain_root else lambda _uid, _gid: None)


def write_archive(shop: Workshop, images: ImageStore, record: ImageRecord, output: Output) -> None:
    """Write an image as an archive, or as an OCI layout directory (``tar=false``).

    Raises:
        InvalidArgumentError: Standard output is a terminal.
    """
    from scow.images.saving import save

    names = list(shop.options.tags)
    if output.attributes.get("tar", "true").lower() in ("0", "false"):
        from scow.layer.extract import extract_plain

        os.makedirs(output.destination, exist_ok=True)
        fd = os.open(shop.scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w+b") as file:
            save(images, shop.content, [record.id], file, form=output.type, names=names)
            file.seek(0)
            extract_plain(file, output.destination, owner=lambda _uid, _gid: None)
        return
    with sink(output.destination) as out:
        save(images, shop.content, [record.id], out, form=output.type, names=names)


@contextmanager
def sink(destination: str) -> Iterator[BinaryIO]:
    """A file that appears when it is complete, or standard output.

    Args:
        destination: The file; ``""`` and ``-`` are standard output.

    Raises:
        InvalidArgumentError: Standard output is a terminal.
        ScowError: The disk is full or the place is not writable.
    """
    from scow.images.places import replacing

    if destination in ("", "-"):
        if sys.stdout.isatty():
            raise InvalidArgumentError("refusing to write an archive to a terminal", hint="name a file with dest=")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with replacing(destination) as file:
            yield cast("BinaryIO", file)
