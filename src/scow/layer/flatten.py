# SPDX-License-Identifier: Apache-2.0
"""Layers in overlayfs's form to one plain tree, and back: for hosts where nothing stacks directories.

A tree is made of layers by :func:`flatten`, with a list of what it consisted of then (:func:`take_stock`). What was
done to the tree later is found by comparing with that list (:func:`harvest`): an entry is as it was when it is the same
inode with the same time of change, which nobody can set.

The list is a file: for each entry inode, change time, modification time, mode, user, group and path, times in
nanoseconds, with blanks between, then a zero byte.
"""

from __future__ import annotations

import os
import stat

from scow.layer.clone import Cloner, new_directory, open_directory
from scow.layer.whiteout import is_opaque, is_whiteout, make_opaque, make_whiteout
from scow.linux import kernel
from scow.linux.syscalls import explain
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Stock = dict[str, tuple[int, ...]]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def flatten(layers: Sequence[str], goal: str, *, link: bool = False) -> None:
    """Copy what a stack of layers shows into a directory; blocks are shared where the file system can.

    Args:
        layers: Their directories, the top one first; nobody may be changing them.
        goal: An empty directory.
        link: Files are links to those of the layers: nobody may change the result.

    Raises:
        ScowError: Something cannot be read or written.
    """
    fds: list[int] = []
    try:
        for path in (goal, *layers):
            fds.append(os.open(path, _OPEN))  # noqa: PERF401 - what was opened is closed whatever happens
        tops = fds[1:]
        for index, fd in enumerate(tops):
            if is_opaque(fd):
                del tops[index + 1 :]
                break
        _merge(Cloner(fds[0], link=link), tops, fds[0], "")
    except OSError as error:
        raise explain(error, f"cannot copy an image into {goal!r}") from error
    finally:
        for fd in fds:
            os.close(fd)


def _merge(cloner: Cloner, layers: Sequence[int], goal: int, path: str) -> None:
    """Copy a directory that several layers have, and give it the top one's metadata."""
    seen: set[str] = set()
    for index, source in enumerate(layers):
        for name in os.listdir(source):
            if name in seen:
                continue
            seen.add(name)
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if is_whiteout(found):
                continue
            if not stat.S_ISDIR(found.st_mode):
                cloner.node(source, name, found, goal, path)
                continue
            below = _below(layers[index:], name)
            above = new_directory(name, goal)
            try:
                _merge(cloner, below, above, f"{path}{name}/")
            finally:
                for fd in (*below, above):
                    os.close(fd)
    if layers:
        cloner.metadata(layers[0], goal)


def _below(layers: Sequence[int], name: str) -> list[int]:
    """The directories of this name that are merged into one, open; the first layer has one."""
    found: list[int] = []
    try:
        for layer in layers:
            try:
                status = os.stat(name, dir_fd=layer, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break
            found.append(open_directory(name, layer))
            if is_opaque(found[-1]):
                break
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return found


def catch_up(changes: str, tree: str) -> None:
    """Let a tree have nothing in common with a layer that was harvested from it, and the times that this one got since.

    Args:
        changes: The layer's directory.
        tree: The tree.

    Raises:
        ScowError: Something cannot be read or written.
    """
    try:
        source, goal = os.open(changes, _OPEN), os.open(tree, _OPEN)
        try:
            _catch_up(Cloner(goal), source, goal, "")
        finally:
            os.close(source)
            os.close(goal)
    except OSError as error:
        raise explain(error, f"cannot copy what changed in {tree!r}") from error


def _catch_up(cloner: Cloner, source: int, goal: int, path: str) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if is_whiteout(found):
            continue
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=goal)
            cloner.node(source, name, found, goal, path)
            continue
        below, above = open_directory(name, source), open_directory(name, goal)
        try:
            _catch_up(cloner, below, above, f"{path}{name}/")
        finally:
            os.close(below)
            os.close(above)
    cloner.metadata(source, goal)


def take_stock(tree: str, path: str) -> None:
    """Write down what a tree consists of.

    Args:
        tree: Its directory.
        path: The list, a new file.

    Raises:
        ScowError: Something cannot be read or written.
    """
    try:
        with open(path, "xb") as out:
            stack = [("", tree)]
            while stack:
                prefix, directory = stack.pop()
                with os.scandir(directory) as scan:
                    for item in scan:
                        found = item.stat(follow_symlinks=False)
                        is_directory = stat.S_ISDIR(found.st_mode)
                        state = *_state(found), kernel.born(item.path) if is_directory else 0
                        out.write(b"%d %d %d %d %d %d %d " % state + os.fsencode(prefix + item.name) + b"\0")
                        if is_directory:
                            stack.append((f"{prefix}{item.name}/", item.path))
    except OSError as error:
        raise explain(error, f"cannot look through {tree!r}") from error


def _read_stock(path: str) -> Stock:
    stock: Stock = {}
    with open(path, "rb") as file:
        for line in file.read().split(b"\0"):
            if line:
                *numbers, name = line.split(b" ", 7)
                stock[os.fsdecode(name)] = tuple(map(int, numbers))
    return stock


def _state(found: os.stat_result) -> tuple[int, int, int, int, int, int]:
    """What tells whether an entry is as it was; the first two alone do for files, where nobody but its user works."""
    return found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_mode, found.st_uid, found.st_gid


def harvest(tree: str, stock: str, goal: str, *, user_xattrs: bool = False, skip: frozenset[str] = frozenset()) -> None:
    """Make a layer in overlayfs's form of what was done to a tree. Files are linked, not copied.

    Args:
        tree: Its directory.
        stock: The list from before.
        goal: An empty directory on the same file system.
        user_xattrs: Mark opaque directories for mounts with ``userxattr``.
        skip: Paths where something else stood for a while; they are as they were, whatever their times say.

    Raises:
        ScowError: Something cannot be read or written.
    """
    try:
        source = os.open(tree, _OPEN)
        try:
            into = os.open(goal, _OPEN)
            try:
                harvester = _Harvester(_read_stock(stock), Cloner(into), skip, user_xattrs=user_xattrs)
                harvester.merged(source, into, "")
                harvester.cloner.metadata(source, into)
            finally:
                os.close(into)
        finally:
            os.close(source)
    except OSError as error:
        raise explain(error, f"cannot find out what changed in {tree!r}") from error


class _Harvester:
    """One comparison."""

    def __init__(self, stock: Stock, cloner: Cloner, skip: frozenset[str], *, user_xattrs: bool) -> None:
        self._stock = stock
        self._skip = skip
        # Where nothing had stood before, overlayfs would have copied the directory, too: as elsewhere, it comes along.
        there, new = ({_above(path) for path in skip if (path in stock) == known} for known in (True, False))
        self._touched = there - new
        self.cloner = cloner
        self._user_xattrs = user_xattrs
        self._names: dict[str, set[str]] = {}
        for path in stock:
            above, slash, name = path.rpartition("/")
            self._names.setdefault(above + slash, set()).add(name)

    def merged(self, source: int, goal: int, path: str) -> bool:
        """Find the differences in a directory that is still the one it was; says whether there are any.

        Args:
            source: The directory.
            goal: One for the differences.
            path: Its path, with a slash at its end unless it is the root.
        """
        changed = False
        present = set(os.listdir(source))
        for name in self._names.get(path, set()) - present:
            if path + name in self._skip:
                continue
            make_whiteout(name, goal)
            changed = True
        for name in present:
            if path + name in self._skip:
                continue
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            before = self._stock.get(path + name)
            if stat.S_ISDIR(found.st_mode):
                changed = self._directory(source, name, goal, path, found, before) or changed
            elif (before or ())[:2] != _state(found)[:2] and not stat.S_ISSOCK(found.st_mode):
                os.link(name, name, src_dir_fd=source, dst_dir_fd=goal, follow_symlinks=False)
                changed = True
        return changed

    def _directory(
        self,
        source: int,
        name: str,
        goal: int,
        path: str,
        found: os.stat_result,
        before: tuple[int, ...] | None,
    ) -> bool:
        below, above = open_directory(name, source), new_directory(name, goal)
        try:
            if before is not None and (before[0], before[6]) == (found.st_ino, kernel.born(below)):
                changed = self.merged(below, above, f"{path}{name}/")
                if not changed and self._is_as_before(f"{path}{name}", found, before):
                    os.rmdir(name, dir_fd=goal)
                    return False
            else:
                self._new(below, above)
                if before is not None:
                    make_opaque(above, user=self._user_xattrs)
            self.cloner.metadata(below, above)
        finally:
            os.close(below)
            os.close(above)
        return True

    def _is_as_before(self, path: str, found: os.stat_result, before: tuple[int, ...]) -> bool:
        """Whether a directory itself was left alone; what stood in it for a while does not count."""
        now = _state(found)
        return now[2:] == before[2:6] if path in self._touched else now[1] == before[1]

    def _new(self, source: int, goal: int) -> None:
        """Take over a directory that was not there, with all that is in it."""
        for name in os.listdir(source):
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                below, above = open_directory(name, source), new_directory(name, goal)
                try:
                    self._new(below, above)
                    self.cloner.metadata(below, above)
                finally:
                    os.close(below)
                    os.close(above)
            elif not stat.S_ISSOCK(found.st_mode):
                os.link(name, name, src_dir_fd=source, dst_dir_fd=goal, follow_symlinks=False)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
