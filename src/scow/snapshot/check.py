# SPDX-License-Identifier: Apache-2.0
"""fsck of the snapshots: rows against directories, indexes against their checksums, links against what they need.

Everything is looked at while others work: what seems wrong is looked at again in a write transaction, which nobody
can be in the middle of, before it is called a problem.
"""

from __future__ import annotations

import os

from scow.errors import ScowError
from scow.snapshot.snapshotter import Problem
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.snapshot.overlay import Snapshots
    from scow.snapshot.records import Record

_GONE = ".gone-"


def check(snapshots: Snapshots, *, repair: bool) -> Iterator[Problem]:
    """Look at every snapshot of a store.

    Args:
        snapshots: The snapshots.
        repair: Put right what can be.

    Yields:
        What is wrong, or was.
    """
    records = snapshots.records
    records.leases.reap()
    yield from orphans(snapshots, repair=repair)
    # Children first, so that an unfinished one does not keep its parent.
    for record in reversed(list(records)):
        problem = _unfinished(snapshots, record, repair=repair)
        if problem is not None:
            yield problem
        else:
            yield from _committed(snapshots, record, repair=repair)


def orphans(snapshots: Snapshots, *, repair: bool) -> Iterator[Problem]:
    """Find directories that belong to no row, and remove them with ``repair``."""
    records = snapshots.records
    try:
        names = sorted(os.listdir(records.top))
    except FileNotFoundError:
        return
    for name in names:
        path = f"{records.top}/{name}"
        with records.db.write() as connection:
            if name.isdigit():
                if connection.execute("SELECT 1 FROM snapshots WHERE id = ?", (int(name),)).fetchone():
                    continue
                if repair:  # out of the way of a new row with this number; removed outside of the transaction
                    aside = f"{records.top}/{_GONE}{name}-{os.urandom(4).hex()}"
                    try:
                        os.rename(path, aside)
                    except FileNotFoundError:  # another process removes it just now
                        continue
                    path = aside
            elif not name.startswith(_GONE):
                yield Problem("orphan", path, f"{path!r} does not belong to the snapshots", repaired=False)
                continue
        if repair:
            records.sweep([path])
        yield Problem("orphan", name, f"snapshot directory {name} belongs to no snapshot", repaired=repair)


def _unfinished(snapshots: Snapshots, record: Record, *, repair: bool) -> Problem | None:
    if record.kind == "committed":
        return None
    records = snapshots.records
    gone = None
    with records.db.write():
        now = records.find(record.name)
        if now is None or now.kind == "committed" or records.leases.owners("snapshot", record.name):
            return None
        if repair:
            gone = records.forget(record.name, force=True)
    records.sweep([gone])
    return Problem(
        "unfinished", record.name, f"{record.kind} snapshot {record.name!r} belongs to nobody alive", repaired=repair
    )


def _committed(snapshots: Snapshots, record: Record, *, repair: bool) -> Iterator[Problem]:
    records = snapshots.records
    if records.find(record.name) != record:
        return
    yield from _links(snapshots, record, repair=repair)
    known = {other.id for other in records}
    for part in record.stack.split():
        if int(part[1:]) not in known and records.find(record.name) == record:
            message = f"snapshot {record.name!r} needs directory {part[1:]}, which is gone"
            yield Problem("corrupt", record.name, message, repaired=False)
    if record.kind == "staged":
        return
    if record.form == "index":
        yield from _index(snapshots, record, repair=repair)
    elif not os.path.isdir(f"{records.directory(record.id)}/fs") and records.find(record.name) == record:
        yield Problem("missing", record.name, f"the files of snapshot {record.name!r} are gone", repaired=False)


def _links(snapshots: Snapshots, record: Record, *, repair: bool) -> list[Problem]:
    records = snapshots.records
    found = []
    needed = [("snapshot", record.parent)] if record.parent else []
    if record.form == "index" and record.diff_id:
        needed.append(("blob", record.diff_id))
    with records.db.write():
        if records.find(record.name) != record:
            return []
        held = records.leases.owned(f"snapshot:{record.name}")
        for kind, key in needed:
            if (kind, key) not in held:
                if repair:
                    records.leases.link(f"snapshot:{record.name}", kind, key)
                found.append(
                    Problem("link", record.name, f"snapshot {record.name!r} did not own its {kind} {key}", repair)
                )
        if record.parent and records.find(record.parent) is None:
            message = f"snapshot {record.name!r} stands on {record.parent!r}, which is gone"
            found.append(Problem("missing", record.name, message, repaired=False))
    return found


def _index(snapshots: Snapshots, record: Record, *, repair: bool) -> Iterator[Problem]:
    from hashlib import file_digest

    records = snapshots.records
    missing = [digest for digest in record.devices.split() if not _has_blob(snapshots, digest)]
    found = ""
    try:
        with open(f"{records.directory(record.id)}/index", "rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    if records.find(record.name) != record:  # removed, or written anew, while we looked
        return
    for digest in missing:
        yield Problem("missing", record.name, f"snapshot {record.name!r} needs layer {digest}, which is gone", False)
    if found == record.checksum or not record.stack:
        return
    repaired = False
    if repair and not missing:
        from scow.snapshot.erofs import Indexes

        try:
            Indexes(snapshots).rebuild(record)
            repaired = True
        except ScowError:
            repaired = False
    yield Problem("corrupt", record.name, f"the index of snapshot {record.name!r} is damaged", repaired)


def _has_blob(snapshots: Snapshots, digest: str) -> bool:
    return digest in snapshots.content and os.path.exists(f"{snapshots.root}/blobs/{digest.replace(':', '/', 1)}")
