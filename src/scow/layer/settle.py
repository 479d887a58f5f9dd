# SPDX-License-Identifier: Apache-2.0
"""Fitting a layer that was unpacked by itself onto the directories of its parent.

Unpacking layers in parallel leaves questions that only the layers below answer: what a directory looks like that the
layer uses without describing it, where it is when it is a link there, and what a hard link to a lower file leads to.
Afterwards the stack of directories shows what ``erofs`` shows for the same layers.
"""

from __future__ import annotations

import os
import stat

from scow.layer.admit import unfit
from scow.layer.changeset import LayerError
from scow.layer.names import show
from scow.layer.resolve import Look, resolve
from scow.layer.whiteout import OPAQUE_XATTR, OPAQUE_XATTR_USER, is_opaque, is_whiteout, passes
from scow.linux import reflink, xattr
from scow.linux.beneath import Tree
from scow.linux.syscalls import fchmodat2
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.layer.changeset import Pending


def settle(upper: str, lowers: Sequence[str], pending: Pending) -> None:
    """Complete an unpacked layer from what lies below it.

    Args:
        upper: The layer, as ``extract.extract`` made it; changed in place.
        lowers: Directories of the layers below, in overlayfs's form, the top one first. Only read.
        pending: What ``extract`` answered.

    Raises:
        LayerError: The layers do not fit together, such as a hard link to nothing.
        ScowError: A directory cannot be read or written.

    Cost: a few calls for each implied directory and lower layer; copies the files that hard links below lead to.
    """
    if not pending:
        return
    trees: list[Tree] = []
    try:
        trees.extend(map(Tree, (upper, *lowers)))
        _Settler(trees[0], trees[1:]).run(pending)
    except OSError as error:
        raise unfit(error, f"cannot complete the layer in {upper!r}") from error
    finally:
        for tree in trees:
            tree.close()


class _Settler:
    """One layer being completed."""

    def __init__(self, upper: Tree, lowers: Sequence[Tree]) -> None:
        self._upper = upper
        self._lowers: list[Tree] = []
        for tree in lowers:
            self._lowers.append(tree)
            if is_opaque(tree.root_fd):
                break
        self._moved: list[tuple[bytes, bytes]] = []
        self._times: dict[bytes, int] = {}  # of directories that were worked in

    def run(self, pending: Pending) -> None:
        for path in pending.implicit:
            self._directory(self._now(path))
        implicit = frozenset(pending.implicit)
        for path in pending.required:
            # Unpacking made it, so that what is below counts, unless an entry described it later.
            if path in implicit and self._below(path, behind=True) is None:
                raise LayerError(
                    f"a link of the layer leads to {show(b'/' + path)}, where the image has no directory",
                    hint="A layer that puts entries there is broken or malicious; nothing of it was kept.",
                )
        for name, target in pending.links:
            self._link(self._now(name), target)
        for path in pending.whiteouts:
            self._whiteout(self._now(path))
        for path, mtime_ns in self._times.items():
            os.utime(self._upper.directory(path), ns=(mtime_ns, mtime_ns))

    def _now(self, path: bytes) -> bytes:
        """Where something is after directories were moved to where links below lead."""
        for old, new in self._moved:
            if path == old:
                path = new
            elif path.startswith(old + b"/"):
                path = new + path[len(old) :] if new else path[len(old) + 1 :]
        return path

    def _working_in(self, path: bytes) -> None:
        """Keep a directory's time before something in it changes."""
        if path not in self._times:
            self._times[path] = os.fstat(self._upper.directory(path)).st_mtime_ns

    def _below(self, path: bytes, *, behind: bool = False) -> tuple[Tree, os.stat_result] | None:
        """What the lower layers, as the upper one leaves them visible, have at a path.

        Args:
            path: The path.
            behind: Look behind what hides it in the upper layer itself: a whiteout, an opaque directory.
        """
        layers: Sequence[Tree] = self._lowers
        if is_opaque(self._upper.root_fd):
            return None
        here = b""
        top = None
        for part in path.split(b"/"):
            here = here + b"/" + part if here else part
            own = self._upper.lstat(here)
            hides = own is not None and (not stat.S_ISDIR(own.st_mode) or is_opaque(self._upper.directory(here)))
            if hides and not (behind and here == path):
                return None
            top, layers = _visible(layers, here)
            if top is None:
                return None
        return top

    def _look(self, path: bytes) -> bytes | int:
        """What the whole stack shows at a path."""
        status = self._upper.lstat(path)
        tree = self._upper
        if status is None:
            found = self._below(path)
            if found is None:
                return Look.MISSING
            tree, status = found
        if is_whiteout(status):
            return Look.MISSING
        if stat.S_ISDIR(status.st_mode):
            return Look.DIRECTORY
        return tree.readlink(path) if stat.S_ISLNK(status.st_mode) else Look.OTHER

    def _directory(self, path: bytes) -> None:
        """A directory that the layer did not describe."""
        found = self._below(path, behind=True)
        if found is None:
            return
        tree, status = found
        if stat.S_ISDIR(status.st_mode):
            self._imitate(path, tree, status)
        elif stat.S_ISLNK(status.st_mode):
            self._move(path, tree.readlink(path))
        else:
            raise LayerError(f"the layer has entries below {show(path)}, which is not a directory")

    def _imitate(self, path: bytes, tree: Tree, status: os.stat_result) -> None:
        """Give a directory of the upper layer the metadata of a lower one."""
        fd = self._upper.directory(path)
        self._upper.owners.own(fd, status.st_uid, status.st_gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        _copy_xattrs(tree.directory(path), fd)
        self._times[path] = status.st_mtime_ns

    def _move(self, path: bytes, target: bytes) -> None:
        """The layers below have a link where this one made a directory: move what is in it to where the link leads."""
        goal = resolve(path, lambda here: target if here == path else self._look(here), path)
        self._make(goal)
        self._merge(path, goal)
        above, _, base = path.rpartition(b"/")
        self._working_in(above)
        os.rmdir(base, dir_fd=self._upper.directory(above))
        self._upper.forget()
        self._moved.append((path, goal))
        self._times.pop(path, None)
        for old in [old for old in self._times if old.startswith(path + b"/")]:
            self._times[self._now(old)] = self._times.pop(old)

    def _make(self, path: bytes) -> None:
        """Have a directory in the upper layer that is in the stack."""
        if not path or self._upper.lstat(path) is not None:
            return
        above = path.rpartition(b"/")[0]
        self._make(above)
        self._working_in(above)
        self._upper.mkdir(path)
        found = self._below(path)
        if found is not None:
            self._imitate(path, *found)

    def _merge(self, source: bytes, target: bytes) -> None:
        """Move everything in one directory of the upper layer into another."""
        self._working_in(target)
        for name in sorted(os.listdir(self._upper.directory(source))):
            base = os.fsencode(name)
            old = source + b"/" + base
            new = target + b"/" + base if target else base
            if old.startswith(new + b"/"):
                raise LayerError(f"the entry {show(old)} would replace the link it goes through")
            was, now = self._upper.lstat(new), self._upper.lstat(old)
            if was is not None and now is not None:
                if stat.S_ISDIR(was.st_mode) and stat.S_ISDIR(now.st_mode):
                    self._merge(old, new)
                    self._upper.remove(old)
                    continue
                self._upper.remove(new)
            self._upper.rename(old, new)

    def _link(self, name: bytes, target: bytes) -> None:
        above, _, base = target.rpartition(b"/")
        if above:
            above = resolve(above, self._look, name)
            target = above + b"/" + base if above else base
        if target.startswith(name + b"/"):
            raise LayerError(f"the hard link {show(name)} would replace what it leads to")
        status = self._upper.lstat(target)
        if status is None:
            found = self._below(target)
            if found is not None and not stat.S_ISDIR(found[1].st_mode):
                self._copy_up(target, *found)
            status = found[1] if found is not None else None
        if status is None or is_whiteout(status):
            raise LayerError(f"the hard link {show(name)} is to {show(target)}, which does not exist")
        if stat.S_ISDIR(status.st_mode):
            raise LayerError(f"the hard link {show(name)} is to the directory {show(target)}")
        self._working_in(name.rpartition(b"/")[0])
        existing = self._upper.lstat(name)
        if existing is not None:  # a whiteout: the name was free when the layer was unpacked
            self._upper.remove(name)
        self._upper.link(target, name)

    def _whiteout(self, path: bytes) -> None:
        """Take away a whiteout that hides nothing: overlayfs filters them out of merged directories only."""
        status = self._upper.lstat(path)
        if status is not None and is_whiteout(status) and self._below(path, behind=True) is None:
            self._working_in(path.rpartition(b"/")[0])
            self._upper.remove(path)

    def _copy_up(self, path: bytes, tree: Tree, status: os.stat_result) -> None:
        """Copy a lower file into the upper layer, as overlayfs does before it links."""
        above = path.rpartition(b"/")[0]
        self._make(above)
        self._working_in(above)
        fd, base = self._upper.parent(path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            _copy_file(tree, path, fd, base, status)
            return
        if kind == stat.S_IFLNK:
            os.symlink(tree.readlink(path), base, dir_fd=fd)
        else:
            self._upper.owners.mknod(base, kind | 0o600, status.st_rdev, fd)
        self._upper.owners.own_entry(base, status.st_uid, status.st_gid, fd)
        if kind != stat.S_IFLNK:
            fchmodat2(fd, base, stat.S_IMODE(status.st_mode))
        self._upper.owners.utime(base, status.st_mtime_ns, fd)


def _visible(layers: Sequence[Tree], path: bytes) -> tuple[tuple[Tree, os.stat_result] | None, list[Tree]]:
    """What layers that lie on each other show at a path.

    Args:
        layers: The top one first; those that have the directory above and do not have it hidden.
        path: The path.

    Returns:
        The top entry there, and the layers whose directories are merged there.
    """
    top = None
    merged: list[Tree] = []
    for tree in layers:
        status = tree.lstat(path)
        if status is None:
            continue
        if is_whiteout(status):
            break
        if not stat.S_ISDIR(status.st_mode):
            top = top or (tree, status)
            break
        top = top or (tree, status)
        merged.append(tree)
        if is_opaque(tree.directory(path)):
            break
    return top, merged


def _copy_file(tree: Tree, path: bytes, fd: int, base: bytes, status: os.stat_result) -> None:
    source = tree.open(path, os.O_RDONLY)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(base, flags, 0o600, dir_fd=fd)
        try:
            reflink.copy(source, target, status.st_size)
            tree.owners.own(target, status.st_uid, status.st_gid)
            os.fchmod(target, stat.S_IMODE(status.st_mode))
            _copy_xattrs(source, target)
            os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_xattrs(source: int, target: int) -> None:
    for text in xattr.names(source):
        name = os.fsencode(text)
        if passes(name) and name not in (OPAQUE_XATTR, OPAQUE_XATTR_USER):
            value = xattr.get(source, name)
            if value is not None:
                xattr.set_(target, name, value)
