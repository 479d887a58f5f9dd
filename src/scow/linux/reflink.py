# SPDX-License-Identifier: Apache-2.0
"""Copying file data inside the kernel: shared blocks where the file system can, a copy without user space elsewhere."""

from __future__ import annotations

import errno
import fcntl
import os

_FICLONE = 0x40049409
_STEP = 1 << 30
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EPERM)


def clone(source: int, target: int) -> bool:
    """Let a file share all its blocks with another until one is written to.

    Args:
        source: Descriptor to read.
        target: Descriptor to write, of an empty file.

    Returns:
        Whether the file system could.

    Raises:
        OSError: It failed for another reason than being unable.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def copy(source: int, target: int, size: int) -> None:
    """Copy a file's contents, keeping holes, sharing blocks where possible.

    Args:
        source: Descriptor to read.
        target: Descriptor to write, of an empty file.
        size: Bytes of the source.

    Raises:
        OSError: It failed.
    """
    if clone(source, target):
        return
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        if start >= size:
            break
        copy_range(source, target, start, end - start)
        position = end
    os.ftruncate(target, size)


def copy_range(source: int, target: int, offset: int, length: int) -> None:
    """Copy a part of a file to the same place in another.

    Args:
        source: Descriptor to read.
        target: Descriptor to write.
        offset: Where, in both.
        length: How many bytes; fewer when the source ends before.

    Raises:
        OSError: It failed.
    """
    end = offset + length
    while offset < end:
        try:
            done = os.copy_file_range(source, target, min(end - offset, _STEP), offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            done = os.pwrite(target, os.pread(source, min(end - offset, 1 << 20), offset), offset)
        if not done:
            return
        offset += done
