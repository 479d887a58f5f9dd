# SPDX-License-Identifier: Apache-2.0
"""Extended attributes of entries themselves, never of what a link points to."""

from __future__ import annotations

import errno
import os

_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)


def get(path: str | bytes | int, name: str | bytes) -> bytes | None:
    """An attribute's value.

    Args:
        path: The entry, or an open descriptor.
        name: With its namespace, as in ``user.comment``.

    Returns:
        The value, or ``None`` when there is none or the file system has no such thing.

    Raises:
        OSError: The entry cannot be looked at.
    """
    try:
        return os.getxattr(path, name) if isinstance(path, int) else os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def set_(path: str | bytes | int, name: str | bytes, value: bytes) -> None:
    """Set an attribute.

    Raises:
        OSError: It could not be.
    """
    if isinstance(path, int):
        os.setxattr(path, name, value)
    else:
        os.setxattr(path, name, value, follow_symlinks=False)


def remove(path: str | bytes | int, name: str | bytes) -> None:
    """Remove an attribute; absent is not an error.

    Raises:
        OSError: It could not be.
    """
    try:
        if isinstance(path, int):
            os.removexattr(path, name)
        else:
            os.removexattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def names(path: str | bytes | int) -> list[str]:
    """The names of an entry's attributes, sorted; none where the file system has no such thing.

    Raises:
        OSError: The entry cannot be looked at.
    """
    try:
        return sorted(os.listxattr(path) if isinstance(path, int) else os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise
