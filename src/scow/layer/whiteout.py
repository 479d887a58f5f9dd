# SPDX-License-Identifier: Apache-2.0
"""How removed entries are written down: OCI's marker files in tar streams, overlayfs's devices and attribute in trees.

Also which extended attributes may pass between the two: an attribute of overlayfs itself, coming from an image, could
redirect a directory to another place, and one of ours would claim an owner.
Source: OCI image-spec v1.1, layer.md, "Whiteouts"; kernel documentation, overlayfs, "whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat

from scow.layer.changeset import LayerError
from scow.layer.names import show
from scow.linux import owners, xattr
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.layer.tarformat import Pairs

PREFIX = b".wh."
META_PREFIX = b".wh..wh."
OPAQUE = b".wh..wh..opq"
OPAQUE_XATTR = b"trusted.overlay.opaque"
OPAQUE_XATTR_USER = b"user.overlay.opaque"
_OVERLAY = (b"trusted.overlay.", b"user.overlay.")
_SECURITY = b"security."
_OWNER = owners.NAME.encode()
_CAPABILITY = b"security.capability"
_ACCESS_LISTS = frozenset({b"system.posix_acl_access", b"system.posix_acl_default"})


def hidden_name(name: bytes) -> bytes | None:
    """What a marker file removes.

    Args:
        name: A cleaned entry name of which ``is_marker`` is true.

    Returns:
        The removed entry's name; the directory's own name with a slash at its end for an opaque marker; ``None`` for
        the other reserved names, which mean nothing any more.

    Raises:
        LayerError: The marker names nothing, or a directory itself.
    """
    above, slash, base = name.rpartition(b"/")
    if base == OPAQUE:
        return above + b"/"
    if base.startswith(META_PREFIX) or name.startswith(META_PREFIX):
        return None
    base = base[len(PREFIX) :]
    if base in (b"", b".", b".."):
        raise LayerError(f"the entry {show(name)} is a whiteout of nothing")
    return above + slash + base


def is_marker(name: bytes) -> bool:
    """Whether a cleaned entry name is one of the reserved ones, or lies in a reserved directory of AUFS."""
    return name.startswith(PREFIX, name.rfind(b"/") + 1) or name.startswith(META_PREFIX)


def accepted(xattrs: Pairs) -> Pairs:
    """The attributes of an entry that are applied: all of users, capabilities and access lists, nothing of overlayfs.

    Labels of security modules belong to the host that made them.
    """
    return tuple(pair for pair in xattrs if passes(pair[0]))


def passes(name: bytes) -> bool:
    """Whether an attribute of this name may come from an image."""
    if name.startswith(_OVERLAY) or name == _OWNER:
        return False
    if name.startswith(_SECURITY):
        return name == _CAPABILITY
    return name.startswith((b"user.", b"trusted.")) or name in _ACCESS_LISTS


def exported(path: str | bytes | int) -> Pairs:
    """The attributes of a file in a tree that go into a layer.

    Args:
        path: The entry, itself, or an open descriptor.

    Raises:
        OSError: It cannot be looked at.
    """
    names = xattr.names(path)
    if not names:
        return ()
    pairs = []
    for text in names:
        name = os.fsencode(text)
        if passes(name) and not name.startswith(b"trusted."):
            value = xattr.get(path, name)
            if value is not None:
                pairs.append((name, value))
    return tuple(sorted(pairs))


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry of an overlay directory stands for a removed one."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return status.st_mode == stat.S_IFSOCK and status.st_mtime_ns == 0


def make_whiteout(name: str | bytes, dir_fd: int | None = None) -> None:
    """Make an entry that stands for a removed one.

    A store may itself lie on an overlay, which lets nobody make its whiteouts. Nothing can be laid over directories
    there, so that only scow has to understand what it makes instead: a socket, which no layer has, from 1970.

    Args:
        name: The entry.
        dir_fd: Its directory, when the name is not a path.

    Raises:
        OSError: It could not be made; ``EEXIST`` when something is there.
    """
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)
    except PermissionError:
        os.mknod(name, stat.S_IFSOCK, 0, dir_fd=dir_fd)
    os.utime(name, ns=(0, 0), dir_fd=dir_fd, follow_symlinks=False)


def is_opaque(path: str | bytes | int) -> bool:
    """Whether a directory of an overlay hides everything below it.

    Raises:
        OSError: It cannot be looked at.
    """
    return xattr.get(path, OPAQUE_XATTR) == b"y" or xattr.get(path, OPAQUE_XATTR_USER) == b"y"


def make_opaque(fd: int, *, user: bool = False) -> None:
    """Let a directory hide everything below it.

    Args:
        fd: The open directory.
        user: Use the attribute that overlay mounts with ``userxattr`` look at.

    Raises:
        OSError: The file system cannot.
    """
    xattr.set_(fd, OPAQUE_XATTR_USER if user else OPAQUE_XATTR, b"y")
