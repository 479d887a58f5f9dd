# SPDX-License-Identifier: Apache-2.0
"""Trees to work in that are plain copies, for hosts where overlayfs cannot be mounted, or nothing at all.

::

    <root>/snapshots/<id>/
    ├── full/     an active snapshot or view: the whole tree, copied; blocks are shared where the file system can
    ├── stock     what was in it at the beginning
    ├── fs/       its differences in overlayfs form, made when somebody asks for them; all that a committed one keeps
    ├── made      empty: somebody has asked
    └── placed    paths where ``runtime.chroot`` put something for a while, each with a zero byte after it

Layers are kept as ``trees`` does, so that a stack is the same list of directories as elsewhere. A view of a single
layer is that layer's own directory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scow.base.files import remove_tree, storage_error
from scow.linux.idmaps import in_user_namespace
from scow.linux.mount import Mount

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
    from scow.layer.flatten import flatten, take_stock
    from scow.snapshot.overlay import apply_root

    directory = snapshots.records.directory(record.id)
    try:
        os.mkdir(f"{directory}/fs", 0o755)
        if record.kind == "view" and _single(record):
            return
        os.mkdir(f"{directory}/full", 0o700)
    except OSError as error:
        raise storage_error(error, directory) from error
    indexes, options = snapshots.lowers(record.stack)
    layers = [option.removeprefix("lowerdir+=") for option in options]

    def copy() -> None:
        if indexes:
            from scow.linux.mount import mount_all

            for index in indexes:
                mount_all([index._replace(target="")], index.target)
        flatten(layers, f"{directory}/full")

    if indexes:
        from scow.linux.namespaces import run_private

        run_private(copy)
    else:
        copy()
    apply_root(f"{directory}/full", root)
    if record.kind == "active":
        take_stock(f"{directory}/full", f"{directory}/stock")


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


def finish(snapshots: Snapshots, record: Record) -> tuple[str, ...]:
    """Make sure that a snapshot about to be committed has its differences.

    Returns:
        What is of no use any more.
    """
    directory = snapshots.records.directory(record.id)
    if not os.path.exists(f"{directory}/made"):
        differences(snapshots, record)
    return tuple(f"{directory}/{name}" for name in ("full", "stock", "made", "placed", "saved"))


def _single(record: Record) -> bool:
    """Whether a stack is one directory, which is then the whole tree."""
    return record.stack.startswith("d") and " " not in record.stack
