# SPDX-License-Identifier: Apache-2.0
"""Unpacking a tar stream below a directory, in one pass, never leaving it.

Promises: owners, modes with set-user-id bits, times to the nanosecond, extended attributes and devices come out as the
archive has them; a later entry replaces an earlier one of the same name; no existing link is written through, except
that directories in an entry's path may be links that stay inside. The tree is the one ``erofs`` would show.
When an error is raised, what was unpacked so far is left for the caller to drop.
"""

from __future__ import annotations

import errno
import os

from scow.base.streams import HashingReader
from scow.layer.admit import admit, unfit
from scow.layer.changeset import Applied, LayerError, Limits, Pending, too_large, too_many
from scow.layer.names import clean, show
from scow.layer.resolve import Look, resolve
from scow.layer.tar import TarReader
from scow.layer.tarformat import BLOCKDEV, CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK
from scow.layer.whiteout import PREFIX, accepted, hidden_name, is_marker, is_whiteout, make_opaque, make_whiteout
from scow.linux.beneath import Tree
from scow.linux.syscalls import explain, fchmodat2
from scow.oci.digest import DiffID
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scow.layer.changeset import Readable
    from scow.layer.tarformat import TarEntry

    Owner = Callable[[int, int], tuple[int, int] | None]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = {CHAR: 0o020000, BLOCKDEV: 0o060000, FIFO: 0o010000}
_IMPLICIT_MODE = 0o755


def extract(
    stream: Readable,
    into: str,
    *,
    limits: Limits | None = None,
    owner: Owner | None = None,
    user_xattrs: bool = False,
) -> Applied:
    """Unpack a layer in the form overlayfs takes: whiteouts become devices, opaque markers an attribute.

    The layer is unpacked without its parent. What only the parent can answer is in ``Applied.pending``; hand it to
    ``settle`` when the parent is known.

    Args:
        stream: Uncompressed tar; read to its end, not closed.
        into: An existing directory, empty.
        limits: Bounds; the defaults when ``None``.
        owner: Maps (uid, gid) of the archive to those of the disk, or to ``None`` to leave the caller's own.
        user_xattrs: Mark opaque directories for mounts with ``userxattr``.

    Raises:
        CorruptError: The stream is damaged.
        LayerError: An entry cannot be, such as one that climbs out.
        LimitError: More bytes or entries than allowed.
        ScowError: The file system refused; see ``linux.syscalls.explain``.
    """
    return _run(stream, into, limits or Limits(), overlay=True, owner=owner, user_xattrs=user_xattrs)


def extract_plain(stream: Readable, into: str, *, limits: Limits | None = None, owner: Owner | None = None) -> Applied:
    """Unpack an archive as what it is: no name means anything special.

    Args:
        stream: Uncompressed tar; read to its end, not closed.
        into: An existing directory; what is in it stays unless an entry replaces it.
        limits: Bounds; the defaults when ``None``.
        owner: Maps (uid, gid) of the archive to those of the disk, or to ``None`` to leave the caller's own.

    Raises:
        ScowError: As :func:`extract`.
    """
    return _run(stream, into, limits or Limits(), overlay=False, owner=owner, user_xattrs=False)


def _run(
    stream: Readable, into: str, limits: Limits, *, overlay: bool, owner: Owner | None, user_xattrs: bool
) -> Applied:
    hashed = HashingReader(stream)
    reader = TarReader(hashed)
    try:
        tree = Tree(into)
    except OSError as error:
        raise explain(error, f"cannot unpack into {into!r}") from error
    with tree:
        unpacker = Unpacker(tree, overlay=overlay, owner=owner, user_xattrs=user_xattrs)
        entries = usage = 0
        for entry in reader:
            entries += 1
            if entries > limits.max_entries:
                raise too_many(limits.max_entries)
            if hashed.size > limits.max_size:
                raise too_large(limits.max_size)
            usage += entry.counted
            unpacker.add(entry, reader.chunks())
        reader.finish()
        unpacker.finish()
    return Applied(DiffID(hashed.digest), hashed.size, entries, usage, unpacker.pending())


class Unpacker:
    """Puts entries into a tree, one after the other.

    Args:
        tree: Where to.
        overlay: The result is a layer for overlayfs; otherwise a plain tree.
        owner: Maps owners, or answers ``None`` to leave them.
        user_xattrs: Mark opaque directories for mounts with ``userxattr``.
    """

    def __init__(self, tree: Tree, *, overlay: bool, owner: Owner | None = None, user_xattrs: bool = False) -> None:
        self._tree = tree
        self._overlay = overlay
        self._owner = owner
        self._user_xattrs = user_xattrs
        self._times: dict[bytes, int] = {}
        self._implicit: dict[bytes, None] = {}
        self._required: dict[bytes, None] = {}
        self._links: dict[bytes, bytes] = {}
        self._whiteouts: dict[bytes, None] = {}

    def add(self, entry: TarEntry, data: Iterator[bytes]) -> None:
        """Unpack one entry.

        Args:
            entry: What.
            data: Its stored bytes, when it is a regular file.

        Raises:
            ScowError: It cannot be.
        """
        admit(entry)
        name = clean(entry.name)
        try:
            if not name:
                self._root(entry)
            elif self._overlay and PREFIX in name and is_marker(name):
                self._marker(name)
            elif self._overlay and entry.type == CHAR and entry.major == 0 and entry.minor == 0:
                self._hide(name)
            else:
                self._put(name, entry, data)
        except OSError as error:
            raise unfit(error, f"cannot unpack {show(entry.name)}") from error

    def finish(self) -> None:
        """Set the times of directories, which unpacking into them changed.

        Raises:
            ScowError: One could not be set.
        """
        for path, mtime_ns in sorted(self._times.items(), reverse=True):
            try:
                os.utime(self._tree.directory(path), ns=(mtime_ns, mtime_ns))
            except OSError as error:
                raise explain(error, f"cannot set the time of {show(path)}") from error

    def pending(self) -> Pending:
        """What only a parent can answer."""
        return Pending(
            tuple(sorted(self._implicit)), tuple(self._links.items()), tuple(self._required), tuple(self._whiteouts)
        )

    def _root(self, entry: TarEntry) -> None:
        if entry.type != DIRECTORY:
            raise LayerError(f"the entry {show(entry.name)} would replace the root directory")
        self._describe_directory(self._tree.root_fd, entry)
        self._times[b""] = entry.mtime_ns

    def _place(self, name: bytes) -> tuple[int, bytes, bytes]:
        """The directory for an entry, made if need be: descriptor, last component, whole name without links."""
        above, _, base = name.rpartition(b"/")
        try:
            return self._tree.directory(above), base, name
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
        above = resolve(above, self._look, name, self._note if self._overlay else None)
        self._make_directories(above)
        return self._tree.directory(above), base, above + b"/" + base if above else base

    def _note(self, path: bytes) -> None:
        self._required[path] = None

    def _look(self, path: bytes) -> bytes | int:
        if path in self._links:
            return Look.OTHER
        status = self._tree.lstat(path)
        if status is None or (self._overlay and is_whiteout(status)):
            return Look.MISSING
        kind = status.st_mode & 0o170000
        if kind == 0o040000:
            return Look.DIRECTORY
        if kind == 0o120000:
            return self._tree.readlink(path)
        return Look.OTHER

    def _make_directories(self, path: bytes) -> None:
        """Make directories that no entry has described, yet."""
        missing = []
        while path and self._look(path) == Look.MISSING:
            missing.append(path)
            path = path.rpartition(b"/")[0]
        for here in reversed(missing):
            fd, base = self._tree.parent(here)
            if not self._new_directory(fd, base, here):
                self._implicit[here] = None
            fd = self._tree.directory(here)
            owner = (0, 0) if self._owner is None else self._owner(0, 0)
            if owner is not None:
                self._tree.owners.own(fd, *owner)
            os.fchmod(fd, _IMPLICIT_MODE)
            self._times[here] = 0

    def _new_directory(self, fd: int, base: bytes, name: bytes) -> bool:
        """Make a directory, or keep the one that is there, and say whether it replaced something else."""
        try:
            os.mkdir(base, 0o700, dir_fd=fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if status.st_mode & 0o170000 == 0o040000:
                return False
            os.unlink(base, dir_fd=fd)
            os.mkdir(base, 0o700, dir_fd=fd)
            if self._overlay:
                # Whatever was here hid the parent's directory, so that this one starts empty.
                make_opaque(self._tree.directory(name), user=self._user_xattrs)
            return True
        return False

    def _put(self, name: bytes, entry: TarEntry, data: Iterator[bytes]) -> None:
        fd, base, name = self._place(name)
        kind = entry.type
        if kind == REGULAR:
            self._regular(fd, base, name, entry, data)
        elif kind == DIRECTORY:
            self._new_directory(fd, base, name)
            if self._links.pop(name, None) is not None:
                make_opaque(self._tree.directory(name), user=self._user_xattrs)
            self._implicit.pop(name, None)
            self._describe_directory(self._tree.directory(name), entry)
            self._times[name] = entry.mtime_ns
        elif kind == LINK:
            self._link(name, entry)
            return
        else:
            try:
                self._make_special(fd, base, entry)
            except FileExistsError:
                self._clear(name)
                fd, base = self._tree.parent(name)
                self._make_special(fd, base, entry)
        if self._links:
            self._links.pop(name, None)

    def _regular(self, fd: int, base: bytes, name: bytes, entry: TarEntry, data: Iterator[bytes]) -> None:
        try:
            file = os.open(base, _CREATE, 0o600, dir_fd=fd)
        except FileExistsError:
            self._clear(name)
            fd, base = self._tree.parent(name)
            file = os.open(base, _CREATE, 0o600, dir_fd=fd)
        try:
            if entry.sparse is None:
                for piece in data:
                    _write(file, piece)
            else:
                _write_sparse(file, entry, data)
            owner = (entry.uid, entry.gid) if self._owner is None else self._owner(entry.uid, entry.gid)
            if owner is not None:
                self._tree.owners.own(file, *owner, new=True)
            os.fchmod(file, entry.mode)
            for key, value in accepted(entry.xattrs):
                _set_xattr(file, key, value)
            os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(file)

    def _describe_directory(self, fd: int, entry: TarEntry) -> None:
        owner = (entry.uid, entry.gid) if self._owner is None else self._owner(entry.uid, entry.gid)
        if owner is not None:
            self._tree.owners.own(fd, *owner)
        os.fchmod(fd, entry.mode)
        for key, value in accepted(entry.xattrs):
            _set_xattr(fd, key, value)

    def _make_special(self, fd: int, base: bytes, entry: TarEntry) -> None:
        """A symbolic link, device or fifo."""
        if entry.type == SYMLINK:
            os.symlink(entry.linkname, base, dir_fd=fd)
        else:
            device = 0 if entry.type == FIFO else os.makedev(entry.major, entry.minor)
            self._tree.owners.mknod(base, _SPECIAL[entry.type] | 0o600, device, fd)
        owner = (entry.uid, entry.gid) if self._owner is None else self._owner(entry.uid, entry.gid)
        if owner is not None:
            self._tree.owners.own_entry(base, *owner, fd)
        if entry.type != SYMLINK:
            fchmodat2(fd, base, entry.mode)
        for key, value in accepted(entry.xattrs):
            _set_xattr(b"/proc/self/fd/%d/%s" % (fd, base), key, value)
        self._tree.owners.utime(base, entry.mtime_ns, fd)

    def _link(self, name: bytes, entry: TarEntry) -> None:
        target = clean(entry.linkname)
        above, _, base = target.rpartition(b"/")
        try:
            self._tree.directory(above)
        except OSError:
            above = resolve(above, self._look, entry.name, self._note if self._overlay else None)
            target = above + b"/" + base if above else base
        if target == name:
            return
        if target.startswith(name + b"/"):
            raise LayerError(f"the hard link {show(entry.name)} would replace what it leads to")
        found = self._tree.lstat(target)
        if found is None or (self._overlay and is_whiteout(found)):
            if not self._overlay or not target:
                raise LayerError(f"the hard link {show(entry.name)} is to {show(entry.linkname)}, which does not exist")
            self._clear(name)
            self._links.pop(name, None)
            self._links[name] = target
            return
        if found.st_mode & 0o170000 == 0o040000:
            raise LayerError(f"the hard link {show(entry.name)} is to the directory {show(entry.linkname)}")
        existing = self._tree.lstat(name)
        if existing is not None:
            if (existing.st_dev, existing.st_ino) == (found.st_dev, found.st_ino):
                return
            self._clear(name)
        self._tree.link(target, name)
        self._links.pop(name, None)

    def _clear(self, name: bytes) -> None:
        """Take away whatever has a name."""
        status = self._tree.lstat(name)
        if status is None:
            return
        self._tree.remove(name)
        if status.st_mode & 0o170000 == 0o040000:
            below = name + b"/"
            for table in (self._times, self._implicit, self._links, self._whiteouts):
                for path in [path for path in table if path == name or path.startswith(below)]:
                    del table[path]

    def _marker(self, name: bytes) -> None:
        hidden = hidden_name(name)
        if hidden is None:
            return
        if hidden[-1:] != b"/":
            self._hide(hidden)
            return
        path = hidden[:-1]
        if not path:
            make_opaque(self._tree.root_fd, user=self._user_xattrs)
            return
        _, _, path = self._place(path)
        found = self._look(path)
        if found == Look.OTHER:
            raise LayerError(f"the entry {show(name)} lies below {show(path)}, which is not a directory")
        if isinstance(found, bytes):
            return  # what a link leads to is not this directory
        if found == Look.MISSING:
            self._make_directories(path)
        make_opaque(self._tree.directory(path), user=self._user_xattrs)

    def _hide(self, name: bytes) -> None:
        """Hide the parent's entry of a name. One of this layer itself stays.

        Source: OCI image-spec, layer.md, "Whiteouts": they apply to lower layers only.
        """
        fd, base, name = self._place(name)
        try:
            make_whiteout(base, fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if status.st_mode & 0o170000 == 0o040000:
                make_opaque(self._tree.directory(name), user=self._user_xattrs)
                self._implicit.pop(name, None)
        else:
            self._whiteouts[name] = None


def _write(fd: int, data: bytes) -> None:
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])


def _write_sparse(fd: int, entry: TarEntry, data: Iterator[bytes]) -> None:
    parts = iter(entry.sparse or ())
    offset, left = next(parts, (0, 0))
    for piece in data:
        view = memoryview(piece)
        while view:
            if not left:
                offset, left = next(parts)
            done = os.pwrite(fd, view[:left], offset)
            offset, left = offset + done, left - done
            view = view[done:]
    os.ftruncate(fd, entry.size)


def _set_xattr(target: int | bytes, name: bytes, value: bytes) -> None:
    """Set an attribute, unless this file system or kind of entry has no such thing."""
    try:
        if isinstance(target, int):
            os.setxattr(target, name, value)
        else:
            os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        # EPERM: user attributes exist on files and directories only. Source: xattr(7).
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
