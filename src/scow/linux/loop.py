# SPDX-License-Identifier: Apache-2.0
"""Loop devices: files as block devices, for kernels that mount EROFS from devices only (before Linux 6.12).

A device made here is read-only and disappears by itself with its last user, so that a killed process leaves none.
"""

from __future__ import annotations

import errno
import os

from scow.errors import DeniedError, NotFoundError, UnavailableError, UnsupportedError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.errors import ScowError

_CONFIGURE, _GET_FREE = 0x4C0A, 0x4C82
_READ_ONLY, _AUTOCLEAR = 1, 4
_ATTEMPTS = 64


class Loop(NamedTuple):
    """A file attached to a loop device.

    Attributes:
        path: Such as ``/dev/loop3``.
        fd: Open on the device; close it once the device is mounted.
    """

    path: str
    fd: int


def attach(path: str) -> Loop:
    """Make a file readable as a block device of 512-byte sectors.

    Args:
        path: A regular file; a last part shorter than a sector is not visible.

    Returns:
        The device, kept by its descriptor until something else uses it.

    Raises:
        NotFoundError: There is no such file.
        DeniedError: The caller may not.
        UnsupportedError: The kernel has no loop devices, or none that clear themselves.
        UnavailableError: All are taken.

    Source: loop(4); kernel, include/uapi/linux/loop.h, "struct loop_config".
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path!r}") from error
    try:
        return _attach(file, path)
    except OSError as error:
        raise _error(error, path) from error
    finally:
        os.close(file)


def _attach(file: int, path: str) -> Loop:
    from fcntl import ioctl
    from struct import pack

    info = pack("<QQQQQIIII64s64s32s16x", 0, 0, 0, 0, 0, 0, 0, 0, _READ_ONLY | _AUTOCLEAR, b"", b"", b"")
    config = pack("<II", file, 0) + info + bytes(64)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):  # another process may take the free one first
            device = f"/dev/loop{ioctl(control, _GET_FREE)}"
            fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
            try:
                ioctl(fd, _CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY:
                    raise
                continue
            return Loop(device, fd)
    finally:
        os.close(control)
    raise UnavailableError(f"no loop device is free for {path!r}", hint="unmount what uses them: losetup --list")


def _error(error: OSError, path: str) -> ScowError:
    what = f"cannot attach {path!r} to a loop device: {os.strerror(error.errno or 0)}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return DeniedError(what, hint="loop devices need root")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTTY, errno.EINVAL):
        return UnsupportedError(what, hint="modprobe loop, or set SCOW_SNAPSHOTTER=overlay")
    return UnavailableError(what)
