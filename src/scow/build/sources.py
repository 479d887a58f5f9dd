# SPDX-License-Identifier: Apache-2.0
"""Trees that steps read files from: a mounted snapshot, a directory made by us, a few files in memory.

Paths are bytes relative to the tree's root, without a slash at either end; ``b""`` is the root. Links are never
followed by these methods; :func:`resolve` follows them, inside the tree only. The build context, with its ignore file
and its remembered digests, is in ``context``.
"""

from __future__ import annotations

import hashlib
import os
import stat

from scow.errors import InvalidArgumentError, NotFoundError
from scow.linux import owners
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scow.layer.tarformat import Pairs

_MAX_LINKS = 255
_CHUNK = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class SourceNotFoundError(NotFoundError):
    """A COPY, ADD or mount names something that is not there."""

    code = "build-source-not-found"


class Status(NamedTuple):
    """What there is at a path.

    Attributes:
        mode: Type and permissions, as ``st_mode``.
        uid: Owner.
        gid: Group.
        size: Bytes of a regular file.
        mtime_ns: Nanoseconds since the epoch.
        rdev: Device number of a device.
        identity: Equal for hard links of one file; ``None`` when there is only one name.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    rdev: int
    identity: tuple[int, int] | None

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


class Looker(Protocol):
    """What following links needs."""

    def look(self, path: bytes) -> Status | None:
        """What is at a path, itself; ``None`` for nothing."""

    def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""


class SourceTree(Looker, Protocol):
    """A tree to read from; safe for several threads."""

    def names(self, path: bytes) -> list[bytes]:
        """The names in a directory, sorted."""

    def entries(self, path: bytes) -> list[tuple[bytes, Status]]:
        """The names in a directory with what there is, sorted."""

    def open(self, path: bytes) -> int:
        """A descriptor to read a regular file from; the caller closes it."""

    def xattrs(self, path: bytes) -> Pairs:
        """The extended attributes that belong in a layer."""

    def digest(self, path: bytes) -> str:
        """A digest of a regular file's content, in hexadecimal digits."""

    def host_path(self, path: bytes) -> str | None:
        """Where the entry is on the host, or ``None`` when it is nowhere."""


def join(directory: bytes, name: bytes) -> bytes:
    """A path in a directory."""
    return directory + b"/" + name if directory else name


def parent_of(path: bytes) -> bytes:
    """The directory that holds a path."""
    return path.rpartition(b"/")[0]


def clean(path: bytes) -> bytes:
    """A path without ``.``, ``..``, doubled and outer slashes; ``..`` stops at the root."""
    if b"." not in path and b"//" not in path:
        return path.strip(b"/")
    out: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if out:
                out.pop()
        elif part and part != b".":
            out.append(part)
    return b"/".join(out)


def resolve(tree: Looker, path: bytes, *, last: bool = True, root: bytes = b"") -> bytes:
    """Follow the links of a path, as a process whose root is the tree's would.

    Args:
        tree: Where.
        path: Any path; missing parts stay as they are.
        last: Whether a link at the end is followed too.
        root: A directory that absolute links and ``..`` do not leave; the result is below it.

    Raises:
        InvalidArgumentError: Links go round in circles.
    """
    todo = [part for part in path.split(b"/") if part and part != b"."][::-1]
    done: list[bytes] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == b"..":
            if done:
                done.pop()
            continue
        done.append(part)
        if not last and not todo:
            break
        here = b"/".join((root, *done)) if root else b"/".join(done)
        status = tree.look(here)
        if status is None or not status.is_link:
            continue
        links += 1
        if links > _MAX_LINKS:
            raise InvalidArgumentError(f"too many symbolic links in {os.fsdecode(path)!r}")
        target = tree.readlink(here)
        done.pop()
        if target.startswith(b"/"):
            done.clear()
        todo.extend(piece for piece in reversed(target.split(b"/")) if piece and piece != b".")
    return b"/".join((root, *done)) if root and done else (root or b"/".join(done))


def status_of(found: os.stat_result, *, reset_owner: bool = False) -> Status:
    """Our view of an lstat."""
    return Status(
        found.st_mode,
        0 if reset_owner else found.st_uid,
        0 if reset_owner else found.st_gid,
        found.st_size,
        found.st_mtime_ns,
        found.st_rdev,
        (found.st_dev, found.st_ino) if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode) else None,
    )


class DirTree:
    """A directory that nobody changes while it is read: a mounted snapshot, or one that we made.

    Args:
        root: Its path.
        reset_owner: Everything belongs to root.
    """

    def __init__(self, root: str, *, reset_owner: bool = False) -> None:
        self.root = os.fsencode(root)
        self._reset_owner = reset_owner
        self._ids = owners.here()

    def _at(self, path: bytes) -> bytes:
        return self.root + b"/" + path if path else self.root

    def look(self, path: bytes) -> Status | None:
        """See :class:`SourceTree`; a link in the middle of the path counts as nothing."""
        try:
            return status_of(self._ids.lstat(self._at(path)), reset_owner=self._reset_owner)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error

    def readlink(self, path: bytes) -> bytes:
        """See :class:`SourceTree`."""
        return os.readlink(self._at(path))

    def names(self, path: bytes) -> list[bytes]:
        """See :class:`SourceTree`."""
        try:
            return sorted(os.listdir(self._at(path)))
        except OSError as error:
            raise _unreadable(path, error) from error

    def entries(self, path: bytes) -> list[tuple[bytes, Status]]:
        """See :class:`SourceTree`."""
        try:
            with os.scandir(self._at(path)) as scan:
                found = [(item.name, self._status(item)) for item in scan]
        except OSError as error:
            raise _unreadable(path, error) from error
        found.sort()
        return [(name, status_of(status, reset_owner=self._reset_owner)) for name, status in found]

    def _status(self, item: os.DirEntry[bytes]) -> os.stat_result:
        return self._ids.lstat(item.path) if self._ids.recorded else item.stat(follow_symlinks=False)

    def open(self, path: bytes) -> int:
        """See :class:`SourceTree`."""
        try:
            return os.open(self._at(path), _OPEN)
        except OSError as error:
            raise _unreadable(path, error) from error

    def xattrs(self, path: bytes) -> Pairs:
        """See :class:`SourceTree`."""
        from scow.layer.whiteout import exported

        return exported(self._at(path))

    def digest(self, path: bytes) -> str:
        """See :class:`SourceTree`."""
        fd = self.open(path)
        try:
            return hash_file(fd)
        finally:
            os.close(fd)

    def host_path(self, path: bytes) -> str | None:
        """See :class:`SourceTree`."""
        return os.fsdecode(self._at(path))


class FilesTree:
    """A few regular files at the top of a tree, held in memory.

    Args:
        files: Content by name.
        mode: Permissions of each.
        mtime_ns: Time of each, nanoseconds since the epoch.
    """

    def __init__(self, files: Mapping[bytes, bytes], *, mode: int = 0o644, mtime_ns: int = 0) -> None:
        self._files = files
        self._mode = mode
        self._mtime_ns = mtime_ns

    def look(self, path: bytes) -> Status | None:
        """See :class:`SourceTree`."""
        if not path:
            return Status(stat.S_IFDIR | 0o755, 0, 0, 0, self._mtime_ns, 0, None)
        data = self._files.get(path)
        if data is None:
            return None
        return Status(stat.S_IFREG | self._mode, 0, 0, len(data), self._mtime_ns, 0, None)

    def readlink(self, path: bytes) -> bytes:
        """See :class:`SourceTree`."""
        raise SourceNotFoundError(f"{os.fsdecode(path)!r} is no link")

    def names(self, path: bytes) -> list[bytes]:
        """See :class:`SourceTree`."""
        return [] if path else sorted(self._files)

    def entries(self, path: bytes) -> list[tuple[bytes, Status]]:
        """See :class:`SourceTree`."""
        found = [(name, self.look(name)) for name in self.names(path)]
        return [(name, status) for name, status in found if status is not None]

    def open(self, path: bytes) -> int:
        """See :class:`SourceTree`."""
        fd = os.memfd_create("inline", os.MFD_CLOEXEC)
        data = memoryview(self._files[path])
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def xattrs(self, path: bytes) -> Pairs:  # noqa: ARG002 - all files are alike
        """See :class:`SourceTree`."""
        return ()

    def digest(self, path: bytes) -> str:
        """See :class:`SourceTree`."""
        return hashlib.sha256(self._files[path]).hexdigest()

    def host_path(self, path: bytes) -> str | None:  # noqa: ARG002 - all files are alike
        """See :class:`SourceTree`."""
        return None


def hash_file(fd: int) -> str:
    """The SHA-256 of an open file from where it stands, in hexadecimal digits."""
    found = hashlib.sha256()
    while data := os.read(fd, _CHUNK):
        found.update(data)
    return found.hexdigest()


def portable(xattrs: Pairs) -> Pairs:
    """The attributes that come along from a context or archive: as Docker, capabilities and nothing else.

    Source: BuildKit v0.32 and Docker 20.10, as recorded (copy/xattr-user-in-context, add/tar-xattr).
    """
    return tuple(pair for pair in xattrs if pair[0] == b"security.capability")


def _unreadable(path: bytes, error: OSError) -> Exception:
    from scow.linux.syscalls import explain

    return explain(error, f"cannot read {'/' + os.fsdecode(path)!r}")
