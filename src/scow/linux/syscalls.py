# SPDX-License-Identifier: Apache-2.0
"""What the kernel's answers mean: the one table from errno to scow's kinds of error, and calls inside a tree.

Raw calls fail with ``OSError``; whoever knows what was being done turns it into a sentence with :func:`explain`.
"""

from __future__ import annotations

import errno
import os
import struct

from scow.errors import (
    ConflictError,
    DeniedError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from scow.linux import kernel
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.errors import ScowError

_OPENAT2, _FCHMODAT2 = 437, 452

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x01, 0x02, 0x04
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x08, 0x10

# One row a kind: (numbers, class, hint).
_MEANINGS: tuple[tuple[tuple[int, ...], type[ScowError], str], ...] = (
    ((errno.EPERM, errno.EACCES, errno.EROFS), DeniedError, ""),
    ((errno.ENOENT, errno.ESRCH, errno.ENXIO, errno.ENODATA), NotFoundError, ""),
    ((errno.EEXIST, errno.EBUSY, errno.ENOTEMPTY, errno.ETXTBSY), ConflictError, ""),
    ((errno.ENOSPC, errno.EDQUOT), UnavailableError, "Free some space, for instance with 'scow system prune'."),
    ((errno.EFBIG, errno.ENAMETOOLONG, errno.E2BIG, errno.EMLINK), LimitError, ""),
    ((errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENODEV), UnsupportedError, ""),
    ((errno.EMFILE, errno.ENFILE), UnavailableError, "Raise the limit of open files (ulimit -n)."),
    ((errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), InvalidArgumentError, ""),
)


def explain(error: OSError, doing: str) -> ScowError:
    """Turn a failed call into the kind of error it means.

    Args:
        error: What the kernel answered.
        doing: What was tried, as in "cannot write '/x'".

    Returns:
        The error to raise instead, its message ending with the kernel's words.
    """
    number = error.errno or 0
    message = f"{doing}: {os.strerror(number) if number else error}"
    for numbers, kind, hint in _MEANINGS:
        if number in numbers:
            return kind(message, hint=hint)
    return UnavailableError(message)


def openat2(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """Open a file with rules on how its path is walked (Linux 5.6 or newer).

    Args:
        dir_fd: The directory to start from.
        path: What to open; ended by the first zero byte.
        flags: Of open(2); close-on-exec is added.
        mode: Permissions of a file that gets created.
        resolve: ``RESOLVE_*`` flags.

    Returns:
        A descriptor.

    Raises:
        OSError: It failed.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve)
    while True:
        try:
            return kernel.call(_OPENAT2, dir_fd, path, how, len(how))
        except OSError as error:
            # EAGAIN: a rename somewhere on the system raced with the walk; the kernel asks to try again.
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise


def fchmodat2(dir_fd: int, name: bytes, mode: int) -> None:
    """Change the mode of an entry without following a link; through ``/proc`` before Linux 6.6.

    Args:
        dir_fd: The directory that holds it.
        name: One component.
        mode: Permission bits.

    Raises:
        OSError: It failed, or the entry is a symbolic link.
    """
    try:
        kernel.call(_FCHMODAT2, dir_fd, name, mode, 0x100)  # AT_SYMLINK_NOFOLLOW
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    else:
        return
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
