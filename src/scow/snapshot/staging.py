# SPDX-License-Identifier: Apache-2.0
"""Layers on their way to becoming snapshots: staged by themselves, in parallel, then linked onto a parent.

A staged layer has a row from the start, which its lease owns, so that a killed process leaves a row that nobody alive
owns and a directory that goes with it.
"""

from __future__ import annotations

import os

from scow.base.files import remove_tree
from scow.base.readahead import ReadAhead
from scow.base.streams import BlobMismatchError
from scow.errors import NotFoundError
from scow.oci.digest import DiffID, Digest
from scow.snapshot.overlay import boot_id
from scow.snapshot.snapshotter import SnapshotInfo, Staged, Usage
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.base.leases import Lease
    from scow.layer.changeset import Applied, Limits, Readable
    from scow.snapshot.forms import LayerForm, Linked
    from scow.snapshot.records import Record, Records


def stage(
    records: Records,
    form: LayerForm,
    tar: Readable | None,
    *,
    lease: Lease,
    diff_id: DiffID | None,
    limits: Limits | None,
) -> Staged:
    """Keep a layer in a form, with no place yet.

    Args:
        records: Where its row goes.
        form: How to keep it.
        tar: The stream, or ``None`` to take the blob ``diff_id``.
        lease: Owns the staged layer.
        diff_id: What its digest must be.
        limits: Bounds.

    Raises:
        BlobMismatchError: The digest differs.
        LayerError: The tar is malformed.
        LimitError: A bound was hit.
        NotFoundError: There is no such blob.
    """
    token = f"stage:{os.urandom(16).hex()}"
    with records.db.write():
        record = records.add(token, "staged", form.name)
        records.keep(token, lease)
    records.filling.add(token)
    try:
        applied = _fill(records, form, record, tar, lease=lease, diff_id=diff_id, limits=limits)
        with records.db.write() as connection:
            if form.name == "index":
                records.leases.link(f"snapshot:{token}", "blob", applied.diff_id)
            records.update(connection, record.id, diff_id=applied.diff_id, entries=applied.entries, size=applied.usage)
    except BaseException:
        # Nobody can use it yet, so its files may go before its row: on a full disk the row needs their room to go.
        remove_tree(records.directory(record.id))
        records.sweep_later(records.forget(token, force=True))
        raise
    finally:
        records.filling.discard(token)
    return Staged(token, applied.diff_id, applied.size, applied.entries, applied.pending)


def _fill(
    records: Records,
    form: LayerForm,
    record: Record,
    tar: Readable | None,
    *,
    lease: Lease,
    diff_id: DiffID | None,
    limits: Limits | None,
) -> Applied:
    directory = records.directory(record.id)
    if tar is not None:
        cores = os.cpu_count() or 1
        with ReadAhead(tar, crowded=lambda: len(records.filling) >= cores) as ahead:
            applied = form.fill(directory, ahead, lease=lease, expected=diff_id, limits=limits)
    elif diff_id is None:
        raise NotFoundError("a layer without a stream needs a digest")
    else:
        applied = form.fill_from_blob(directory, diff_id, lease=lease, limits=limits)
    if diff_id is not None and applied.diff_id != diff_id:
        raise BlobMismatchError(f"layer {diff_id} has the digest {applied.diff_id}")
    return applied


def link(records: Records, form: LayerForm, name: str, staged: Staged, parent: str | None, lease: Lease | None) -> None:
    """Put a staged layer on a parent; see ``snapshotter.Snapshotter.link``.

    Raises:
        SnapshotNotFoundError: There is no such parent or staged layer.
    """
    record = records.get(staged.token, "staged")
    below = records.get(parent, "committed") if parent else None
    placed: Linked | None = None
    while True:
        if placed is None and records.find(name) is None:
            placed = form.place(record, below, staged.pending)
        with records.db.write() as connection:
            taken = records.find(name)
            if taken is None and placed is None:  # it was there a moment ago, and is gone
                continue
            records.hand_over(staged.token, name)
            records.keep(name, lease)
            gone = None
            if taken is not None or placed is None:
                gone = records.forget(staged.token, force=True)
                break
            if parent:
                records.get(parent, "committed")
                records.leases.link(f"snapshot:{name}", "snapshot", parent)
            records.leases.unlink(f"snapshot:{staged.token}")
            boot = boot_id() if form.name == "tree" else ""
            values = placed._asdict()
            records.update(connection, record.id, name=name, kind="committed", parent=parent, boot=boot, **values)
            if form.name == "index":
                records.leases.link(f"snapshot:{name}", "blob", staged.diff_id)
            break
    records.sweep_later(gone)


def info(record: Record) -> SnapshotInfo:
    """A record as callers see it."""
    return SnapshotInfo(
        record.name,
        record.kind,
        record.parent,
        record.created,
        record.form,
        DiffID(Digest(record.diff_id)) if record.diff_id else None,
        record.size,
        record.entries,
    )


def usage(records: Records, record: Record) -> Usage:
    """Count what a snapshot's directory takes.

    Hard links are counted once. Cost: a walk over all files, except for an index.
    """
    directory = records.directory(record.id)
    if record.form == "index":
        sizes = [size for name in ("table", "index") if (size := _size(f"{directory}/{name}"))]
        return Usage(sum(sizes), len(sizes))
    size = inodes = 0
    linked: set[int] = set()
    waiting = [f"{directory}/fs"]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if found.st_ino in linked:
                            continue
                        linked.add(found.st_ino)
                    inodes += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        size += found.st_size
        except FileNotFoundError:  # a running container removes what we are about to count
            continue
    return Usage(size, inodes)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
