# SPDX-License-Identifier: Apache-2.0
"""Snapshots of every form, stacked by overlayfs: the one implementation of ``snapshotter.Snapshotter``.

How a *layer* is kept is left to a form (``trees``: unpacked directories; ``erofs``: an index over the tar), which is
loaded when a layer is staged. Everything else, and so all that ``run`` needs, is here: a stack is a list of
directories and indexes, whoever made them, and may mix both. Where overlayfs does not work, ``copying`` makes the
trees to work in from the same stacks.

Containers and build steps get ``redirect_dir=off,metacopy=off,index=off``: their upper directories are then plain
changesets that ``layer.diff`` can write, and can be moved and stacked.
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # built in, where threading would be one more module for ``run`` to load

from scow.base.files import storage_error
from scow.errors import ConflictError, CorruptError, UnsupportedError
from scow.linux.capabilities import may_mount
from scow.linux.idmaps import in_user_namespace
from scow.linux.mount import Mount
from scow.snapshot.records import Records, SnapshotNotFoundError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.content.local import LocalContentStore
    from scow.layer.changeset import Limits, Readable
    from scow.oci.digest import DiffID
    from scow.snapshot.forms import LayerForm
    from scow.snapshot.records import Record
    from scow.snapshot.snapshotter import Problem, SnapshotInfo, Staged, Usage

_PLAIN = ("index=off", "metacopy=off", "redirect_dir=off")
_PLAIN_USER = ("index=off", "userxattr")
"""In a user namespace, where nobody may write the attributes overlayfs keeps its marks in elsewhere; this switches
redirects and metadata copies off too. Source: kernel documentation, overlayfs, "User xattr"."""
_BLOBS = "blobs/sha256"
COPIES = "copies"
"""A file in the store that says that overlayfs was tried there and does not work."""
DEFAULT_ROOT = "493 0 0 0"
"""What the root directory of an image is like when no layer describes it: 0755, root's, from 1970."""


class Snapshots:
    """The snapshots of one store; see ``snapshot.snapshotter.Snapshotter`` for the contract.

    Args:
        root: The store's directory.
        db: The store's database.
        content: The store's blobs.
        leases: The store's references.
        kind: ``erofs``, ``overlay``, ``copying``; ``""`` chooses by what the host can do when the first layer arrives.
    """

    def __init__(self, root: str, db: Database, content: LocalContentStore, leases: Leases, kind: str = "") -> None:
        self.root = root
        self.content = content
        self.records = Records(root, db, leases)
        self._db = db
        self._leases = leases
        self._kind = kind
        self._trying = allocate_lock()

    @property
    def kind(self) -> str:
        """``erofs``, ``overlay``, ``copying`` or ``tars``: how new layers are kept."""
        if not self._kind:
            from scow.snapshot.choose import choose

            with self._trying:
                self._kind = self._kind or choose(self.root).kind
        return self._kind

    def find_out(self) -> None:
        """Try how layers can be kept here, if nobody has yet; see the protocol."""
        _ = self.kind

    @property
    def copies(self) -> bool:
        """Whether trees to work in are copies: overlayfs does not work here."""
        if self._kind:
            return self._kind == "copying"
        return not may_mount() or os.path.exists(f"{self.root}/{COPIES}")

    # ------------------------------------------------------------------ trees to work in

    def prepare(
        self, key: str, parent: str | None = None, *, volatile: bool = False, lease: Lease | None = None
    ) -> tuple[Mount, ...]:
        """Begin an active snapshot; see the protocol."""
        return self._begin(key, "active", parent, lease, boot_id() if volatile else "")

    def view(self, key: str, parent: str, *, lease: Lease | None = None) -> tuple[Mount, ...]:
        """Begin a read-only view of a committed snapshot; see the protocol."""
        return self._begin(key, "view", parent, lease, "")

    def _begin(self, key: str, kind: str, parent: str | None, lease: Lease | None, boot: str) -> tuple[Mount, ...]:
        if parent is not None and not self.records.get(parent, "committed").stack and not self.ready(parent).stack:
            raise UnsupportedError(
                "this process may neither mount nor unpack images: they can be moved, not run or built on",
                hint="'scow info' says what would allow it.",
            )
        if self.copies:
            return self._begin_copy(key, kind, parent, lease, boot)
        with self._db.write():
            record = self.records.add(key, kind, "upper", parent=parent, boot=boot)
            self.records.keep(key, lease)
            directory = self.records.directory(record.id)
            try:
                os.mkdir(f"{directory}/fs", 0o755)
                apply_root(f"{directory}/fs", record.root or DEFAULT_ROOT)
                if kind == "active":
                    os.mkdir(f"{directory}/work", 0o700)
            except OSError as error:
                raise storage_error(error, directory) from error
        return self._mounts(record)

    def _begin_copy(self, key: str, kind: str, parent: str | None, lease: Lease | None, boot: str) -> tuple[Mount, ...]:
        from scow.snapshot import copying

        with self._db.write():
            record = self.records.add(key, kind, copying.FORM, parent=parent, boot=boot)
            self.records.keep(key, lease)
        try:
            copying.begin(self, record, record.root or DEFAULT_ROOT)
        except BaseException:
            self.remove(key, force=True)
            raise
        return self._mounts(record)

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """The mounts of an active snapshot or view, again; see the protocol."""
        record = self.records.get(key, "active", "view")
        if record.boot:
            if record.boot != boot_id():
                raise CorruptError(
                    f"snapshot {key!r} was not written to the disk before the machine went down",
                    hint="remove what it belongs to and make it anew",
                )
            self._forgive(record)
        return self._mounts(record)

    def _forgive(self, record: Record) -> None:
        """Take away overlayfs' mark of an unclean volatile mount: within one boot the kernel still has all pages.

        Source: kernel documentation, overlayfs, "Volatile mount".
        """
        self.records.sweep([f"{self.records.directory(record.id)}/work/work/incompat"])

    def _mounts(self, record: Record) -> tuple[Mount, ...]:
        if record.form == "copy":
            from scow.snapshot import copying

            return copying.mounts(self, record)
        directory = self.records.directory(record.id)
        if not record.stack and record.kind == "active":
            return (Mount("bind", f"{directory}/fs", "", ("bind",)),)
        layers, lowers = self.lowers(record.stack)
        plain = _PLAIN_USER if in_user_namespace() else _PLAIN
        if record.kind == "view":
            # The view's own empty directory gives the root its metadata, which a layer seldom brings.
            return (*layers, Mount("overlay", "scow", "", ("ro", f"lowerdir+={directory}/fs", *lowers, *plain)))
        options = [*lowers, f"upperdir={directory}/fs", f"workdir={directory}/work", *plain]
        if record.boot:
            options.append("volatile")
        return (*layers, Mount("overlay", "scow", "", tuple(options)))

    def lowers(self, stack: str) -> tuple[list[Mount], list[str]]:
        """The mounts and options that put a stack below an overlay.

        Args:
            stack: As in a record.

        Returns:
            Mounts of indexes; ``lowerdir+=`` options, the top first.
        """
        mounts: list[Mount] = []
        options: list[str] = []
        devices = self.records.devices(stack) if "i" in stack else {}
        blobs = os.path.join(self.root, _BLOBS)
        for part in stack.split():
            directory = self.records.directory(part[1:])
            if part[0] == "d":
                options.append(f"lowerdir+={directory}/fs")
                continue
            tars = [f"device={blobs}/{diff_id.partition(':')[2]}" for diff_id in devices.get(part[1:], ())]
            mounts.append(Mount("erofs", f"{directory}/index", f"{directory}/mnt", ("ro", *tars)))
            options.append(f"lowerdir+={directory}/mnt")
        return mounts, options

    def upper(self, key: str) -> str:
        """Directory with the differences of a snapshot; see the protocol."""
        record = self.records.get(key, "active", "committed")
        if record.form == "copy":
            from scow.snapshot import copying

            copying.differences(self, record)
        elif record.form != "upper":
            raise SnapshotNotFoundError(f"snapshot {key!r} is a layer and has no directory of differences")
        return f"{self.records.directory(record.id)}/fs"

    def commit(self, name: str, key: str, *, lease: Lease | None = None) -> None:
        """Make an active snapshot a committed one; see the protocol."""
        record = self.records.get(key, "active")
        if record.form == "copy":
            from scow.snapshot import copying

            copying.finish(self, record)
        with self._db.write() as connection:
            record = self.records.get(key, "active")
            if self.records.find(name) is not None:
                raise ConflictError(f"there is a snapshot {name!r} already")
            root = root_of(f"{self.records.directory(record.id)}/fs")
            stack = f"{record.own} {record.stack}".rstrip()
            values = {"name": name, "kind": "committed", "form": "upper", "stack": stack, "root": root, "boot": ""}
            self.records.update(connection, record.id, **values)
            self._leases.unlink(f"snapshot:{key}")
            if record.parent:
                self._leases.link(f"snapshot:{name}", "snapshot", record.parent)
            self.records.hand_over(key, name)
            self.records.keep(name, lease)
        if record.form == "copy":
            from scow.snapshot import copying

            copying.leave(self, record)
        else:
            self.records.sweep_later(f"{self.records.directory(record.id)}/work")

    # ------------------------------------------------------------------ layers

    def _form(self) -> LayerForm:
        if self.kind in ("erofs", "tars"):
            from scow.snapshot.erofs import Indexes

            return Indexes(self)
        from scow.snapshot.trees import Trees

        return Trees(self)

    def stage(
        self, tar: Readable, *, lease: Lease, diff_id: DiffID | None = None, limits: Limits | None = None
    ) -> Staged:
        """Read an uncompressed layer; see the protocol."""
        from scow.snapshot.staging import stage

        return stage(self.records, self._form(), tar, lease=lease, diff_id=diff_id, limits=limits)

    def stage_blob(self, diff_id: DiffID, *, lease: Lease, limits: Limits | None = None) -> Staged:
        """Stage a layer whose uncompressed tar is a blob; see the protocol."""
        from scow.snapshot.staging import stage

        return stage(self.records, self._form(), None, lease=lease, diff_id=diff_id, limits=limits)

    def link(self, name: str, staged: Staged, parent: str | None = None, *, lease: Lease | None = None) -> None:
        """Put a staged layer on a parent; see the protocol."""
        from scow.snapshot.staging import link

        link(self.records, self._form(), name, staged, parent, lease)

    def ready(self, name: str) -> Record:
        """Make sure that a committed snapshot can be stood on at once; see the protocol."""
        record = self.records.get(name, "committed")
        if record.boot:  # unpacked files: one call for all layers, instead of one for each file
            self.sync()
            self.records.synced(record.id)
        if record.stack:
            return record
        if self.kind == "tars":
            return record
        from scow.snapshot.erofs import Indexes

        return Indexes(self).ready(name)

    # ------------------------------------------------------------------ all of them

    def exists(self, name: str) -> bool:
        """Whether a committed snapshot has this name."""
        record = self.records.find(name)
        return record is not None and record.kind == "committed"

    def hold(self, name: str, lease: Lease) -> bool:
        """Find a committed snapshot and keep it alive, in one step.

        Returns:
            False when it is not there.
        """
        with self._db.write():
            if not self.exists(name):
                return False
            lease.add("snapshot", name)
        return True

    def stat(self, name: str) -> SnapshotInfo:
        """Tell about one snapshot; see the protocol."""
        from scow.snapshot.staging import info

        return info(self.records.get(name))

    def usage(self, name: str) -> Usage:
        """Count what a snapshot takes on disk; see the protocol."""
        from scow.snapshot.staging import usage

        record = self.records.get(name)
        if record.form == "copy" and record.kind == "active":
            from scow.snapshot import copying

            copying.differences(self, record)
        return usage(self.records, record)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a snapshot; see the protocol."""
        self.records.sweep_later(self.records.forget(name, force=force))

    def forget(self, names: list[str]) -> list[str]:
        """Remove rows whatever owns them, within a transaction of the caller; for the collector.

        Args:
            names: Snapshots; each with all that stands on it.

        Returns:
            Directories for :meth:`sweep`, once the transaction is over.

        Raises:
            ConflictError: A snapshot that is not among them stands on one of them.
        """
        found = [record for name in names if (record := self.records.find(name)) is not None]
        gone = [self.records.forget(record.name, force=True) for record in _children_first(found)]
        return [path for path in gone if path is not None]

    def sweep(self, directories: list[str]) -> None:
        """Remove the directories that :meth:`forget` answered."""
        self.records.sweep(directories)

    def sweep_orphans(self) -> int:
        """Remove the directories of processes that were killed; see the protocol."""
        from scow.snapshot.check import orphans

        return sum(1 for problem in orphans(self, repair=True) if problem.repaired)

    def sync(self) -> None:
        """Write all snapshots to the disk; see the protocol."""
        from scow.linux import kernel

        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            kernel.syncfs(fd)
        except OSError as error:
            raise storage_error(error, self.root) from error
        finally:
            os.close(fd)

    def check(self, *, repair: bool = False) -> Iterator[Problem]:
        """Look at every snapshot, index, directory and link; see the protocol."""
        from scow.snapshot.check import check

        return check(self, repair=repair)

    def __iter__(self) -> Iterator[SnapshotInfo]:
        """All snapshots, oldest first."""
        from scow.snapshot.staging import info

        return (info(record) for record in self.records)


def _children_first(records: list[Record]) -> list[Record]:
    known = {record.name: record for record in records}
    depths: dict[str, int] = {}
    for record in records:
        path = []
        at: Record | None = record
        while at is not None and at.name not in depths:
            path.append(at.name)
            at = known.get(at.parent or "")
        base = depths[at.name] if at is not None else 0
        for height, name in enumerate(reversed(path), 1):
            depths[name] = base + height
    return sorted(records, key=lambda record: depths[record.name], reverse=True)


def boot_id() -> str:
    """This boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def root_of(path: str) -> str:
    """The metadata of a directory as a record keeps them."""
    info = os.stat(path, follow_symlinks=False)
    return f"{info.st_mode & 0o7777} {info.st_uid} {info.st_gid} {info.st_mtime_ns}"


def apply_root(path: str, root: str) -> None:
    """Give a directory metadata that ``root_of`` took from another."""
    mode, uid, gid, mtime = map(int, root.split())
    if (uid, gid) != (os.geteuid(), os.getegid()):
        try:
            os.chown(path, uid, gid)
        except PermissionError:  # not root: the ids belong to nobody we could name
            pass
    os.chmod(path, mode)
    os.utime(path, ns=(mtime, mtime))
