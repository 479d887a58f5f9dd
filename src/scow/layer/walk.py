# SPDX-License-Identifier: Apache-2.0
"""Looking at a tree on disk in the order layers are written: sorted by bytes, directories before what is in them."""

from __future__ import annotations

import errno
import os
import stat

from scow.layer.tarformat import BLOCKDEV, CHAR, DIRECTORY, FIFO, REGULAR, SYMLINK, TarEntry
from scow.layer.whiteout import exported
from scow.linux import owners
from scow.linux.syscalls import explain
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.layer.tarformat import Segments

TYPES = {
    stat.S_IFREG: REGULAR,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCKDEV,
    stat.S_IFIFO: FIFO,
}
"""What a layer calls each kind of file; sockets have no place in one."""
_CHUNK = 256 * 1024
_GRAIN = 4096
_MIN_RUN = 8  # grains of zeros that make a hole
_MIN_HOLES = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Item(NamedTuple):
    """One entry of a tree.

    Attributes:
        name: Relative to the root, without a slash at either end.
        path: Where it is on disk.
        status: What lstat says, with the owner that is recorded where ids are not real.
    """

    name: bytes
    path: bytes
    status: os.stat_result


def walk(root: bytes, prefix: bytes = b"") -> Iterator[Item]:
    """Visit everything below a directory. To leave out what is below a directory, send ``True`` after it was given.

    Args:
        root: The directory.
        prefix: Put before every name, with a slash at its end.

    Yields:
        Items sorted by name, component by component.

    Raises:
        ScowError: Something cannot be looked at.
    """
    ids = owners.here()
    stack = [_listing(root, prefix)]
    while stack:
        if not stack[-1]:
            stack.pop()
            continue
        name, path = stack[-1].pop()
        try:
            status = ids.lstat(path)
        except FileNotFoundError:
            continue  # gone since it was listed: somebody else works here
        except OSError as error:
            raise explain(error, f"cannot look at {os.fsdecode(path)!r}") from error
        prune = yield Item(name, path, status)
        if not prune and stat.S_ISDIR(status.st_mode):
            stack.append(_listing(path, name + b"/"))


def _listing(path: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain(error, f"cannot list {os.fsdecode(path)!r}") from error
    names.sort(reverse=True)
    return [(prefix + name, path + b"/" + name) for name in names]


def describe(item: Item, epoch: int | None = None) -> TarEntry | None:
    """What a tar stream says about an item.

    Args:
        item: The item.
        epoch: Later times become this one, seconds since the epoch.

    Returns:
        Its entry, or ``None`` for what no layer can hold: sockets.

    Raises:
        ScowError: It cannot be looked at.
    """
    name, path, status = item
    kind = TYPES.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    try:
        return TarEntry(
            name,
            kind,
            status.st_mode & 0o7777,
            status.st_uid,
            status.st_gid,
            status.st_size if kind == REGULAR else 0,
            clamp(status.st_mtime_ns, epoch),
            os.readlink(path) if kind == SYMLINK else b"",
            os.major(status.st_rdev) if kind in (CHAR, BLOCKDEV) else 0,
            os.minor(status.st_rdev) if kind in (CHAR, BLOCKDEV) else 0,
            exported(path),
        )
    except OSError as error:
        raise explain(error, f"cannot read {os.fsdecode(path)!r}") from error


def clamp(mtime_ns: int, epoch: int | None) -> int:
    """A time, or the epoch when that is earlier."""
    return mtime_ns if epoch is None else min(mtime_ns, epoch * 1_000_000_000)


def open_file(path: bytes) -> int:
    """Open a regular file for reading.

    Raises:
        ScowError: It cannot be.
    """
    try:
        return os.open(path, _OPEN)
    except OSError as error:
        raise explain(error, f"cannot read {os.fsdecode(path)!r}") from error


def find_holes(fd: int, size: int) -> Segments | None:
    """Find the holes of a file, by what is in it so that the answer depends on no file system.

    Only files that have holes on disk are looked at. Runs of at least 32 KiB of zeros, aligned to 4 KiB, count as
    holes; files that would save less than 1 MiB are left as they are.

    Args:
        fd: The open file.
        size: Its bytes.

    Returns:
        The parts with data, or ``None`` to write the file as it is.

    Raises:
        OSError: It cannot be read.
    """
    if size < _MIN_HOLES or os.lseek(fd, 0, os.SEEK_HOLE) >= size:
        return None
    zeros = bytes(_GRAIN)
    parts: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            position = os.lseek(fd, position, os.SEEK_DATA) // _GRAIN * _GRAIN
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = min(os.lseek(fd, position, os.SEEK_HOLE), size)
        end = min(-(-end // _GRAIN) * _GRAIN, size)
        while position < end:
            block = os.pread(fd, min(_CHUNK, end - position), position)
            if not block:
                return None
            for start in range(0, len(block), _GRAIN):
                grain = block[start : start + _GRAIN]
                if grain != zeros[: len(grain)]:
                    _extend(parts, position + start, len(grain))
            position += len(block)
    if size - sum(length for _, length in parts) < _MIN_HOLES:
        return None
    return tuple(parts)


def _extend(parts: list[tuple[int, int]], offset: int, length: int) -> None:
    """Add a part, joined to the last one when the gap between them is too short for a hole."""
    if parts:
        start, before = parts[-1]
        if offset - (start + before) < _MIN_RUN * _GRAIN:
            parts[-1] = (start, offset + length - start)
            return
    elif offset < _MIN_RUN * _GRAIN:
        parts.append((0, offset + length))
        return
    parts.append((offset, length))


def contents(fd: int, size: int, sparse: Segments | None, path: bytes) -> Iterator[bytes]:
    """The stored bytes of a file: exactly as many as its entry says, whatever happens to it meanwhile.

    Args:
        fd: The open file.
        size: Bytes its entry promises.
        sparse: The parts to give, or ``None`` for all.
        path: For messages.

    Raises:
        ScowError: It cannot be read, or became shorter.
    """
    from scow.errors import ConflictError

    for offset, length in ((0, size),) if sparse is None else sparse:
        end = offset + length
        while offset < end:
            try:
                data = os.pread(fd, min(_CHUNK, end - offset), offset)
            except OSError as error:
                raise explain(error, f"cannot read {os.fsdecode(path)!r}") from error
            if not data:
                raise ConflictError(f"{os.fsdecode(path)!r} became shorter while it was read")
            offset += len(data)
            yield data
