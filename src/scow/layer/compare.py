# SPDX-License-Identifier: Apache-2.0
"""Whether two entries of two trees are the same."""

from __future__ import annotations

import os
import stat

from scow.layer.whiteout import exported
from scow.linux import owners

_CHUNK = 256 * 1024


def same(one: bytes, other: bytes) -> bool:
    """Compare type, mode, owner, size, time, link target, device, attributes and contents.

    Args:
        one: Path of an entry.
        other: Path of another, which may be absent.

    Raises:
        OSError: One cannot be read.
    """
    try:
        ids = owners.here()
        a, b = ids.lstat(one), ids.lstat(other)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev):
        return False
    if a.st_mtime_ns != b.st_mtime_ns and a.st_mtime_ns // 10**9 * 10**9 != b.st_mtime_ns:
        # A layer holds whole seconds; the tree below may come from one.
        return False
    if exported(one) != exported(other):
        return False
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(one) == os.readlink(other)
    if stat.S_ISREG(a.st_mode):
        return a.st_size == b.st_size and same_contents(one, other)
    return True


def same_contents(one: bytes, other: bytes) -> bool:
    """Compare two files byte by byte.

    Raises:
        OSError: One cannot be read.
    """
    with open(one, "rb", buffering=0) as first, open(other, "rb", buffering=0) as second:
        while True:
            data = first.read(_CHUNK)
            if data != second.read(len(data) or 1):
                return False
            if not data:
                return True
