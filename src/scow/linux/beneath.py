# SPDX-License-Identifier: Apache-2.0
"""Working inside a file tree that somebody hostile may have made, without ever leaving it.

Directories are reached with openat2(2) and kept as descriptors; everything else is one component relative to such a
descriptor, where a link cannot lead anywhere. Names are bytes, relative to the root, without ``.``, ``..`` and empty
components unless said otherwise.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict

from scow.linux import owners
from scow.linux.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    fchmodat2,
    openat2,
)
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_KEPT = 128
_DEEPEST = 100
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A root directory and open descriptors of the directories used last.

    Owners and devices are those of ``linux.owners``: real, or written down where this process has a single id.

    Not for several threads at once. The descriptors given out belong to the tree and may be closed by the next call.

    Args:
        root: Path of the root directory; links in it are followed, it is the caller's own.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, root: str | bytes) -> None:
        self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.owners = owners.here()
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor."""
        self.forget()
        if self.root_fd >= 0:
            os.close(self.root_fd)
            self.root_fd = -1

    def directory(self, path: bytes) -> int:
        """A descriptor of a directory, reached without following any link.

        Args:
            path: The directory; ``b""`` is the root.

        Raises:
            OSError: ``ELOOP`` when a link is in the way, ``ENOENT``, ``ENOTDIR``.
        """
        if not path:
            return self.root_fd
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        above, _, base = path.rpartition(b"/")
        start = self._open.get(above, -1) if above else self.root_fd
        try:
            if start >= 0:
                fd = os.open(base, _DIRECTORY, dir_fd=start)
            else:
                fd = openat2(self.root_fd, path, _DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        except OSError as error:
            if error.errno == errno.ENOTDIR and self._is_link(path):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
            raise
        self.keep(path, fd)
        return fd

    def keep(self, path: bytes, fd: int) -> None:
        """Hand over an open directory.

        Args:
            path: Where it is.
            fd: Its descriptor, which the tree closes one day.
        """
        self._open[path] = fd
        if len(self._open) > _KEPT:
            os.close(self._open.popitem(last=False)[1])

    def forget(self) -> None:
        """Close the kept descriptors: directories were removed, renamed or replaced."""
        while self._open:
            os.close(self._open.popitem()[1])

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The directory that holds an entry, and the entry's name in it.

        Args:
            path: Not the root.

        Raises:
            OSError: As :meth:`directory`.
        """
        above, _, base = path.rpartition(b"/")
        return self.directory(above), base

    def open(self, path: bytes, flags: int, mode: int = 0o600) -> int:
        """Open or create a file; a link at its end is refused.

        Raises:
            OSError: As open(2); ``ELOOP`` for a link anywhere.
        """
        fd, base = self.parent(path)
        return os.open(base, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)

    def open_in_root(self, path: bytes, flags: int, mode: int = 0o600) -> int:
        """Open a file as a process in the tree would: links are followed, but only inside the tree.

        Args:
            path: Any path, absolute or not; ``..`` stops at the root.
            flags: Of open(2).
            mode: Permissions of a file that gets created.

        Raises:
            OSError: As open(2).
        """
        return openat2(self.root_fd, path.lstrip(b"/") or b".", flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Look at an entry, itself.

        Returns:
            What is there, or ``None``.

        Raises:
            OSError: A directory above it cannot be reached.
        """
        try:
            if not path:
                return self.owners.fstat(self.root_fd)
            fd, base = self.parent(path)
            return self.owners.lstat(base, fd)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def readlink(self, path: bytes) -> bytes:
        """The target of a link.

        Raises:
            OSError: It is none.
        """
        fd, base = self.parent(path)
        return os.readlink(base, dir_fd=fd)

    def mkdir(self, path: bytes, mode: int = 0o700) -> None:
        """Make a directory.

        Raises:
            OSError: As mkdir(2).
        """
        fd, base = self.parent(path)
        os.mkdir(base, mode, dir_fd=fd)

    def symlink(self, target: bytes, path: bytes) -> None:
        """Make a symbolic link.

        Raises:
            OSError: As symlink(2).
        """
        fd, base = self.parent(path)
        os.symlink(target, base, dir_fd=fd)

    def link(self, target: bytes, path: bytes) -> None:
        """Make a hard link to an entry of the tree, itself when it is a symbolic link.

        Raises:
            OSError: As link(2).
        """
        # The second look-up may close the first one's descriptor, so that one is copied.
        fd, base = self.parent(target)
        source = os.dup(fd)
        try:
            fd, name = self.parent(path)
            os.link(base, name, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(source)

    def mknod(self, path: bytes, mode: int, device: int = 0) -> None:
        """Make a device, fifo or empty file.

        Raises:
            OSError: As mknod(2).
        """
        fd, base = self.parent(path)
        self.owners.mknod(base, mode, device, fd)

    def chown(self, path: bytes, uid: int, gid: int) -> None:
        """Set the owner of an entry, itself.

        Raises:
            OSError: As fchownat(2).
        """
        if not path:
            self.owners.own(self.root_fd, uid, gid)
            return
        fd, base = self.parent(path)
        self.owners.own_entry(base, uid, gid, fd)

    def chmod(self, path: bytes, mode: int) -> None:
        """Set the mode of an entry that is no symbolic link.

        Raises:
            OSError: As fchmodat2(2).
        """
        if not path:
            os.fchmod(self.root_fd, mode)
            return
        fd, base = self.parent(path)
        fchmodat2(fd, base, mode)

    def utime(self, path: bytes, mtime_ns: int) -> None:
        """Set both times of an entry, itself.

        Raises:
            OSError: As utimensat(2).
        """
        if not path:
            os.utime(self.root_fd, ns=(mtime_ns, mtime_ns))
            return
        fd, base = self.parent(path)
        self.owners.utime(base, mtime_ns, fd)

    def setxattr(self, path: bytes, name: bytes, value: bytes) -> None:
        """Set an extended attribute of an entry, itself.

        Raises:
            OSError: As lsetxattr(2).
        """
        if not path:
            os.setxattr(self.root_fd, name, value)
            return
        fd, base = self.parent(path)
        os.setxattr(b"/proc/self/fd/%d/%s" % (fd, base), name, value, follow_symlinks=False)

    def rename(self, old: bytes, new: bytes) -> None:
        """Move an entry.

        Raises:
            OSError: As rename(2).
        """
        fd, base = self.parent(old)
        source = os.dup(fd)
        try:
            fd, name = self.parent(new)
            os.rename(base, name, src_dir_fd=source, dst_dir_fd=fd)
        finally:
            os.close(source)
            self.forget()

    def remove(self, path: bytes) -> None:
        """Remove an entry and everything below it; links are removed, not followed.

        Raises:
            OSError: It could not be.
        """
        fd, base = self.parent(path)
        try:
            os.unlink(base, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            self.empty(path)
            fd, base = self.parent(path)
            os.rmdir(base, dir_fd=fd)

    def empty(self, path: bytes) -> None:
        """Remove everything in a directory.

        Raises:
            OSError: It could not be.
        """
        self.forget()
        above = os.dup(self.directory(path))
        try:
            _empty(above)
        finally:
            os.close(above)
            self.forget()

    def _is_link(self, path: bytes) -> bool:
        """Whether a component of a path is a symbolic link."""
        try:
            os.close(openat2(self.root_fd, path, os.O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS))
        except OSError as error:
            return error.errno == errno.ELOOP
        try:
            above, _, base = path.rpartition(b"/")
            fd = openat2(self.root_fd, above or b".", os.O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        except OSError:
            return False
        try:
            os.readlink(base, dir_fd=fd)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def _empty(fd: int) -> None:
    """Remove what is in an open directory, however deep: what lies too deep is moved up first, so that few are open."""
    stack: list[tuple[int, list[str]]] = [(os.dup(fd), os.listdir(fd))]
    names: list[str] = []
    try:
        while stack:
            current, left = stack[-1]
            if not left:
                stack.pop()
                os.close(current)
                if stack:
                    os.rmdir(names.pop(), dir_fd=stack[-1][0])
                continue
            name = left.pop()
            try:
                os.unlink(name, dir_fd=current)
            except (IsADirectoryError, PermissionError):
                if len(stack) > _DEEPEST:
                    moved = os.urandom(16).hex()
                    os.rename(name, moved, src_dir_fd=current, dst_dir_fd=fd)
                    stack[0][1].append(moved)
                    continue
                inner = os.open(name, _DIRECTORY, dir_fd=current)
                stack.append((inner, os.listdir(inner)))
                names.append(name)
    finally:
        for current, _ in stack:
            os.close(current)
