# SPDX-License-Identifier: Apache-2.0
"""The raw calls that mounting and namespaces need; failures are ``OSError`` with the kernel's number.

The C library is asked for what it wraps; newer calls go by number. Those from 424 on are the same on every
architecture. Source: kernel, scripts/syscall.tbl.
"""

from __future__ import annotations

import ctypes
import os
import struct

OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
_AT_EMPTY_PATH, _AT_SYMLINK_NOFOLLOW = 0x1000, 0x100
_STATX, _STATX_SIZE, _BTIME = {"x86_64": 332}, 256, 0x800

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_LIBC.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_LIBC.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


def _failed(path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by number.

    Args:
        number: One of the constants above.
        arguments: Integers, byte strings (ended by a zero byte for the kernel) or ``None`` for a null pointer.

    Returns:
        What the kernel answered.

    Raises:
        OSError: It failed.
    """
    values = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise _failed()
    return result


def mount(source: str, target: str, kind: str, flags: int, data: bytes | None) -> None:
    """The mount call.

    Raises:
        OSError: It failed.
    """
    if _LIBC.mount(os.fsencode(source) or b"none", os.fsencode(target), kind.encode() or None, flags, data) != 0:
        raise _failed(target)


def umount(target: str, flags: int) -> None:
    """The umount2 call.

    Raises:
        OSError: It failed.
    """
    if _LIBC.umount2(os.fsencode(target), flags) != 0:
        raise _failed(target)


def mount_setattr(target: str, set_: int, clear: int, *, recursive: bool, userns: int = 0) -> None:
    """The mount_setattr call, Linux 5.12 or newer.

    Raises:
        OSError: It failed.
    """
    attributes = (ctypes.c_uint64 * 4)(set_, clear, 0, userns)
    result: int = _LIBC.syscall(
        ctypes.c_long(MOUNT_SETATTR),
        ctypes.c_long(AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_long(AT_RECURSIVE if recursive else 0),
        attributes,
        ctypes.c_long(ctypes.sizeof(attributes)),
    )
    if result < 0:
        raise _failed(target)


def unshare(flags: int) -> None:
    """The unshare call for the calling thread.

    Raises:
        OSError: It failed.
    """
    if _LIBC.unshare(ctypes.c_int(flags)) != 0:
        raise _failed()


def setns(fd: int, flags: int) -> None:
    """The setns call for the calling thread.

    Raises:
        OSError: It failed.
    """
    if _LIBC.setns(ctypes.c_int(fd), ctypes.c_int(flags)) != 0:
        raise _failed()


def filled(number: int, arguments: tuple[int | bytes, ...], size: int, after: tuple[int, ...] = ()) -> bytearray:
    """Make a call that fills a buffer of the caller's.

    Args:
        number: Of the call.
        arguments: What comes before the buffer.
        size: Bytes of the buffer.
        after: What comes after it.

    Returns:
        The buffer.

    Raises:
        OSError: It failed.
    """
    buffer = ctypes.create_string_buffer(size)
    call(number, *arguments, ctypes.addressof(buffer), *after)
    return bytearray(buffer.raw)


def born(place: str | int) -> int:
    """When an entry was made, nanoseconds since the epoch; 0 where the file system does not know.

    Numbers of entries are given away again, so this tells a directory from the one that was made in its place.

    Args:
        place: Its path, not followed, or a descriptor of it.

    Raises:
        OSError: It cannot be looked at.

    Source: statx(2).
    """
    fd, name = (place, b"") if isinstance(place, int) else (AT_FDCWD, os.fsencode(place))
    number = _STATX.get(os.uname().machine, 291)
    found = filled(number, (fd, name, _AT_EMPTY_PATH | _AT_SYMLINK_NOFOLLOW, _BTIME), _STATX_SIZE)
    mask, seconds, nanoseconds = struct.unpack_from("=I76xqI", found)
    return seconds * 1_000_000_000 + nanoseconds if mask & _BTIME else 0


def exchange(one: str, other: str) -> None:
    """Let two paths of one file system change places at once. Source: renameat2(2), RENAME_EXCHANGE.

    Raises:
        OSError: It failed.
    """
    if _LIBC.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), 2) != 0:
        raise _failed(other)


def set_capabilities(mask: int) -> None:
    """Let the calling thread hold these capabilities and no others, and pass none of the others on.

    Args:
        mask: Capabilities by number; those it does not hold are left out.

    Raises:
        OSError: It failed.
    """
    for number in range(64):
        # PR_CAPBSET_READ, PR_CAPBSET_DROP. Without CAP_SETPCAP what cannot be dropped stays in the bounding set.
        if not mask >> number & 1 and _LIBC.prctl(23, number, 0, 0, 0) == 1:
            _LIBC.prctl(24, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if _LIBC.capget(header, sets) != 0:
        raise _failed()
    for half in (0, 3):
        held = sets[half + 1] & (mask >> (32 if half else 0)) & 0xFFFFFFFF
        sets[half], sets[half + 1], sets[half + 2] = held, held, 0
    if _LIBC.capset(header, sets) != 0:
        raise _failed()


def no_new_privileges() -> None:
    """Let the calling thread gain nothing by executing programs.

    Raises:
        OSError: It failed.
    """
    if _LIBC.prctl(38, 1, 0, 0, 0) != 0:
        raise _failed()


def syncfs(fd: int) -> None:
    """The syncfs call: write the file system of a descriptor to the disk.

    Raises:
        OSError: It failed.
    """
    if _LIBC.syncfs(ctypes.c_int(fd)) != 0:
        raise _failed()
