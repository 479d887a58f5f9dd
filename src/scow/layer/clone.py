# SPDX-License-Identifier: Apache-2.0
"""Copying entries of trees as they are: owners or what is recorded of them, times, attributes, holes and links.

What overlayfs keeps for itself in attributes stays behind: a copy is a plain tree.
"""

from __future__ import annotations

import errno
import os
import stat

from scow.linux import owners, reflink
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.linux.owners import Owners

_LEFT = ("trusted.overlay.", "user.overlay.", "security.selinux")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Cloner:
    """Copies into one tree; remembers hard links.

    Args:
        goal: Descriptor of the directory that the copies' paths begin at.
        link: Make links instead of copies of what is not a directory.
    """

    def __init__(self, goal: int, *, link: bool = False) -> None:
        self._goal = goal
        self._link = link
        self._ids: Owners = owners.here()
        self._seen: dict[tuple[int, int], str] = {}

    def tree(self, source: int, goal: int, path: str = "") -> None:
        """Copy everything in a directory, and its metadata.

        Args:
            source: Descriptor of the directory; nobody may be changing it.
            goal: Descriptor of an empty directory.
            path: The latter's, with a slash at its end unless it is empty.

        Raises:
            OSError: Something cannot be read or written.
        """
        for name in os.listdir(source):
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                self.node(source, name, found, goal, path)
                continue
            below, above = open_directory(name, source), new_directory(name, goal)
            try:
                self.tree(below, above, f"{path}{name}/")
            finally:
                os.close(below)
                os.close(above)
        self.metadata(source, goal)

    def node(self, source: int, name: str, found: os.stat_result, goal: int, path: str) -> None:
        """Copy what is not a directory; sockets are left out.

        Args:
            source: Descriptor of its directory.
            name: Its name there.
            found: What lstat says of it.
            goal: Descriptor of the directory that gets it.
            path: The latter's, with a slash at its end unless it is empty.

        Raises:
            OSError: It cannot be read or written.
        """
        if stat.S_ISSOCK(found.st_mode):
            return
        if self._link:
            try:
                os.link(name, name, src_dir_fd=source, dst_dir_fd=goal, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM):
                    raise
        if found.st_nlink > 1:
            first = self._seen.setdefault((found.st_dev, found.st_ino), path + name)
            if first != path + name:
                os.link(first, name, src_dir_fd=self._goal, dst_dir_fd=goal, follow_symlinks=False)
                return
        if stat.S_ISREG(found.st_mode):
            self._file(source, name, goal)
            return
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=goal)
        else:
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=goal)
        if self._ids.real:
            os.chown(name, found.st_uid, found.st_gid, dir_fd=goal, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=goal)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=goal, follow_symlinks=False)

    def _file(self, source: int, name: str, goal: int) -> None:
        reader = os.open(name, _READ, dir_fd=source)
        try:
            writer = os.open(name, _NEW, 0o600, dir_fd=goal)
            try:
                reflink.copy(reader, writer, os.fstat(reader).st_size)
                self.metadata(reader, writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def metadata(self, source: int, goal: int) -> None:
        """Give an open file or directory what another has: owner, mode, attributes, times.

        Raises:
            OSError: It cannot be.
        """
        found = os.fstat(source)
        if self._ids.real:
            os.fchown(goal, found.st_uid, found.st_gid)
        for name in os.listxattr(source):
            if not name.startswith(_LEFT):
                os.setxattr(goal, name, os.getxattr(source, name))
        os.fchmod(goal, stat.S_IMODE(found.st_mode))
        os.utime(goal, ns=(found.st_atime_ns, found.st_mtime_ns))


def open_directory(name: str, above: int) -> int:
    """Open a directory, itself.

    Raises:
        OSError: It cannot be.
    """
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)


def new_directory(name: str, above: int) -> int:
    """Make a directory and open it.

    Raises:
        OSError: It cannot be.
    """
    os.mkdir(name, 0o700, dir_fd=above)
    return open_directory(name, above)
