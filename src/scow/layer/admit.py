# SPDX-License-Identifier: Apache-2.0
"""What an entry may say at all, whichever way its layer is kept."""

from __future__ import annotations

import errno
import os

from scow.layer.changeset import LayerError
from scow.layer.names import show
from scow.layer.tarformat import BLOCKDEV, CHAR, REGULAR, SYMLINK
from scow.linux.syscalls import explain
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.errors import ScowError
    from scow.layer.tarformat import TarEntry

_CONTRADICTIONS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL}
)
_NOBODY = 0xFFFFFFFF  # (uid_t) -1 means "leave it" to chown(2)
_MAX_SECONDS = 1 << 40
_MAX_TARGET = 4095
_MAX_SIZE = (1 << 63) - 1
_MAX_XATTRS = 64 * 1024


def unfit(error: OSError, doing: str) -> ScowError:
    """The error for a call that failed while a layer was put into a tree.

    Args:
        error: What the kernel answered.
        doing: What was tried, as in "cannot unpack 'x'".

    Returns:
        ``LayerError`` when the layer's own entries must be the cause, else what ``linux.syscalls.explain`` says.
    """
    if error.errno in _CONTRADICTIONS:
        return LayerError(f"{doing}: {os.strerror(error.errno)}", hint="The entries of the layer do not fit together.")
    return explain(error, doing)


def admit(entry: TarEntry) -> None:
    """Refuse an entry that no file system could hold.

    Raises:
        LayerError: Its owner, time, device, link or size is out of range.
    """
    if not (0 <= entry.uid < _NOBODY and 0 <= entry.gid < _NOBODY):
        raise LayerError(f"the entry {show(entry.name)} has an owner out of range ({entry.uid}:{entry.gid})")
    if not -_MAX_SECONDS < entry.mtime_ns // 1_000_000_000 < _MAX_SECONDS:
        raise LayerError(f"the entry {show(entry.name)} has a time out of range")
    kind = entry.type
    if kind == REGULAR:
        if entry.size > _MAX_SIZE:
            raise LayerError(f"the entry {show(entry.name)} has a size out of range")
    elif kind == SYMLINK:
        if not 0 < len(entry.linkname) <= _MAX_TARGET:
            raise LayerError(f"the symbolic link {show(entry.name)} has a target of {len(entry.linkname)} bytes")
    elif kind in (CHAR, BLOCKDEV) and not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
        raise LayerError(f"the entry {show(entry.name)} has a device out of range ({entry.major}:{entry.minor})")
    if entry.xattrs:
        if sum(len(key) + len(value) for key, value in entry.xattrs) > _MAX_XATTRS:
            raise LayerError(f"the entry {show(entry.name)} has more than {_MAX_XATTRS} bytes of extended attributes")
        if any(not key or len(key) > 255 or b"\0" in key for key, _ in entry.xattrs):
            raise LayerError(f"the entry {show(entry.name)} has an extended attribute with an invalid name")
