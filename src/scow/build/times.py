# SPDX-License-Identifier: Apache-2.0
"""Times of files that a step made: a function of the step's inputs, so that the same inputs make the same layer.

Whatever a command wrote carries the moment it was written. Those times become the *epoch* of the step: the newest time
among its inputs, or ``SOURCE_DATE_EPOCH``. Times that the command set on purpose (``touch -d``, an unpacked archive)
lie before it began and stay. Python's byte code remembers the time of its source, so it is told the new one.

This happens in the step's own directory, before the next step stands on it: what that one sees is what the layer says.
"""

from __future__ import annotations

import os
import stat
import struct

from scow.linux import owners

_NANO = 1_000_000_000
_SLACK_NS = 50_000_000
"""File systems stamp with a coarser clock than the one a step's begin is read from."""
_PYC = struct.Struct("<4sII")
_CACHE = b"__pycache__"


def settle_times(upper: str, began_ns: int, epoch: int, *, all_later: bool = False) -> int:
    """Give what a step wrote the epoch's time.

    Args:
        upper: Directory with what the step left.
        began_ns: When the step began, nanoseconds since the epoch.
        epoch: Seconds since the epoch.
        all_later: Times after the epoch that the command set on purpose are changed too.

    Returns:
        How many entries were changed.
    """
    wanted = epoch * _NANO
    limit = wanted + 1 if all_later else max(wanted + 1, began_ns - _SLACK_NS)
    sources: dict[bytes, int] = {}
    compiled: list[bytes] = []
    changed: list[bytes] = []
    stack = [os.fsencode(upper)]
    while stack:
        here = stack.pop()
        if os.lstat(here).st_mtime_ns >= limit:
            changed.append(here)
        with os.scandir(here) as scan:
            for item in scan:
                status = item.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    stack.append(item.path)
                    continue
                if status.st_mtime_ns >= limit:
                    changed.append(item.path)
                    if item.name.endswith(b".py"):
                        sources[item.path] = int(status.st_mtime)
                if item.name.endswith(b".pyc") and stat.S_ISREG(status.st_mode):
                    compiled.append(item.path)
    for path in compiled:
        _retime(path, sources, epoch)
    ids = owners.here()
    for path in changed:
        ids.utime(path, wanted)
    return len(changed)


def _retime(path: bytes, sources: dict[bytes, int], epoch: int) -> None:
    """Tell byte code the new time of its source, when it knew the old one.

    Source: PEP 552, "Specification": magic, flags (0: checked by time), time, size.
    """
    folder, name = os.path.split(path)
    stem = name[: -len(b".pyc")]
    if os.path.basename(folder) == _CACHE:
        folder = os.path.dirname(folder)
        stem = stem.split(b".cpython-", 1)[0].split(b".pypy", 1)[0]
    old = sources.get(os.path.join(folder, stem + b".py"))
    if old is None:
        return
    status = os.lstat(path)
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        head = os.pread(fd, _PYC.size, 0)
        if len(head) == _PYC.size:
            _, flags, time = _PYC.unpack(head)
            if flags == 0 and time == old & 0xFFFFFFFF:
                os.pwrite(fd, struct.pack("<I", epoch & 0xFFFFFFFF), 8)
                os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(fd)
