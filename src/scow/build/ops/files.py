# SPDX-License-Identifier: Apache-2.0
"""Steps that only put files: COPY, ADD and WORKDIR. Their layers are written straight from the sources."""

from __future__ import annotations

import os
from contextlib import nullcontext

from scow.build.context import ContextTree
from scow.build.copying import CopyRules, copy, matches
from scow.build.dest import DestTree
from scow.build.donors import Donors, request_of
from scow.build.modes import parse_mode
from scow.build.owners import find_owner
from scow.build.sources import DirTree, SourceNotFoundError, resolve
from scow.build.suspicious import is_plain
from scow.build.unpacking import open_archive, unpack
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from scow.build.ops.values import CopyOp, CopyPart, MkdirOp
    from scow.build.sources import SourceTree
    from scow.build.unpacking import ArchiveTree
    from scow.build.workshop import Workshop
    from scow.oci.digest import DiffID


def run_copy(
    shop: Workshop,
    op: CopyOp,
    below: str | None,
    reads: Sequence[str | None],
    time: int,
    check: Callable[[], None],
) -> tuple[DiffID, int, int, int]:
    """Make the layer of a COPY or ADD.

    Args:
        shop: What to work with.
        op: What to do.
        below: Snapshot of the tree it works on; ``None`` for an empty one.
        reads: Snapshots of the trees it reads.
        time: Of what is below, seconds since the epoch.
        check: Raises to stop.

    Returns:
        DiffID, bytes of the tar, bytes of file data, and the newest time of a file.

    Raises:
        SourceNotFoundError: A source is not there.
        DestinationError: A file is in the way of a directory, or the other way round.
    """

    def work(places: Sequence[str]) -> tuple[DiffID, int, int, int]:
        base = DirTree(places[0]) if below is not None else None
        dest = DestTree(base)
        owner = find_owner(op.chown, base) if op.chown else None
        rules = CopyRules(owner, parse_mode(op.chmod) if op.chmod else None, op.excludes)
        archives: list[ArchiveTree] = []
        try:
            for part in op.parts:
                check()
                tree: SourceTree = part.origin.tree() if part.origin is not None else DirTree(places[1])
                _copy_part(shop, dest, tree, part, op, rules, archives)
            newest = dest.newest()
            dest.settle(newest or time if shop.epoch is None else shop.epoch)
            with _donors(shop, op) as donors:
                diff, size, usage = shop.keep_layer(
                    lambda out: dest.write(out, epoch=shop.epoch, check=check, donors=donors)
                )
                if donors is not None:
                    donors.save(diff)
            if is_plain(dest.paths()):
                shop.plain.add(diff)
        finally:
            for archive in archives:
                archive.close()
        return diff, size, usage, newest

    return shop.with_trees([below, *reads], work)


def _donors(shop: Workshop, op: CopyOp) -> AbstractContextManager[Donors | None]:
    """The layer that the instruction made the last time, when it copies from contexts on this machine."""
    read = [part.origin.tree() for part in op.parts if part.origin is not None]
    trees = [tree for tree in read if isinstance(tree, ContextTree)]
    if not trees:
        return nullcontext()
    request = request_of(trees, [part.source.path for part in op.parts], op.target)
    return Donors(shop.db, shop.content, shop.lease, request)


def _copy_part(
    shop: Workshop,
    dest: DestTree,
    tree: SourceTree,
    part: CopyPart,
    op: CopyOp,
    rules: CopyRules,
    archives: list[ArchiveTree],
) -> None:
    for match in matches(tree, part.source):
        if part.source.unpack:
            archive = open_archive(tree, resolve(tree, match), shop.scratch, shop.limits)
            if archive is not None:
                archives.append(archive)
                unpack(dest, archive, op.target, rules.owner, shop.limits)
                continue
        try:
            copy(dest, tree, match, op.target, rules, part.source)
        except SourceNotFoundError as error:
            label = part.origin.label if part.origin is not None else "the stage it is copied from"
            raise SourceNotFoundError(f"{error.message} in {label}") from None


def run_mkdir(shop: Workshop, op: MkdirOp, below: str | None, time: int) -> tuple[DiffID, int, int]:
    """Make the layer of a WORKDIR.

    Returns:
        DiffID, bytes of the tar, bytes of file data.

    Raises:
        DestinationError: A file is in the way.
    """

    def work(places: Sequence[str]) -> tuple[DiffID, int, int]:
        base = DirTree(places[0]) if below is not None else None
        dest = DestTree(base)
        owner = find_owner(op.user, base) if op.user else (0, 0)
        dest.make_directories(dest.resolve(os.fsencode(op.path)), 0o755, owner)
        dest.settle(time if shop.epoch is None else shop.epoch)
        return shop.keep_layer(lambda out: dest.write(out, epoch=shop.epoch))

    return shop.with_trees([below], work)
