# SPDX-License-Identifier: Apache-2.0
"""Calls that make entries: devices for everybody, and everything for who is not user 0, to whom it then belongs.

Somebody other than user 0 meets the kernel's rules on permissions here, with the owners that are recorded: really all
files belong to the one user there is, who may do anything.
"""

from __future__ import annotations

import errno
import os
import stat

from scow.linux import owners
from scow.linux.notify import read_string
from scow.runtime.oneid.credentials import DAC_OVERRIDE, MKNOD
from scow.runtime.oneid.looking import signed
from scow.runtime.oneid.place import AT_FDCWD, at, number_of, parent_of
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.linux.notify import Call
    from scow.linux.owners import Owner
    from scow.runtime.oneid.credentials import Credentials
    from scow.runtime.oneid.identities import Answer, Identities
    from scow.runtime.oneid.looking import Looking
    from scow.runtime.oneid.place import Place

READ, WRITE, EXECUTE = 4, 2, 1
_WANTED = {os.O_RDONLY: READ, os.O_WRONLY: WRITE, os.O_RDWR: READ | WRITE}
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


class GivenError(Exception):
    """The call has its answer already: a descriptor."""


class Making:
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
        wronly = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return {
            "mknod": lambda call: self._mknod(call, AT_FDCWD, *call.args[:3]),
            "mknodat": lambda call: self._mknod(call, signed(call.args[0]), *call.args[1:4]),
            "mkdir": lambda call: self._mkdir(call, AT_FDCWD, *call.args[:2]),
            "mkdirat": lambda call: self._mkdir(call, signed(call.args[0]), *call.args[1:3]),
            "symlink": lambda call: self._symlink(call, call.args[0], AT_FDCWD, call.args[1]),
            "symlinkat": lambda call: self._symlink(call, call.args[0], signed(call.args[1]), call.args[2]),
            "creat": lambda call: self._create(call, AT_FDCWD, call.args[0], wronly, call.args[1]),
            "open": lambda call: self._create(call, AT_FDCWD, *call.args[:3]),
            "openat": lambda call: self._create(call, signed(call.args[0]), *call.args[1:4]),
            "access": lambda call: self._access(call, AT_FDCWD, call.args[0], call.args[1]),
            "faccessat": lambda call: self._access(call, signed(call.args[0]), *call.args[1:3]),
            "faccessat2": lambda call: self._access(call, signed(call.args[0]), *call.args[1:3]),
        }

    def _is_plain(self, call: Call, who: Credentials, dir_fd: int, path: int) -> bool:
        """Whether what somebody makes needs no record: it belongs to root, and to no directory's group."""
        if who.users.files or who.groups.files:
            return False
        try:
            above = parent_of(read_string(call.pid, path))[0]
            found, _ = self._place.glance(call, dir_fd, above, follow=True)
        except OSError:
            return True  # the kernel will say what is wrong
        return not found.st_mode & stat.S_ISGID

    # ------------------------------------------------------------------ rules

    def _permitted(self, who: Credentials, found: os.stat_result, owner: Owner, wanted: int) -> bool:
        """The kernel's rule on permissions. Source: path_resolution(7), "Permissions"."""
        if who.may(DAC_OVERRIDE):
            return True
        if who.users.files == owner.uid:
            bits = found.st_mode >> 6
        elif who.in_group(owner.gid):
            bits = found.st_mode >> 3
        else:
            bits = found.st_mode
        return not wanted & ~bits & 7

    def _room(self, call: Call, who: Credentials, dir_fd: int, path: bytes) -> tuple[int, bytes, int]:
        """The directory for a new entry, open; the entry's name, and the group it gets."""
        parent, name = self._place.find_parent(call, dir_fd, path)
        try:
            found = os.fstat(parent)
            owner = self._looking.owner(found, parent)
            if not self._permitted(who, found, owner, WRITE | EXECUTE):
                raise OSError(errno.EACCES, "")
            return parent, name, owner.gid if found.st_mode & stat.S_ISGID else who.groups.files
        except BaseException:
            os.close(parent)
            raise

    def _masked(self, call: Call, mode: int) -> int:
        return mode & 0o7777 & ~number_of(self._place.status(call.pid), b"Umask", 8)

    # ------------------------------------------------------------------ calls

    def _mknod(self, call: Call, dir_fd: int, path: int, mode: int, device: int) -> int | None:
        who = self._identities.of(call.pid)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        device &= 0xFFFFFFFF
        if kind not in _DEVICES and self._is_plain(call, who, dir_fd, path):
            return None
        if kind in _DEVICES and (not who.may(MKNOD) or (kind == stat.S_IFCHR and not device)):
            raise OSError(errno.EPERM, "")  # as overlayfs, to which 0:0 means a removed file
        parent, name, gid = self._room(call, who, dir_fd, read_string(call.pid, path))
        try:
            where = b"%s/%s" % (at(parent), name)
            kept = kind if kind not in _DEVICES else stat.S_IFREG
            os.mknod(where, kept | self._masked(call, mode))
            owner = owners.Owner(who.users.files, gid, *((kind, device) if kind in _DEVICES else ()))
            if kept == stat.S_IFREG:
                os.setxattr(where, owners.NAME, owner.encode(), follow_symlinks=False)
            else:
                owners.write(os.lstat(where), where, owner.uid, owner.gid)
        finally:
            os.close(parent)
        return 0

    def _mkdir(self, call: Call, dir_fd: int, path: int, mode: int) -> int | None:
        who = self._identities.of(call.pid)
        if self._is_plain(call, who, dir_fd, path):
            return None
        parent, name, gid = self._room(call, who, dir_fd, read_string(call.pid, path))
        try:
            where = b"%s/%s" % (at(parent), name)
            os.mkdir(where, self._masked(call, mode))
            owners.write(os.lstat(where), where, who.users.files, gid)
        finally:
            os.close(parent)
        return 0

    def _symlink(self, call: Call, target: int, dir_fd: int, path: int) -> int | None:
        who = self._identities.of(call.pid)
        if self._is_plain(call, who, dir_fd, path):
            return None
        text = read_string(call.pid, target)
        parent, name, gid = self._room(call, who, dir_fd, read_string(call.pid, path))
        try:
            where = b"%s/%s" % (at(parent), name)
            os.symlink(text, where)
            owners.write(os.lstat(where), where, who.users.files, gid)
        finally:
            os.close(parent)
        return 0

    def _create(self, call: Call, dir_fd: int, path: int, flags: int, mode: int) -> int | None:
        who = self._identities.of(call.pid)
        if self._is_plain(call, who, dir_fd, path):
            return None
        text = read_string(call.pid, path)
        try:
            there = self._place.find(call, dir_fd, text, follow=not flags & (os.O_EXCL | os.O_NOFOLLOW))
        except OSError as error:
            if error.errno != errno.ENOENT:
                return None
        else:
            try:
                found = os.fstat(there)
                wanted = _WANTED.get(flags & os.O_ACCMODE, 0)
                if flags & os.O_EXCL or self._permitted(who, found, self._looking.owner(found, there), wanted):
                    return None
                raise OSError(errno.EACCES, "")
            finally:
                os.close(there)
        parent, name, gid = self._room(call, who, dir_fd, text)
        try:
            self._give_new(call, who, gid, b"%s/%s" % (at(parent), name), flags, mode)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        finally:
            os.close(parent)
        return None

    def _give_new(self, call: Call, who: Credentials, gid: int, where: bytes, flags: int, mode: int) -> None:
        """Make a file, and let the caller have it open."""
        how = flags & 0xFFFFFFFF & ~os.O_TRUNC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(where, how, self._masked(call, mode))
        try:
            os.setxattr(at(file), owners.NAME, owners.Owner(who.users.files, gid).encode())
            if self._place.listener is not None:
                self._place.listener.give(call, file, close_on_exec=bool(flags & os.O_CLOEXEC))
        finally:
            os.close(file)
        raise GivenError

    def _access(self, call: Call, dir_fd: int, path: int, mode: int) -> int | None:
        who = self._identities.of(call.pid)
        wanted = mode & 7
        if not wanted or who.users.real == 0:
            return None
        fd = self._place.find(call, dir_fd, read_string(call.pid, path), follow=True)
        try:
            found = os.fstat(fd)
            asking = who._replace(users=who.users._replace(files=who.users.real), effective=0)
            if self._permitted(asking, found, self._looking.owner(found, fd), wanted):
                return None
        finally:
            os.close(fd)
        raise OSError(errno.EACCES, "")
