# SPDX-License-Identifier: Apache-2.0
"""Calls that change owners, and those that would lose what is recorded of them or make somebody else of a process."""

from __future__ import annotations

import errno
import os
import stat
import struct
import time

from scow.linux import owners
from scow.linux.notify import read_memory, read_string
from scow.runtime.oneid.credentials import CHOWN, KEEP
from scow.runtime.oneid.looking import signed
from scow.runtime.oneid.place import AT_FDCWD, at, number_of
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.linux.notify import Call
    from scow.linux.owners import Owner
    from scow.runtime.oneid.credentials import Credentials
    from scow.runtime.oneid.identities import Answer, Identities
    from scow.runtime.oneid.looking import Looking
    from scow.runtime.oneid.place import Place

_EMPTY_PATH, _NO_FOLLOW = 0x1000, 0x100
_NOW, _OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_TIMES = struct.Struct("=4q")
_NANO = 1_000_000_000
_CAPABILITY = "security.capability"


class Changing:
    """Answers for one container.

    Args:
        place: Finds files.
        identities: Who its processes are.
        looking: Knows owners.
    """

    def __init__(self, place: Place, identities: Identities, looking: Looking) -> None:
        self._place = place
        self._identities = identities
        self._looking = looking

    def answers(self) -> dict[str, Answer]:
        """The calls that are answered here, by name."""
        return {
            "chown": lambda call: self._chown(call, AT_FDCWD, call.args[0], call.args[1], call.args[2], 0),
            "lchown": lambda call: self._chown(call, AT_FDCWD, call.args[0], call.args[1], call.args[2], _NO_FOLLOW),
            "fchown": lambda call: self._chown(call, signed(call.args[0]), 0, call.args[1], call.args[2], _EMPTY_PATH),
            "fchownat": lambda call: self._chown(call, signed(call.args[0]), *call.args[1:5]),
            "utimensat": self._utimensat,
            "execve": lambda call: self._execute(call, AT_FDCWD, call.args[0], 0),
            "execveat": lambda call: self._execute(call, signed(call.args[0]), call.args[1], call.args[4]),
        }

    def _chown(self, call: Call, dir_fd: int, path: int, uid: int, gid: int, flags: int) -> int:
        uid, gid = uid & KEEP, gid & KEEP
        text = read_string(call.pid, path) if path else b""
        if not text and not flags & _EMPTY_PATH:
            raise OSError(errno.ENOENT if path else errno.EFAULT, "")
        who = self._identities.of(call.pid)
        fd = self._place.find(call, dir_fd, text, follow=not flags & _NO_FOLLOW)
        try:
            found = os.fstat(fd)
            owner = self._looking.owner(found, fd)
            if not self._may_give(who, owner, uid, gid):
                raise OSError(errno.EPERM, "")
            new_uid, new_gid = owner.uid if uid == KEEP else uid, owner.gid if gid == KEEP else gid
            place = at(fd)
            try:
                owners.write(found, place, new_uid, new_gid, follow=True)
            except OSError as error:
                # Terminals, pipes and what the host lent: not ours to give, and nobody will ask.
                if error.errno == errno.EROFS or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                    raise
            if stat.S_ISREG(found.st_mode):
                _weaken(found, place)
        finally:
            os.close(fd)
        return 0

    def _may_give(self, who: Credentials, owner: Owner, uid: int, gid: int) -> bool:
        """The kernel's rule on chown. Source: chown(2)."""
        if who.may(CHOWN):
            return True
        if owner.uid != who.users.files or uid not in (KEEP, owner.uid):
            return False
        return gid in (KEEP, owner.gid) or who.in_group(gid)

    def _utimensat(self, call: Call) -> int | None:
        """Times of entries, themselves: where the access time is a record, it stays."""
        dir_fd, path, times, flags = call.args[:4]
        if not path or not flags & _NO_FOLLOW:
            return None
        text = read_string(call.pid, path)
        if not text:
            return None
        fd = self._place.find(call, signed(dir_fd), text, follow=False)
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                return None
            if owners.decode_time(found.st_atime_ns) is None:
                return None
            modified, now = found.st_mtime_ns, time.time_ns()
            if times:
                seconds, nanoseconds = _TIMES.unpack(read_memory(call.pid, times, _TIMES.size))[2:]
                if nanoseconds == _NOW:
                    modified = now
                elif nanoseconds != _OMIT:
                    modified = seconds * _NANO + nanoseconds
            else:
                modified = now
            os.utime(at(fd), ns=(found.st_atime_ns, modified))
        finally:
            os.close(fd)
        return 0

    def _execute(self, call: Call, dir_fd: int, path: int, flags: int) -> None:
        """A program is about to be executed: with set-id bits the caller becomes its owner."""
        who = self._identities.of(call.pid)
        text = read_string(call.pid, path)
        if not text and not flags & _EMPTY_PATH:
            return
        try:
            fd = self._place.find(call, dir_fd, text, follow=not flags & _NO_FOLLOW)
        except OSError:
            return
        try:
            found = os.fstat(fd)
            uid = gid = None
            if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_ISUID | stat.S_ISGID):
                owner = self._looking.owner(found, fd)
                status = self._place.status(call.pid)
                if not number_of(status, b"NoNewPrivs", 10):
                    uid = owner.uid if found.st_mode & stat.S_ISUID else None
                    both = stat.S_ISGID | stat.S_IXGRP
                    gid = owner.gid if found.st_mode & both == both else None
        finally:
            os.close(fd)
        new = who.executed(uid, gid, self._identities.bounding)
        if new != who:
            self._identities.become(call.pid, new)


def _weaken(found: os.stat_result, place: bytes) -> None:
    """What a file loses when it changes hands: set-id bits and capabilities. Source: chown(2); capabilities(7)."""
    lost = found.st_mode & stat.S_ISUID
    if found.st_mode & stat.S_IXGRP:
        lost |= found.st_mode & stat.S_ISGID
    if lost:
        os.chmod(place, stat.S_IMODE(found.st_mode) & ~lost)
    try:
        os.removexattr(place, _CAPABILITY)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
