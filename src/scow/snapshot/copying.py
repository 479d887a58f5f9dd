# SPDX-License-Identifier: Apache-2.0
"""Trees to work in that are plain copies, for hosts where overlayfs cannot be mounted, or nothing at all.

::

    <root>/snapshots/<id>/
    ├── full/     an active snapshot or view: the whole tree, copied; blocks are shared where the file system can
    ├── whole/    of a committed one: the same, left for the next snapshot on top, which takes it over
    ├── stock     what was in it at the beginning
    ├── fs/       its differences in overlayfs form, made when somebody asks for them; all that a committed one keeps
    ├── made      empty: somebody has asked
    └── placed    paths where ``runtime.chroot`` put something for a while, each with a zero byte after it

Layers are kept as ``trees`` does, so that a stack is the same list of directories as elsewhere. A view of a single
layer is that layer's own directory, any other is made of links to the layers' files: nobody writes through a view.
"""

from __future__ import annotations

import os

from scow.base.files import remove_tree, storage_error
from scow.linux.idmaps import in_user_namespace
from scow.linux.mount import Mount, mount_all
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.snapshot.overlay import Snapshots
    from scow.snapshot.records import Record

FORM = "copy"
"""The form of active snapshots and views that are copies."""


def begin(snapshots: Snapshots, record: Record, root: str) -> None:
    """Copy what a new snapshot stands on.

    Args:
        snapshots: Its room.
        record: The snapshot.
        root: Metadata of its root directory.

    Raises:
        ScowError: The disk is full, or something cannot be read.
    """
    from scow.layer.flatten import take_stock
    from scow.snapshot.overlay import apply_root

    directory = snapshots.records.directory(record.id)
    try:
        os.mkdir(f"{directory}/fs", 0o755)
        if record.kind == "view" and (_single(record) or _look_through(snapshots, record, directory)):
            return
        if record.kind != "active" or not _take_over(snapshots, record, directory):
            os.mkdir(f"{directory}/full", 0o700)
            _copy(snapshots, record, directory)
    except OSError as error:
        raise storage_error(error, directory) from error
    apply_root(f"{directory}/full", root)
    if record.kind == "active":
        take_stock(f"{directory}/full", f"{directory}/stock")


def _copy(snapshots: Snapshots, record: Record, directory: str) -> None:
    """Make the whole tree from its layers."""
    from scow.layer.flatten import flatten

    indexes, options = snapshots.lowers(record.stack)
    layers = [option.removeprefix("lowerdir+=") for option in options]

    def copy() -> None:
        for index in indexes:
            mount_all([index._replace(target="")], index.target)
        flatten(layers, f"{directory}/full", link=record.kind == "view" and not indexes)

    if indexes:
        from scow.linux.namespaces import run_private

        run_private(copy)
    else:
        copy()


def _whole(snapshots: Snapshots, record: Record) -> str:
    """The tree that the snapshot below has left, if it has."""
    below = snapshots.records.find(record.parent or "")
    return f"{snapshots.records.directory(below.id)}/whole" if below else ""


def _look_through(snapshots: Snapshots, record: Record, directory: str) -> bool:
    """Let a view show the tree that is there; its row keeps others from taking that over."""
    whole = _whole(snapshots, record)
    if not whole or not os.path.isdir(whole):
        return False
    os.symlink(whole, f"{directory}/full")
    return True


def _take_over(snapshots: Snapshots, record: Record, directory: str) -> bool:
    """Go on working in the tree that is there, unless somebody looks at it; says whether that was done."""
    from scow.layer.flatten import catch_up

    whole = _whole(snapshots, record)
    if not whole or not os.path.isdir(whole):
        return False
    with snapshots.records.db.write() as connection:
        sql = "SELECT 1 FROM snapshots WHERE parent = ? AND kind = 'view' LIMIT 1"
        if connection.execute(sql, (record.parent,)).fetchone():
            return False
        try:
            os.rename(whole, f"{directory}/full")
        except FileNotFoundError:  # another snapshot was faster
            return False
    catch_up(f"{os.path.dirname(whole)}/fs", f"{directory}/full")
    return True


def mounts(snapshots: Snapshots, record: Record) -> tuple[Mount, ...]:
    """How the copy appears where it is wanted."""
    if record.kind == "view" and _single(record):
        return (Mount("bind", f"{snapshots.records.directory(record.stack[1:])}/fs", "", ("bind", "ro")),)
    options = ("bind", "ro") if record.kind == "view" else ("bind",)
    return (Mount("bind", f"{snapshots.records.directory(record.id)}/full", "", options),)


def differences(snapshots: Snapshots, record: Record) -> None:
    """Find out what was done to an active snapshot, as things are now.

    Raises:
        ScowError: Something cannot be read or written.
    """
    from scow.layer.flatten import harvest

    directory = snapshots.records.directory(record.id)
    try:
        remove_tree(f"{directory}/fs")
        os.mkdir(f"{directory}/fs", 0o755)
    except OSError as error:
        raise storage_error(error, directory) from error
    skip: frozenset[str] = frozenset()
    if os.path.exists(f"{directory}/placed"):
        with open(f"{directory}/placed", encoding="utf-8", errors="surrogateescape") as file:
            skip = frozenset(path.strip("/") for path in file.read().split("\0") if path)
    user_xattrs = in_user_namespace()
    harvest(f"{directory}/full", f"{directory}/stock", f"{directory}/fs", user_xattrs=user_xattrs, skip=skip)
    os.close(os.open(f"{directory}/made", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def finish(snapshots: Snapshots, record: Record) -> None:
    """Make sure that a snapshot about to be committed has its differences."""
    if not os.path.exists(f"{snapshots.records.directory(record.id)}/made"):
        differences(snapshots, record)


def leave(snapshots: Snapshots, record: Record) -> None:
    """Let the next snapshot take over the tree of one that was committed, and remove the rest."""
    directory = snapshots.records.directory(record.id)
    snapshots.records.sweep_later(*(f"{directory}/{name}" for name in ("stock", "made", "placed", "saved")))
    try:
        os.rename(f"{directory}/full", f"{directory}/whole")
    except OSError as error:
        raise storage_error(error, directory) from error


def _single(record: Record) -> bool:
    """Whether a stack is one directory, which is then the whole tree."""
    return record.stack.startswith("d") and " " not in record.stack
