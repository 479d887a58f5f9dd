# SPDX-License-Identifier: Apache-2.0
"""Calls that look at files, answered with the owners that are recorded; what has no other owner the kernel tells."""

from __future__ import annotations

import os
import struct

from scow.linux import kernel, owners
from scow.linux.notify import read_string, write_memory
from scow.runtime.oneid.place import at
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.linux.notify import Call
    from scow.linux.owners import Owner
    from scow.runtime.oneid.calls import Abi
    from scow.runtime.oneid.identities import Answer
    from scow.runtime.oneid.place import Place

_EMPTY_PATH, _NO_FOLLOW = 0x1000, 0x100
_STATX_SIZE, _STAT_SIZE, _GENERIC_SIZE = 256, 144, 128
_NEEDED = 0x7B  # STATX_TYPE, MODE, UID, GID, ATIME, MTIME: what is changed, and from what
_STATX = {"uid": 20, "gid": 24, "mode": 28, "access": 64, "modified": 112, "device": 128}
# Where struct stat of 64-bit processors has its times: access, modification; seconds and nanoseconds.
_ACCESS, _MODIFIED, _TIME = 72, 88, 16


def signed(value: int) -> int:
    """An argument as a C ``int``."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


class Looking:
    """Answers the ``stat`` family for one container.

    Args:
        place: Finds files.
        machine: How the kernel is called here.
    """

    def __init__(self, place: Place, machine: Abi) -> None:
        self._place = place
        self._native = machine

    def answers(self) -> dict[str, Answer]:
        """The calls that are answered here, by name."""
        return {
            "stat": lambda call: self._at(call, -100, call.args[0], call.args[1], 0),
            "lstat": lambda call: self._at(call, -100, call.args[0], call.args[1], _NO_FOLLOW),
            "fstat": lambda call: self._at(call, signed(call.args[0]), 0, call.args[1], _EMPTY_PATH),
            "newfstatat": lambda call: self._at(call, signed(call.args[0]), *call.args[1:4]),
            "statx": self._statx,
        }

    def _at(self, call: Call, dir_fd: int, path: int, goal: int, flags: int) -> int | None:
        layout = self._native.stat
        if call.architecture != self._native.audit or layout is None:
            return None
        fd = self._open(call, dir_fd, path, flags)
        if fd is None:
            return None
        try:
            found = os.fstat(fd)
            owner = self.owner(found, fd)
            if not _differs(found, owner):
                return None
            data = kernel.filled(self._native.calls["newfstatat"], (fd, b""), _STAT_SIZE, (_EMPTY_PATH,))
        except OSError:
            return None
        finally:
            os.close(fd)
        mode, uid, gid, device = layout
        struct.pack_into("=I", data, uid, owner.uid)
        struct.pack_into("=I", data, gid, owner.gid)
        if owner.kind:
            struct.pack_into("=I", data, mode, owner.kind | found.st_mode & 0o7777)
            struct.pack_into("=Q", data, device, owner.device)
        if owners.decode_time(found.st_atime_ns) is not None:
            data[_ACCESS : _ACCESS + _TIME] = data[_MODIFIED : _MODIFIED + _TIME]
        write_memory(call.pid, goal, bytes(data if mode == 24 else data[:_GENERIC_SIZE]))
        return 0

    def _statx(self, call: Call) -> int | None:
        dir_fd, path, flags, mask, goal, _ = call.args
        fd = self._open(call, signed(dir_fd), path, flags)
        if fd is None:
            return None
        try:
            found = os.fstat(fd)
            owner = self.owner(found, fd)
            if not _differs(found, owner):
                return None
            how, wanted = flags & ~_NO_FOLLOW | _EMPTY_PATH, mask & 0xFFFFFFFF | _NEEDED
            data = kernel.filled(self._native.calls["statx"], (fd, b"", how, wanted), _STATX_SIZE)
        except OSError:
            return None
        finally:
            os.close(fd)
        struct.pack_into("=I", data, _STATX["uid"], owner.uid)
        struct.pack_into("=I", data, _STATX["gid"], owner.gid)
        if owner.kind:
            struct.pack_into("=H", data, _STATX["mode"], owner.kind | found.st_mode & 0o7777)
            struct.pack_into("=II", data, _STATX["device"], os.major(owner.device), os.minor(owner.device))
        if owners.decode_time(found.st_atime_ns) is not None:
            at, to = _STATX["modified"], _STATX["access"]
            data[to : to + _TIME] = data[at : at + _TIME]
        write_memory(call.pid, goal, bytes(data))
        return 0

    def _open(self, call: Call, dir_fd: int, path: int, flags: int) -> int | None:
        """What a call looks at; ``None`` when the kernel is to answer, because it says the same or why it cannot."""
        follow = not flags & _NO_FOLLOW
        try:
            text = read_string(call.pid, path) if path else b""
            if not text and not flags & _EMPTY_PATH:
                return None
            found, where = self._place.glance(call, dir_fd, text, follow=follow)
            owner = owners.recorded(found, where, follow=follow or not text)
            if owner is None and not found.st_uid and not found.st_gid:
                return None
            return self._place.find(call, dir_fd, text, follow=follow)
        except OSError:
            return None

    def owner(self, found: os.stat_result, fd: int) -> Owner:
        """Who owns a file.

        Args:
            found: What the kernel says.
            fd: The file, open for looking only.
        """
        try:
            recorded = owners.recorded(found, at(fd), follow=True)
        except OSError:
            recorded = None
        return recorded or owners.Owner(0, 0)


def _differs(found: os.stat_result, owner: Owner) -> bool:
    """Whether the kernel would say something else."""
    if (owner.uid, owner.gid) != (found.st_uid, found.st_gid) or owner.kind:
        return True
    return owners.decode_time(found.st_atime_ns) is not None
