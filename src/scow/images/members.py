# SPDX-License-Identifier: Apache-2.0
"""The files inside an archive or a layout directory, by name; nothing is ever unpacked.

Three ways to get at them: a plain tar file is indexed once and read at any place, in parallel; a pipe or a compressed
archive is read once, layers going straight into the store as they pass; a directory is opened file by file. Names are
only looked up, never used on a file system, so an archive cannot write anywhere.
"""

from __future__ import annotations

import io
import os
import stat

from scow.base.streams import BlobMismatchError, BoundedReader
from scow.errors import CorruptError, LimitError
from scow.images.intake import Peeked
from scow.layer.compression import detect, open_stream
from scow.layer.tar import LINK, REGULAR, SYMLINK, TarReader
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from scow.base.streams import Readable
    from scow.errors import ScowError
    from scow.images.intake import Layer
    from scow.layer.changeset import Limits
    from scow.layer.tar import TarEntry
    from scow.oci.digest import DiffID, Digest

MAX_ENTRIES = 200_000
MAX_DOCUMENT = 8 << 20
_SMALL = 1 << 20
_ALL_SMALL = 48 << 20
_MAX_LINKS = 8


class ArchiveError(CorruptError):
    """The archive holds no image, or not all of it."""

    code = "bad-archive"


class Taker(Protocol):
    """Takes layers in, from several threads."""

    @property
    def limits(self) -> Limits:
        """Bounds for each layer."""

    def take(self, source: Readable, *, digest: Digest | None = None, diff_id: DiffID | None = None) -> Layer:
        """Read one layer to the end of its stream and verify it."""


class Members(Protocol):
    """Files by name."""

    def __contains__(self, name: object, /) -> bool: ...

    def names(self) -> list[str]:
        """List all names."""

    def read(self, name: str) -> bytes:
        """Read a document whole.

        Raises:
            ArchiveError: It is not there.
            LimitError: It is larger than a document may be.
        """

    def layer(self, name: str, *, digest: Digest | None, diff_id: DiffID | None) -> Layer:
        """Take a layer into the store; from any thread.

        Raises:
            ArchiveError: It is not there.
            CorruptError: It is not what it should be.
        """


def plain(name: bytes) -> str:
    """Make a member's name comparable: relative, without ``.`` and ``..``.

    Args:
        name: As in the archive.

    Returns:
        Components joined by slashes; what climbs out of the archive ends up at its root.
    """
    parts: list[str] = []
    for part in name.decode("utf-8", "surrogateescape").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


class _Place(NamedTuple):
    """Where a file's bytes are in the archive."""

    offset: int
    size: int


class Section:
    """Part of a file, read without moving it, so that several threads may read one file.

    Args:
        fd: The file.
        offset: Where the part begins, in bytes.
        size: How long it is, in bytes.
    """

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._at = offset
        self._end = offset + size

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes.

        Raises:
            CorruptError: The file got shorter.
        """
        left = self._end - self._at
        data = os.pread(self._fd, left if size < 0 else min(size, left), self._at)
        if not data and left and size:
            raise CorruptError("the archive is cut off")
        self._at += len(data)
        return data


class _Links:
    """Names that stand for other names, as hard and symbolic links in an archive do."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}

    def add(self, entry: TarEntry) -> None:
        target = entry.linkname
        if entry.type == SYMLINK and not target.startswith(b"/"):
            target = os.path.dirname(entry.name.rstrip(b"/")) + b"/" + target
        self._targets[plain(entry.name)] = plain(target)

    def follow(self, name: str) -> str:
        for _ in range(_MAX_LINKS):
            if name not in self._targets:
                break
            name = self._targets[name]
        return name

    def names(self) -> list[str]:
        return list(self._targets)


class FileMembers:
    """A plain tar file, read at any place.

    Args:
        fd: The file; not closed.
        intake: Where layers go.

    Raises:
        CorruptError: It is no tar, or cut off.
        LimitError: It has too many entries.
    """

    def __init__(self, fd: int, intake: Taker) -> None:
        self._fd = fd
        self._intake = intake
        self._places: dict[str, _Place] = {}
        self._links = _Links()
        with open(fd, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            for count, entry in enumerate(TarReader(file, seek=True)):
                _refuse_many(count)
                if entry.type == REGULAR and entry.sparse is None:
                    self._places[plain(entry.name)] = _Place(entry.offset, entry.size)
                elif entry.type in (LINK, SYMLINK):
                    self._links.add(entry)

    def __contains__(self, name: object, /) -> bool:
        return isinstance(name, str) and self._links.follow(name) in self._places

    def names(self) -> list[str]:
        """List all names."""
        return [*self._places, *self._links.names()]

    def _open(self, name: str) -> Section:
        place = self._places.get(self._links.follow(name))
        if place is None:
            raise ArchiveError(f"the archive has no file {name!r}")
        return Section(self._fd, *place)

    def read(self, name: str) -> bytes:
        """Read a document whole."""
        return BoundedReader(self._open(name), MAX_DOCUMENT, f"the archive's file {name!r}").read()

    def layer(self, name: str, *, digest: Digest | None, diff_id: DiffID | None) -> Layer:
        """Take a layer into the store."""
        return self._intake.take(self._open(name), digest=digest, diff_id=diff_id)


class DirectoryMembers:
    """A layout directory, or an archive somebody unpacked.

    Args:
        path: The directory.
        intake: Where layers go.
    """

    def __init__(self, path: str, intake: Taker) -> None:
        self._root = os.path.realpath(path)
        self._intake = intake

    def _path(self, name: str) -> str:
        """Find a file, following links only as long as they stay inside."""
        found = os.path.realpath(os.path.join(self._root, name))
        if not found.startswith(self._root + "/"):
            raise ArchiveError(f"{name!r} leads out of {self._root!r}")
        return found

    def __contains__(self, name: object, /) -> bool:
        if not isinstance(name, str):
            return False
        try:
            return stat.S_ISREG(os.stat(self._path(name)).st_mode)
        except (OSError, ArchiveError):
            return False

    def names(self) -> list[str]:
        """List all names."""
        found: list[str] = []
        for directory, _, files in os.walk(self._root):
            for name in files:
                _refuse_many(len(found))
                found.append(os.path.relpath(os.path.join(directory, name), self._root))
        return sorted(found)

    def _open(self, name: str) -> io.FileIO:
        try:
            fd = os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ArchiveError(f"{self._root!r} has no readable file {name!r}: {error.strerror}") from None
        return io.FileIO(fd, "rb")

    def read(self, name: str) -> bytes:
        """Read a document whole."""
        with self._open(name) as file:
            bounded = BoundedReader(file, MAX_DOCUMENT, f"the file {name!r}")
            return b"".join(iter(lambda: bounded.read(_SMALL), b""))

    def layer(self, name: str, *, digest: Digest | None, diff_id: DiffID | None) -> Layer:
        """Take a layer into the store."""
        with self._open(name) as file:
            return self._intake.take(file, digest=digest, diff_id=diff_id)


class StreamMembers:
    """A pipe or a compressed archive, read once: layers go into the store as they pass, documents into memory.

    Which big file is a layer of what is known only when the documents have been seen, so each one that looks like a
    layer is taken; those that nothing names are left to the lease.

    Args:
        stream: The plain tar.
        intake: Where layers go.

    Raises:
        CorruptError: It is no tar, or cut off.
        LimitError: It has too many entries.
        ScowError: The disk is full.
    """

    def __init__(self, stream: Readable, intake: Taker) -> None:
        self._intake = intake
        self._documents: dict[str, bytes] = {}
        self._layers: dict[str, Layer] = {}
        self._failed: dict[str, ScowError] = {}
        self._links = _Links()
        self._memory = 0
        reader = TarReader(stream)
        for count, entry in enumerate(reader):
            _refuse_many(count)
            if entry.type == REGULAR and entry.sparse is None:
                self._take(plain(entry.name), entry.size, reader)
            elif entry.type in (LINK, SYMLINK):
                self._links.add(entry)
        reader.finish()

    def _take(self, name: str, size: int, reader: TarReader) -> None:
        data = Peeked(_EntryReader(reader))
        document = data.head.lstrip()[:1] in (b"{", b"[")
        if size <= (MAX_DOCUMENT if document else _SMALL) and self._memory + size <= _ALL_SMALL:
            self._documents[name] = data.read()
            self._memory += size
            return
        if document:
            self._failed[name] = LimitError(f"the archive's file {name!r} is larger than {MAX_DOCUMENT} bytes")
            return
        try:
            self._layers[name] = self._intake.take(data)
        except (CorruptError, LimitError) as error:
            self._failed[name] = error  # matters only when something names it

    def __contains__(self, name: object, /) -> bool:
        if not isinstance(name, str):
            return False
        name = self._links.follow(name)
        return name in self._documents or name in self._layers or name in self._failed

    def names(self) -> list[str]:
        """List all names."""
        return [*self._documents, *self._layers, *self._failed, *self._links.names()]

    def read(self, name: str) -> bytes:
        """Read a document whole."""
        found = self._documents.get(self._links.follow(name))
        if found is None:
            raise self._failed.get(name) or ArchiveError(f"the archive has no document {name!r}")
        return found

    def layer(self, name: str, *, digest: Digest | None, diff_id: DiffID | None) -> Layer:
        """Find a layer that was taken already, or take a small one."""
        target = self._links.follow(name)
        if target in self._failed:
            raise self._failed[target]
        if target in self._documents:
            return self._intake.take(io.BytesIO(self._documents[target]), digest=digest, diff_id=diff_id)
        if target not in self._layers:
            raise ArchiveError(f"the archive has no file {name!r}")
        layer = self._layers[target]
        if digest is not None and layer.digest != digest:
            raise BlobMismatchError(f"content of {digest} has the digest {layer.digest}")
        if diff_id is not None and layer.diff_id != diff_id:
            raise BlobMismatchError(f"layer {name!r} has the digest {layer.diff_id} instead of {diff_id}")
        return layer


class _EntryReader:
    """The data of a tar reader's current entry as a stream."""

    def __init__(self, reader: TarReader) -> None:
        self._chunks = reader.chunks()
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            rest, self._rest = self._rest, b""
            return rest + b"".join(self._chunks)
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _refuse_many(count: int) -> None:
    if count >= MAX_ENTRIES:
        raise LimitError(f"the archive has more than {MAX_ENTRIES} entries")


def open_members(source: int | str, intake: Taker) -> Members:
    """Open an archive, in whichever form it comes.

    Args:
        source: A file descriptor, not closed here, or a directory's path.
        intake: Where layers go.

    Returns:
        Its files.

    Raises:
        CorruptError: It is damaged or no archive.
    """
    if isinstance(source, str):
        return DirectoryMembers(source, intake)
    seekable = stat.S_ISREG(os.fstat(source).st_mode)
    if seekable and detect(os.pread(source, 512, 0)) == "none":
        return FileMembers(source, intake)
    with open(source, "rb", buffering=0, closefd=False) as raw:
        head = Peeked(raw)
        return StreamMembers(open_stream(head, detect(head.head), limits=intake.limits), intake)
