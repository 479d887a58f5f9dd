# SPDX-License-Identifier: Apache-2.0
"""A new volume's first content: what the image has where the volume is mounted."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from scow.linux import owners

if TYPE_CHECKING:
    from scow.linux.owners import Owners
    from scow.runtime.inside import Root

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def fill(root: Root, path: str, target: str) -> None:
    """Copy a directory of a mounted root into an empty directory of the host.

    Owners, modes, times, extended attributes, links (hard ones too) and device nodes are kept; links are copied, never
    followed.

    Args:
        root: The mounted root.
        path: Absolute path inside it; when nothing is there, nothing happens.
        target: An empty directory.
    """
    try:
        source = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    goal = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _copy_directory(owners.here(), source, goal, {})
    finally:
        os.close(source)
        os.close(goal)


def _copy_directory(ids: Owners, source: int, goal: int, seen: dict[tuple[int, int], str], prefix: str = "") -> None:
    for name in os.listdir(source):
        found = ids.lstat(name, source)
        where = f"{prefix}/{name}"
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=goal)
            below = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=source)
            above = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=goal)
            try:
                _copy_directory(ids, below, above, seen, where)
            finally:
                os.close(below)
                os.close(above)
        else:
            key = (found.st_dev, found.st_ino)
            if found.st_nlink > 1 and key in seen:
                depth = prefix.count("/")
                os.link("../" * depth + seen[key].lstrip("/"), name, src_dir_fd=goal, dst_dir_fd=goal)
                continue
            seen[key] = where
            _copy_node(ids, source, goal, name, found)
    _copy_metadata(ids, ids.fstat(source), source, goal)


def _copy_node(ids: Owners, source: int, goal: int, name: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=goal)
        ids.own_entry(name, found.st_uid, found.st_gid, goal)
        ids.utime(name, found.st_mtime_ns, goal)
        return
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISSOCK(found.st_mode):
            return
        ids.mknod(name, found.st_mode, found.st_rdev, goal)
        ids.own_entry(name, found.st_uid, found.st_gid, goal)
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=goal)
        return
    reader = os.open(name, _FLAGS, dir_fd=source)
    writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=goal)
    try:
        while os.sendfile(writer, reader, None, _CHUNK):
            pass
        _copy_metadata(ids, found, reader, writer)
    finally:
        os.close(reader)
        os.close(writer)


def _copy_metadata(ids: Owners, found: os.stat_result, source: int, goal: int) -> None:
    ids.own(goal, found.st_uid, found.st_gid)
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            os.setxattr(goal, name, os.getxattr(source, name))
    os.fchmod(goal, stat.S_IMODE(found.st_mode))
    os.utime(goal, ns=(found.st_atime_ns, found.st_mtime_ns))
