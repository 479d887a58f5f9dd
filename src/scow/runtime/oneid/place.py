# SPDX-License-Identifier: Apache-2.0
"""Where a caller's paths lead: looked up with the caller's own root, without ever following it further.

The answering process makes the caller's root its own (chroot), so that absolute links and ``..`` end where they end
for the caller, and refuses the magic links of ``/proc``: they would lead to what *this* process may reach. It works in
the host's ``/proc``, where its own and the caller's open files have paths whatever the root is.
"""

from __future__ import annotations

import errno
import os

from scow.linux.syscalls import RESOLVE_NO_MAGICLINKS, openat2
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.linux.notify import Call, Listener

AT_FDCWD = -100
_PATH = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
_OWN_DESCRIPTORS = {b"stdin": 0, b"stdout": 1, b"stderr": 2}


def at(fd: int) -> bytes:
    """A path of what an own descriptor stands for, itself a link to it."""
    return b"self/fd/%d" % fd


class Place:
    """Finds files for callers; changes the root and the directory of the whole process.

    Attributes:
        listener: Whose calls are answered.
        mixed: Whether processes may have different roots, because one has made a call that changes its own.
    """

    def __init__(self) -> None:
        os.chdir("/proc")
        self._root = (0, 0)
        self.mixed = False
        self.listener: Listener | None = None

    def stand(self, pid: int) -> None:
        """Take the root of a caller.

        Raises:
            OSError: There is no such process, or it is none of ours.
        """
        if self._root[1] and not self.mixed:
            return
        name = b"%d/root" % pid
        found = os.stat(name)
        if (found.st_dev, found.st_ino) == self._root:
            return
        home = os.open(".", _DIRECTORY)
        root = os.open(name, _DIRECTORY)
        try:
            self._root = (0, 0)
            os.fchdir(root)
            os.chroot(".")
            found = os.fstat(root)
            self._root = (found.st_dev, found.st_ino)
        finally:
            os.fchdir(home)
            os.close(root)
            os.close(home)

    def glance(self, call: Call, dir_fd: int, path: bytes, *, follow: bool) -> tuple[os.stat_result, bytes]:
        """Look at an entry quickly and without care: enough to see that nothing is to be done about it.

        Magic links are followed, and the caller may be gone: nothing may be told or changed by what this gives.

        Returns:
            What stat(2) says, and a path for reading its attributes.

        Raises:
            OSError: As stat(2).
        """
        self.stand(call.pid)
        if path[:1] == b"/":
            where = path
        else:
            start = b"%d/cwd" % call.pid if dir_fd == AT_FDCWD else b"%d/fd/%d" % (call.pid, dir_fd)
            where = b"%s/%s" % (start, path) if path else start
        return os.stat(where, follow_symlinks=follow or not path), where

    def find(self, call: Call, dir_fd: int, path: bytes, *, follow: bool) -> int:
        """Open an entry, for looking at it only; the caller of this method closes it.

        Args:
            call: Whose path it is; it still waits when this returns, so that it was the caller's path.
            dir_fd: Where a relative one begins.
            path: The path; ``b""`` is what ``dir_fd`` stands for.
            follow: Whether a link at its end is followed.

        Raises:
            OSError: As open(2); ``ELOOP`` also for a magic link; ``ESRCH`` when the caller was killed.
        """
        fd = self._find(call.pid, dir_fd, path, follow=follow)
        if self.listener is None or not self.listener.alive(call):
            os.close(fd)
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return fd

    def _find(self, pid: int, dir_fd: int, path: bytes, *, follow: bool) -> int:
        if not path:
            return self.descriptor(pid, dir_fd)
        self.stand(pid)
        flags = _PATH if follow else _PATH | os.O_NOFOLLOW
        if path[:1] == b"/":
            try:
                return openat2(AT_FDCWD, path, flags, 0, RESOLVE_NO_MAGICLINKS)
            except OSError as error:
                number = _own_descriptor(path) if follow and error.errno in (errno.ELOOP, errno.ENOENT) else None
                if number is None:
                    raise
                return self.descriptor(pid, number)
        start = self.descriptor(pid, dir_fd)
        try:
            return openat2(start, path, flags, 0, RESOLVE_NO_MAGICLINKS)
        finally:
            os.close(start)

    def find_parent(self, call: Call, dir_fd: int, path: bytes) -> tuple[int, bytes]:
        """Open the directory that an entry is, or would be, in.

        Returns:
            Its descriptor, to be closed, and the entry's name in it.

        Raises:
            OSError: As open(2); ``EEXIST`` for a path that can only be that of a directory that is there.
        """
        above, name = parent_of(path)
        return self.find(call, dir_fd, above, follow=True), name

    def descriptor(self, pid: int, number: int) -> int:
        """Open, for looking at it only, what a descriptor of a process stands for.

        Raises:
            OSError: ``EBADF`` when it has none.
        """
        try:
            if number == AT_FDCWD:
                return os.open(b"%d/cwd" % pid, _PATH)
            return os.open(b"%d/fd/%d" % (pid, number), _PATH)
        except FileNotFoundError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def status(self, pid: int) -> bytes:
        """The text of a process's ``status``.

        Raises:
            OSError: There is no such process.
        """
        fd = os.open(b"%d/status" % pid, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 1 << 14)
        finally:
            os.close(fd)


def parent_of(path: bytes) -> tuple[bytes, bytes]:
    """The directory of an entry, and the entry's name in it.

    Raises:
        OSError: ``EEXIST`` for a path that can only be that of a directory that is there.
    """
    above, slash, name = path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b".."):
        raise OSError(errno.EEXIST if path else errno.ENOENT, "")
    return above or slash or b".", name


def number_of(status: bytes, name: bytes, base: int) -> int:
    """A number in the text of a ``status``; 0 when it is not there."""
    word = status.partition(b"\n" + name + b":")[2].split(maxsplit=1)[:1]
    try:
        return int(word[0], base) if word else 0
    except ValueError:
        return 0


def _own_descriptor(path: bytes) -> int | None:
    """Which descriptor of the caller's a path in ``/dev`` or ``/proc/self`` means."""
    for prefix in (b"/dev/fd/", b"/proc/self/fd/", b"/proc/thread-self/fd/"):
        if path.startswith(prefix):
            name = path[len(prefix) :]
            return int(name) if name.isdigit() and len(name) < 10 else None
    return _OWN_DESCRIPTORS.get(path[5:]) if path.startswith(b"/dev/") else None
