# SPDX-License-Identifier: Apache-2.0
"""Archives that ADD unpacks: recognised by content, their members placed as entries of the layer.

Members never leave the destination: its directory is the root for their links, absolute or not. A compressed archive
is expanded once into a temporary file, so that members can be written in the layer's order.

Source: Dockerfile reference, "ADD", "Adding local tar archives".
"""

from __future__ import annotations

import os
import stat

from scow.build.copying import lexical
from scow.build.dest import DestinationError, Slot, shown
from scow.build.sources import FilesTree, clean, join, parent_of, portable
from scow.errors import CorruptError, ScowError
from scow.layer.compression import detect, open_stream
from scow.layer.tar import BLOCKDEV, CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, TarReader
from scow.layer.tarformat import BLOCK
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.build.dest import DestTree
    from scow.build.sources import SourceTree
    from scow.layer.changeset import Limits, Readable
    from scow.layer.compression import Stream
    from scow.layer.tarformat import TarEntry

_KINDS = {
    REGULAR: stat.S_IFREG,
    SYMLINK: stat.S_IFLNK,
    CHAR: stat.S_IFCHR,
    BLOCKDEV: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
    DIRECTORY: stat.S_IFDIR,
}
_CHUNK = 1 << 20


class ArchiveTree(FilesTree):
    """The one uncompressed archive that members are read from.

    Args:
        fd: Open for reading; kept until :meth:`close`.
    """

    def __init__(self, fd: int) -> None:
        super().__init__({})
        self._fd = fd

    def open(self, path: bytes) -> int:  # noqa: ARG002 - there is one file
        """A descriptor of the archive, whichever member is asked for."""
        return os.dup(self._fd)

    def close(self) -> None:
        """Let go of the archive."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_archive(tree: SourceTree, path: bytes, scratch: str, limits: Limits) -> ArchiveTree | None:
    """Open a file as an archive, when it is one.

    Args:
        tree: Where the file is.
        path: The file, links resolved.
        scratch: Directory for temporary files.
        limits: Bounds of the expansion.

    Returns:
        The archive, or ``None`` when it is none.

    Raises:
        CorruptError: It begins as an archive but cannot be expanded.
        LimitError: It expands too much.
    """
    status = tree.look(path)
    if status is None or not status.is_file:
        return None
    with os.fdopen(tree.open(path), "rb", buffering=0) as raw:
        head = raw.read(6)
        raw.seek(0)
        if detect(head) == "none":
            return ArchiveTree(os.dup(raw.fileno())) if _begins_as_tar(raw) else None
        try:
            if not _begins_as_tar(_Blocks(open_stream(raw, limits=limits))):
                return None
        except ScowError:
            return None
        raw.seek(0)
        return ArchiveTree(_expand(raw, scratch, limits))


class _Blocks:
    """A stream that gives a block at a time: what is broken further on does not hide that an archive begins here."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read1(BLOCK if size < 0 else min(size, BLOCK))


def _begins_as_tar(stream: Readable) -> bool:
    try:
        return next(iter(TarReader(stream)), None) is not None
    except CorruptError:
        return False


def _expand(raw: BinaryIO, scratch: str, limits: Limits) -> int:
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    fd = os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        stream = open_stream(raw, limits=limits)
        while data := stream.read(_CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def unpack(dest: DestTree, archive: ArchiveTree, target: str, owner: tuple[int, int] | None, limits: Limits) -> None:
    """Place the members of an archive.

    Args:
        dest: Where to.
        archive: From :func:`open_archive`.
        target: Absolute path of the directory to unpack into.
        owner: User and group of everything; ``None`` to keep them.
        limits: Bounds.

    Raises:
        CorruptError: The archive is damaged.
        LimitError: It has too many members.
    """
    from scow.layer.changeset import too_many

    root = dest.resolve(lexical(os.fsencode(target)))
    dest.make_directories(root, 0o755, owner or (0, 0))
    times: dict[bytes, int] = {}
    fd = archive.open(b"")
    with os.fdopen(fd, "rb", buffering=0) as stream:
        os.lseek(fd, 0, os.SEEK_SET)
        for count, entry in enumerate(TarReader(stream, seek=True)):
            if count >= limits.max_entries:
                raise too_many(limits.max_entries)
            name = clean(entry.name)  # what would climb out stops at the destination, as in BuildKit
            path = _place(dest, root, name)
            if not name and entry.type != DIRECTORY:
                continue
            if not name and not entry.name.startswith(b"/"):
                continue  # "." is the destination as it is; "/" says what it is to be, as in BuildKit
            if entry.type == DIRECTORY:
                times[path] = entry.mtime_ns
            _put(dest, archive, root, path, entry, owner)
    for path, mtime_ns in times.items():
        found = dest.look(path)
        if found is not None and found.is_dir:
            dest.set_time(path, mtime_ns)


def _place(dest: DestTree, root: bytes, name: bytes) -> bytes:
    """Where a member goes: links in its directory are followed below the root; the directory is made."""
    above, _, base = name.rpartition(b"/")
    directory = dest.resolve(above, root=root) if above else root
    if above:
        if dest.look(directory) is None:
            _refuse_dangling(dest, root, above)
        dest.make_directories(directory, 0o755, (0, 0))
    if not base:
        return root
    return directory + b"/" + base if directory else base


def _refuse_dangling(dest: DestTree, root: bytes, above: bytes) -> None:
    """Directories are made for a member, but not behind a link that leads nowhere; as in BuildKit."""
    while above:
        here = join(dest.resolve(parent_of(above), root=root), above.rpartition(b"/")[2])
        found = dest.look(here)
        if found is not None:
            if found.is_link and dest.look(dest.resolve(above, root=root)) is None:
                where = os.fsdecode(dest.readlink(here))
                raise CorruptError(
                    f"the archive puts files behind {shown(here)!r}, a link to {where!r}, which does not exist"
                )
            return
        above = parent_of(above)


def _put(
    dest: DestTree, archive: ArchiveTree, root: bytes, path: bytes, entry: TarEntry, owner: tuple[int, int] | None
) -> None:
    there = dest.look(path)
    if there is not None and not (there.is_dir and entry.type == DIRECTORY):
        if not path:
            raise DestinationError("an archive cannot replace the root directory")
        dest.remove(path)
    uid, gid = owner or (entry.uid, entry.gid)
    if entry.type == LINK:
        first = _link_target(dest, root, entry)
        current = dest.look(first)
        if current is None:
            raise CorruptError(
                f"the archive links {shown(path)!r} to {os.fsdecode(entry.linkname)!r}, which is missing"
            )
        if current.is_dir:
            raise CorruptError(
                f"the archive links {shown(path)!r} to {os.fsdecode(entry.linkname)!r}, which is a directory"
            )
        dest.put(path, dest.second_name(first))
        if not current.is_link:
            dest.describe(first, entry.mode, (uid, gid), entry.mtime_ns)
        return
    mode = _KINDS[entry.type] | entry.mode
    slot = Slot(
        mode,
        uid,
        gid,
        entry.mtime_ns,
        entry.linkname if entry.type == SYMLINK else b"",
        os.makedev(entry.major, entry.minor) if entry.type in (CHAR, BLOCKDEV) else 0,
        portable(entry.xattrs),
        archive if entry.type == REGULAR else None,
        path,
        entry.size,
        entry.offset,
        entry.sparse,
    )
    dest.put(path, slot)


def _link_target(dest: DestTree, root: bytes, entry: TarEntry) -> bytes:
    name = clean(entry.linkname)
    directory = dest.resolve(parent_of(name), root=root)
    base = name.rpartition(b"/")[2]
    return directory + b"/" + base if directory else base
