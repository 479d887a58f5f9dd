# SPDX-License-Identifier: Apache-2.0
"""A layer while it is composed: what a step adds, seen on top of the tree below, and written as a tar in the end.

Nothing is copied anywhere first: an entry remembers where its bytes are and they go straight into the tar. The tree
below is only looked at. Directories on the way to new entries are written with what they have below, because tools
that apply a layer on its own would otherwise make them up.
"""

from __future__ import annotations

import os
import stat

from scow.build.sources import Status, join, parent_of, resolve
from scow.errors import ConflictError
from scow.layer.tarformat import BLOCKDEV, CHAR, LINK, REGULAR, TarEntry
from scow.layer.tarwrite import TarWriter
from scow.layer.walk import TYPES, contents, find_holes
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scow.build.donors import Donors
    from scow.build.sources import SourceTree
    from scow.layer.changeset import Writable
    from scow.layer.tarformat import Pairs, Segments

_OPAQUE = b".wh..wh..opq"
_NANO = 1_000_000_000
_SMALL = 1 << 16
UNTIMED = -1
"""The time of directories made on the way, until :meth:`DestTree.settle`."""


class DestinationError(ConflictError):
    """A file stands where a directory is needed, or the other way round."""

    code = "build-destination"


class Slot(NamedTuple):
    """One entry of the layer.

    Attributes:
        mode: Type and permissions.
        uid: Owner.
        gid: Group.
        mtime_ns: Nanoseconds since the epoch.
        linkname: Target of a symbolic link, or the path of the first name of a hard link.
        rdev: Device number.
        xattrs: Extended attributes.
        tree: Where the content is; ``None`` when there is none.
        source: The path in ``tree``.
        size: Bytes of content.
        offset: Where the content begins in the source, for members of an archive.
        sparse: Parts of the content that are not holes, for members of an archive.
        hard: It is another name of ``linkname``.
        opaque: A directory that hides what is below.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    linkname: bytes = b""
    rdev: int = 0
    xattrs: Pairs = ()
    tree: SourceTree | None = None
    source: bytes = b""
    size: int = 0
    offset: int = -1
    sparse: Segments | None = None
    hard: bool = False
    opaque: bool = False

    @property
    def status(self) -> Status:
        """As a tree would tell it."""
        return Status(self.mode, self.uid, self.gid, self.size, self.mtime_ns, self.rdev, None)


class DestTree:
    """A layer on the tree below.

    Args:
        below: The tree below, or ``None`` for an empty one.
    """

    def __init__(self, below: SourceTree | None) -> None:
        self._below = below
        self._slots: dict[bytes, Slot] = {}
        self._hidden: set[bytes] = set()
        self._new: set[bytes] = set()  # directories that the tree below does not have, nor anything in them
        self._links: dict[bytes, list[bytes]] = {}  # first names of hard links -> the others

    # ------------------------------------------------------------------ looking

    def look(self, path: bytes) -> Status | None:
        """What is at a path, itself."""
        slot = self._slots.get(path)
        if slot is not None:
            return self._slots[slot.linkname].status if slot.hard else slot.status
        if self._below is None:
            return Status(stat.S_IFDIR | 0o755, 0, 0, 0, UNTIMED, 0, None) if not path else None
        if parent_of(path) in self._new or (self._hidden and self._is_hidden(path)):
            return None
        return self._below.look(path)

    def _is_hidden(self, path: bytes) -> bool:
        while path:
            if path in self._hidden:
                return True
            path = parent_of(path)
        return False

    def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        slot = self._slots.get(path)
        if slot is not None:
            return slot.linkname
        return self._below.readlink(path) if self._below is not None else b""

    def resolve(self, path: bytes, *, root: bytes = b"") -> bytes:
        """Follow all links of a path, inside the tree."""
        return resolve(self, path, root=root)

    # ------------------------------------------------------------------ changing

    def make_directories(self, path: bytes, mode: int, owner: tuple[int, int]) -> list[bytes]:
        """Make a directory and those it is in.

        Args:
            path: Resolved, but for parts that are not there.
            mode: Permissions of those that are made.
            owner: User and group of those that are made.

        Returns:
            Those that were made, outermost first.

        Raises:
            DestinationError: Something else is in the way.
        """
        made: list[bytes] = []
        here = b""
        for part in path.split(b"/") if path else ():
            here = join(here, part)
            found = self.look(here)
            if found is None:
                self.put(here, Slot(stat.S_IFDIR | (mode & 0o777), *owner, UNTIMED))
                made.append(here)
            elif found.is_link:
                real = self.resolve(here)
                found = self.look(real)
                if found is None or not found.is_dir:
                    raise DestinationError(f"cannot create the directory {shown(here)!r}: it is a link to no directory")
                here = real
            elif not found.is_dir:
                raise DestinationError(f"cannot create the directory {shown(here)!r}: it is not a directory but a file")
        return made

    def put(self, path: bytes, slot: Slot) -> None:
        """Add an entry, or replace one."""
        if stat.S_ISDIR(slot.mode):
            if path in self._hidden:
                slot = slot._replace(opaque=True)
            elif path not in self._slots and self._below is not None and self.look(path) is None:
                self._new.add(path)
        if self._links:
            self._keep_links(path)
        if slot.hard:
            self._links.setdefault(slot.linkname, []).append(path)
        self._slots[path] = slot

    def _keep_links(self, path: bytes) -> None:
        """Before an entry goes: its other names must not lose their content."""
        names = [name for name in self._links.pop(path, ()) if self._is_link_to(name, path)]
        if names:
            first = names[0]
            self._slots[first] = self._slots[path]._replace(hard=False)
            for name in names[1:]:
                self._slots[name] = self._slots[name]._replace(linkname=first)
            self._links[first] = names[1:]

    def _is_link_to(self, name: bytes, path: bytes) -> bool:
        slot = self._slots.get(name)
        return slot is not None and slot.hard and slot.linkname == path

    def set_time(self, path: bytes, mtime_ns: int) -> None:
        """Change only the time of an entry."""
        self._slots[path] = self.current(path)._replace(mtime_ns=mtime_ns)

    def current(self, path: bytes) -> Slot:
        """What is at the path of a directory, as an entry of this layer."""
        slot = self._slots.get(path)
        return slot if slot is not None else self._from_below(path)

    def describe(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Change permissions, owner and time of a file that this layer has, whichever of its names is given."""
        slot = self._slots[path]
        real = slot.linkname if slot.hard else path
        slot = self._slots[real]
        kind = stat.S_IFMT(slot.mode)
        self._slots[real] = slot._replace(mode=kind | mode, uid=owner[0], gid=owner[1], mtime_ns=mtime_ns)

    def remove(self, path: bytes) -> None:
        """Take an entry away, with everything in it. Something else must be put in its place."""
        found = self.look(path)
        if found is None:
            return
        for name in [name for name in self._slots if name.startswith(path + b"/")] if found.is_dir else ():
            self._keep_links(name)
            del self._slots[name]
        self._keep_links(path)
        self._slots.pop(path, None)
        if found.is_dir and self._below is not None and self._below.look(path) is not None:
            self._hidden.add(path)

    def second_name(self, first: bytes) -> Slot:
        """An entry that is a hard link to what is at a path; a file from below comes into this layer with it."""
        slot = self._slots.get(first)
        if slot is None:
            slot = self._from_below(first)
            found = self._below.look(first) if self._below is not None else None
            if found is not None and found.is_file:
                slot = slot._replace(tree=self._below, source=first, size=found.size)
            self._slots[first] = slot
        real = slot.linkname if slot.hard else first
        return self._slots[real]._replace(hard=True, linkname=real)

    def _from_below(self, path: bytes) -> Slot:
        if self._below is None:
            return Slot(stat.S_IFDIR | 0o755, mtime_ns=0)
        found = self._below.look(path)
        if found is None:
            return Slot(stat.S_IFDIR | 0o755, mtime_ns=0)
        link = self._below.readlink(path) if found.is_link else b""
        return Slot(found.mode, found.uid, found.gid, found.mtime_ns, link, found.rdev, self._below.xattrs(path))

    # ------------------------------------------------------------------ writing

    def settle(self, time: int) -> None:
        """Give directories that were made on the way a time, seconds since the epoch."""
        for path, slot in self._slots.items():
            if slot.mtime_ns == UNTIMED:
                self._slots[path] = slot._replace(mtime_ns=time * _NANO)

    def paths(self) -> Iterable[bytes]:
        """Every path of the layer."""
        return self._slots.keys()

    def newest(self) -> int:
        """The latest time of a file in the layer, seconds since the epoch; 0 when there is none."""
        return max((slot.mtime_ns // _NANO for slot in self._slots.values() if stat.S_ISREG(slot.mode)), default=0)

    def write(
        self,
        out: Writable,
        *,
        epoch: int | None = None,
        check: Callable[[], None] | None = None,
        donors: Donors | None = None,
    ) -> int:
        """Write the layer as a tar stream, sorted.

        Args:
            out: Where to.
            epoch: Later times become this one, seconds since the epoch.
            check: Called for each entry; raises to stop.
            donors: Gives the content of small files, and is told where it lies.

        Returns:
            Bytes of file data.
        """
        for path in list(self._slots):
            above = parent_of(path)
            while above and above not in self._slots:
                self._slots[above] = self._from_below(above)
                above = parent_of(above)
        self._order_links()
        writer = TarWriter(out)
        for path in sorted(self._slots, key=lambda name: name.split(b"/")):
            if check is not None:
                check()
            slot = self._slots[path]
            if not path or stat.S_ISSOCK(slot.mode):
                continue  # the root keeps what it has; no layer can hold a socket
            _write_slot(writer, path, slot, epoch, donors)
            if slot.opaque:
                writer.add(TarEntry(path + b"/" + _OPAQUE, mode=0o600))
        writer.close()
        return writer.usage

    def _order_links(self) -> None:
        """The first of a file's names in the stream must be the one with the content."""
        for first, others in list(self._links.items()):
            names = [name for name in others if self._is_link_to(name, first)]
            lowest = min((first, *names), key=lambda name: name.split(b"/"))
            if lowest != first:
                self._slots[lowest] = self._slots[first]._replace(hard=False)
                for name in (first, *names):
                    if name != lowest:
                        self._slots[name] = self._slots[name]._replace(hard=True, linkname=lowest)


def _write_slot(writer: TarWriter, path: bytes, slot: Slot, epoch: int | None, donors: Donors | None) -> None:
    mtime_ns = slot.mtime_ns if epoch is None else min(slot.mtime_ns, epoch * _NANO)
    kind = LINK if slot.hard else TYPES[stat.S_IFMT(slot.mode)]
    device = kind in (CHAR, BLOCKDEV)
    entry = TarEntry(
        path,
        kind,
        slot.mode & 0o7777,
        slot.uid,
        slot.gid,
        0,
        mtime_ns,
        slot.linkname,
        os.major(slot.rdev) if device else 0,
        os.minor(slot.rdev) if device else 0,
        () if slot.hard else slot.xattrs,
    )
    if kind != REGULAR or slot.tree is None:
        writer.add(entry)
        return
    whole: bytes | None = None
    if donors is not None and slot.offset < 0:
        whole = donors.take(slot.tree, slot.source, slot.size)
        if whole is not None:
            writer.add(entry._replace(size=slot.size), (whole,))
            donors.note(slot.tree, slot.source, slot.size, writer.placed)
            return
    fd = slot.tree.open(slot.source)
    try:
        if slot.offset < 0 and slot.size < _SMALL:
            whole = os.read(fd, slot.size + 1)
            if len(whole) == slot.size:
                writer.add(entry._replace(size=slot.size), (whole,) if whole else ())
                if donors is not None:
                    donors.note(slot.tree, slot.source, slot.size, writer.placed)
                return
            os.lseek(fd, 0, os.SEEK_SET)
        if slot.offset >= 0:
            data = _member(fd, slot)
            writer.add(entry._replace(size=slot.size, sparse=slot.sparse), data)
            return
        size = os.fstat(fd).st_size
        holes = find_holes(fd, size)
        writer.add(entry._replace(size=size, sparse=holes), contents(fd, size, holes, slot.source))
    finally:
        os.close(fd)


def _member(fd: int, slot: Slot) -> Iterator[bytes]:
    """The stored bytes of an archive's member."""
    length = slot.size if slot.sparse is None else sum(count for _, count in slot.sparse)
    yield from contents(fd, slot.offset + length, ((slot.offset, length),), slot.source)


def shown(path: bytes) -> str:
    """A path for a message."""
    return "/" + os.fsdecode(path)
