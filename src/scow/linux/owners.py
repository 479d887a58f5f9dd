# SPDX-License-Identifier: Apache-2.0
"""Who owns an entry, where the kernel cannot say it: owners and device numbers written down beside the files.

A process whose user namespace has a single id (or that lacks CAP_CHOWN) can give files to nobody else and make no
devices. Layers still speak of both, so they are *recorded* on the entry itself, where copies up, renames and links
take them along:

- files and directories carry the extended attribute :data:`NAME`, ``UID:GID``;
- a device is an empty file whose attribute goes on with ``:c:MAJOR:MINOR`` or ``:b:MAJOR:MINOR``;
- links, fifos and sockets can have no such attribute: their access time says it, which no layer keeps. Seconds beyond
  2**33 (the year 2242) are the user, nanoseconds the group.

What has no record belongs to root: ``runtime.oneid`` writes one when anybody else makes something. All other rooms
ask :func:`here` once and use what it gives; where ids are real that is the plain system calls.
Measured and compared with other places for records: docs/adr/0017-single-id.md.
"""

from __future__ import annotations

import errno
import os
import stat

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Self, TypeAlias

    Name: TypeAlias = str | bytes

NAME = "user.scow.owner"
"""The extended attribute. It never comes from an image and never goes into one."""
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_BASE = 1 << 33
_IDS = 1 << 32
_NANO = 1_000_000_000
_KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}
_LAST = _IDS - 2  # exists in the host's own namespace only
_NOBODY = 65534
_SOMEBODY = 1  # the id of "daemon", which every map with more than one id has


class Owner(NamedTuple):
    """What is recorded of an entry.

    Attributes:
        uid: Its user.
        gid: Its group.
        kind: ``S_IFCHR`` or ``S_IFBLK`` when the entry stands for a device, else 0.
        device: The device's number.
    """

    uid: int
    gid: int
    kind: int = 0
    device: int = 0

    def encode(self) -> bytes:
        """The attribute's value."""
        text = f"{self.uid}:{self.gid}"
        if self.kind:
            letter = "c" if self.kind == stat.S_IFCHR else "b"
            text += f":{letter}:{os.major(self.device)}:{os.minor(self.device)}"
        return text.encode()


def decode(value: bytes) -> Owner | None:
    """Read an attribute's value; ``None`` for what is no record: a program may write there too."""
    fields = value.decode("ascii", "replace").split(":")
    numbers = [int(field) if field.isdigit() and len(field) <= 10 else -1 for field in (*fields[:2], *fields[3:])]
    if min(numbers) < 0 or max(numbers) >= _IDS or len(fields) not in {2, 5}:
        return None
    if len(fields) == 2:
        return Owner(*numbers)
    kind = _KINDS.get(fields[2], 0)
    if not kind or not any(numbers[2:]) or numbers[2] >= 1 << 12 or numbers[3] >= 1 << 20:
        return None
    return Owner(numbers[0], numbers[1], kind, os.makedev(numbers[2], numbers[3]))


def encode_time(uid: int, gid: int) -> int:
    """The access time that records an owner, nanoseconds since the epoch; a group beyond 10**9 becomes root's."""
    return (_BASE + uid) * _NANO + (gid if gid < _NANO else 0)


def decode_time(atime_ns: int) -> Owner | None:
    """Read an access time; ``None`` when it is one."""
    seconds, gid = divmod(atime_ns, _NANO)
    return Owner(seconds - _BASE, gid) if _BASE <= seconds < _BASE + _IDS else None


class Owners:
    """Owners as the kernel keeps them."""

    recorded = False
    """Whether some are written down beside the files, so that lstat(2) alone does not tell them."""
    real = True
    """Whether files can be given to others at all."""

    def lstat(self, path: Name, dir_fd: int | None = None) -> os.stat_result:
        """Look at an entry, itself.

        Raises:
            OSError: As lstat(2).
        """
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def fstat(self, fd: int) -> os.stat_result:
        """Look at an open file.

        Raises:
            OSError: As fstat(2).
        """
        return os.fstat(fd)

    def own(self, fd: int, uid: int, gid: int, *, new: bool = False) -> None:
        """Give an open file or directory to somebody.

        Args:
            fd: The file.
            uid: Its user.
            gid: Its group.
            new: It was made a moment ago, so that no earlier owner is written down.

        Raises:
            OSError: As fchown(2).
        """
        del new
        os.fchown(fd, uid, gid)

    def own_entry(self, path: Name, uid: int, gid: int, dir_fd: int | None = None) -> None:
        """Give an entry, itself, to somebody. Set its times afterwards, with :meth:`utime`.

        Raises:
            OSError: As fchownat(2).
        """
        os.chown(path, uid, gid, dir_fd=dir_fd, follow_symlinks=False)

    def mknod(self, path: Name, mode: int, device: int, dir_fd: int | None = None) -> None:
        """Make a device, fifo or socket.

        Raises:
            OSError: As mknod(2).
        """
        os.mknod(path, mode, device, dir_fd=dir_fd)

    def utime(self, path: Name, mtime_ns: int, dir_fd: int | None = None) -> None:
        """Set the times of an entry, itself.

        Raises:
            OSError: As utimensat(2).
        """
        os.utime(path, ns=(mtime_ns, mtime_ns), dir_fd=dir_fd, follow_symlinks=False)


class RecordedOwners(Owners):
    """Owners written down beside the files; what is not written down is root's."""

    recorded = True
    real = False

    def lstat(self, path: Name, dir_fd: int | None = None) -> os.stat_result:
        """See :class:`Owners`."""
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        return shown(found, recorded(found, _full(path, dir_fd)) or Owner(0, 0))

    def fstat(self, fd: int) -> os.stat_result:
        """See :class:`Owners`."""
        found = os.fstat(fd)
        return shown(found, recorded(found, fd) or Owner(0, 0))

    def own(self, fd: int, uid: int, gid: int, *, new: bool = False) -> None:
        """See :class:`Owners`."""
        if not new:
            write(os.fstat(fd), fd, uid, gid)
        elif (uid, gid) != (0, 0):
            os.setxattr(fd, NAME, Owner(uid, gid).encode())

    def own_entry(self, path: Name, uid: int, gid: int, dir_fd: int | None = None) -> None:
        """See :class:`Owners`."""
        write(os.stat(path, dir_fd=dir_fd, follow_symlinks=False), _full(path, dir_fd), uid, gid)

    def mknod(self, path: Name, mode: int, device: int, dir_fd: int | None = None) -> None:
        """See :class:`Owners`; whiteouts of overlayfs are real, anybody may make them (Linux 5.8)."""
        kind = stat.S_IFMT(mode)
        if kind not in (stat.S_IFCHR, stat.S_IFBLK) or (kind == stat.S_IFCHR and not device):
            os.mknod(path, mode, device, dir_fd=dir_fd)
            return
        os.mknod(path, stat.S_IFREG | stat.S_IMODE(mode), 0, dir_fd=dir_fd)
        os.setxattr(_full(path, dir_fd), NAME, Owner(0, 0, kind, device).encode(), follow_symlinks=False)

    def utime(self, path: Name, mtime_ns: int, dir_fd: int | None = None) -> None:
        """See :class:`Owners`."""
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        keep = decode_time(found.st_atime_ns) is not None and not _has_attributes(found.st_mode)
        times = (found.st_atime_ns if keep else mtime_ns, mtime_ns)
        os.utime(path, ns=times, dir_fd=dir_fd, follow_symlinks=False)


class BoundedOwners(RecordedOwners):
    """Owners as the kernel keeps them as far as their ids exist; others, and devices, are written down.

    A file of somebody whose id does not exist here is given to :attr:`nobody`; who gives it to another one makes the
    record say nothing any more.
    """

    real = True

    def __init__(self) -> None:
        self._known: dict[tuple[bool, int], bool] = {}
        self.nobody = next(candidate for candidate in (_NOBODY, _SOMEBODY, 0) if self._exists(candidate))

    def _exists(self, number: int, *, group: bool = False) -> bool:
        key = (group, number)
        if key not in self._known:
            with _Probe() as probe:
                self._known[key] = probe.takes(-1, number) if group else probe.takes(number, -1)
        return self._known[key]

    def _split(self, uid: int, gid: int) -> tuple[int, int, bool]:
        """Who owns an entry for real, and whether that is all."""
        real = (
            uid if self._exists(uid) else self.nobody,
            gid if self._exists(gid, group=True) else self.nobody,
        )
        return (*real, real == (uid, gid))

    def _merged(self, found: os.stat_result, owner: Owner | None) -> os.stat_result:
        if owner is None:
            return found
        uid = owner.uid if found.st_uid == self.nobody else found.st_uid
        gid = owner.gid if found.st_gid == self.nobody else found.st_gid
        return shown(found, owner._replace(uid=uid, gid=gid))

    def lstat(self, path: Name, dir_fd: int | None = None) -> os.stat_result:
        """See :class:`Owners`."""
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        return self._merged(found, recorded(found, _full(path, dir_fd)))

    def fstat(self, fd: int) -> os.stat_result:
        """See :class:`Owners`."""
        found = os.fstat(fd)
        return self._merged(found, recorded(found, fd))

    def own(self, fd: int, uid: int, gid: int, *, new: bool = False) -> None:
        """See :class:`Owners`."""
        real_uid, real_gid, whole = self._split(uid, gid)
        os.fchown(fd, real_uid, real_gid)
        if not (new and whole):
            self._note(os.fstat(fd), fd, (uid, gid), whole=whole)

    def own_entry(self, path: Name, uid: int, gid: int, dir_fd: int | None = None) -> None:
        """See :class:`Owners`."""
        real_uid, real_gid, whole = self._split(uid, gid)
        os.chown(path, real_uid, real_gid, dir_fd=dir_fd, follow_symlinks=False)
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        self._note(found, _full(path, dir_fd), (uid, gid), whole=whole)

    def _note(self, found: os.stat_result, place: Name | int, owner: tuple[int, int], *, whole: bool) -> None:
        """Write an owner down that is not all there, or the real one where an earlier record says another."""
        if not whole or recorded(found, place) is not None:
            write(found, place, *owner)


def recorded(found: os.stat_result, place: Name | int, *, follow: bool = False) -> Owner | None:
    """What is recorded of an entry.

    Args:
        found: What lstat(2) says of it.
        place: Its path, or a descriptor.
        follow: The path is a link to it, below ``/proc``.

    Raises:
        OSError: It cannot be looked at.
    """
    if not _has_attributes(found.st_mode):
        return decode_time(found.st_atime_ns)
    try:
        value = os.getxattr(place, NAME) if isinstance(place, int) else os.getxattr(place, NAME, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return decode(value)


def write(found: os.stat_result, place: Name | int, uid: int, gid: int, *, follow: bool = False) -> None:
    """Record the owner of an entry; a device stays one.

    Args:
        found: What lstat(2) says of it.
        place: Its path, or a descriptor (of a file or directory).
        uid: Its user.
        gid: Its group.
        follow: The path is a link to it, below ``/proc``.

    Raises:
        OSError: It cannot be written to, or (``ENOTSUP``) the file system keeps no such attributes.
    """
    if not _has_attributes(found.st_mode):
        _write_time(found, place, uid, gid, follow=follow)
        return
    before = recorded(found, place, follow=follow) if stat.S_ISREG(found.st_mode) and not found.st_size else None
    owner = (before or Owner(0, 0))._replace(uid=uid, gid=gid)
    if owner == Owner(0, 0):
        _remove(place, follow=follow)
    elif isinstance(place, int):
        os.setxattr(place, NAME, owner.encode())
    else:
        os.setxattr(place, NAME, owner.encode(), follow_symlinks=follow)


def _write_time(found: os.stat_result, place: Name | int, uid: int, gid: int, *, follow: bool) -> None:
    if (uid, gid) != (0, 0):
        times = (encode_time(uid, gid), found.st_mtime_ns)
    elif decode_time(found.st_atime_ns) is None:
        return
    else:
        times = (found.st_mtime_ns, found.st_mtime_ns)
    if isinstance(place, int):
        os.utime(place, ns=times)
    else:
        os.utime(place, ns=times, follow_symlinks=follow)


def _remove(place: Name | int, *, follow: bool) -> None:
    try:
        if isinstance(place, int):
            os.removexattr(place, NAME)
        else:
            os.removexattr(place, NAME, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def shown(found: os.stat_result, owner: Owner) -> os.stat_result:
    """What lstat(2) would say if the record were real."""
    mode = stat.S_IMODE(found.st_mode) | (owner.kind or stat.S_IFMT(found.st_mode))
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    if not _has_attributes(found.st_mode) and decode_time(found.st_atime_ns) is not None:
        times = (found.st_mtime_ns, *times[1:])
    return os.stat_result(
        (
            mode,
            found.st_ino,
            found.st_dev,
            found.st_nlink,
            owner.uid,
            owner.gid,
            found.st_size,
            *(time // _NANO for time in times),
            *(time / _NANO for time in times),
            *times,
            found.st_blksize,
            found.st_blocks,
            owner.device if owner.kind else found.st_rdev,
        )
    )


def here() -> Owners:
    """How this process can own files: for real where it may and the ids exist, else by records.

    Asks the kernel, by giving away a file that nobody sees: it works in a root without /proc, too. Some microseconds.
    """
    with _Probe() as probe:
        if not probe.takes(_SOMEBODY, -1):
            return RecordedOwners()
        return Owners() if probe.takes(_LAST, -1) else BoundedOwners()


class _Probe:
    """A file in memory, to be given to others.

    Becoming another user instead would make this process one that its peers may not look into (``PR_SET_DUMPABLE``).
    """

    def __enter__(self) -> Self:
        self._fd = os.memfd_create("owner", os.MFD_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def takes(self, uid: int, gid: int) -> bool:
        """Whether it can be given to them; -1 leaves one alone."""
        try:
            os.fchown(self._fd, uid, gid)
        except OSError:
            return False
        return True


def _has_attributes(mode: int) -> bool:
    """Whether an entry can have attributes of users. Source: xattr(7), "Extended user attributes"."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _full(path: Name, dir_fd: int | None) -> Name:
    """A path for calls that take no directory."""
    if dir_fd is None:
        return path
    return b"/proc/self/fd/%d/%s" % (dir_fd, os.fsencode(path))
