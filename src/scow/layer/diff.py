# SPDX-License-Identifier: Apache-2.0
"""Making layers: an overlay upper directory, the difference of two trees, or one whole tree, as a tar stream.

Promises: the same tree makes the same bytes (see ``tarwrite``); times are whole seconds as in Docker's layers;
whiteouts come before what is added in their directory's place; hard links stay links; sparse files stay small; sockets
are left out. Nothing is followed out of the tree: links are written as links.
"""

from __future__ import annotations

import os
import stat

from scow.base.streams import HashingWriter
from scow.errors import UnsupportedError
from scow.layer.changeset import Applied
from scow.layer.compare import same
from scow.layer.tarformat import DIRECTORY, LINK, REGULAR, TarEntry
from scow.layer.tarwrite import TarWriter
from scow.layer.walk import Item, clamp, contents, describe, find_holes, open_file, walk
from scow.layer.whiteout import OPAQUE, PREFIX, exported, is_opaque, is_whiteout
from scow.linux import owners, xattr
from scow.linux.syscalls import explain
from scow.oci.digest import DiffID
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.layer.changeset import Writable
    from scow.linux.owners import Owners

_REDIRECTS = ("trusted.overlay.redirect", "user.overlay.redirect", "trusted.overlay.metacopy", "user.overlay.metacopy")
_NONE: frozenset[bytes] = frozenset()


class Change(NamedTuple):
    """One difference, as ``docker diff`` shows it.

    Attributes:
        kind: ``A`` added, ``C`` changed, ``D`` deleted.
        path: Absolute, inside the container.
    """

    kind: str
    path: str


class _Layer:
    """A layer being written."""

    def __init__(self, out: Writable, epoch: int | None, *, subsecond: bool = False) -> None:
        self._hashed = HashingWriter(out)
        self._tar = TarWriter(self._hashed, subsecond=subsecond)
        self._epoch = epoch
        self._seen: dict[tuple[int, int], bytes] = {}
        self._held: list[Item] = []

    def hold(self, item: Item) -> None:
        """Write a directory only when something in it is written."""
        self._held.append(item)

    def _settle(self, name: bytes) -> None:
        """Write the held directories that lead to an entry, and forget the others: the walk has left them."""
        held, self._held = self._held, []
        for item in held:
            if name.startswith(item.name + b"/"):
                self.add(item)

    def add(self, item: Item) -> None:
        """Write an item of the tree."""
        if self._held:
            self._settle(item.name)
        entry = describe(item, self._epoch)
        if entry is None:
            return
        status = item.status
        if status.st_nlink > 1 and entry.type != DIRECTORY:
            first = self._seen.setdefault((status.st_dev, status.st_ino), item.name)
            if first != item.name:
                self._tar.add(entry._replace(type=LINK, linkname=first, size=0, xattrs=()))
                return
        if entry.type != REGULAR or not entry.size:
            self._tar.add(entry)
            return
        fd = open_file(item.path)
        try:
            try:
                size = os.fstat(fd).st_size
                entry = entry._replace(size=size, sparse=find_holes(fd, size))
            except OSError as error:
                raise explain(error, f"cannot read {os.fsdecode(item.path)!r}") from error
            self._tar.add(entry, contents(fd, size, entry.sparse, item.path))
        finally:
            os.close(fd)

    def mark(self, name: bytes) -> None:
        """Write a marker file. It has no time of its own: when something was removed is not part of the result."""
        if self._held:
            self._settle(name)
        self._tar.add(TarEntry(name, mode=0o600))

    def root(self, path: bytes) -> None:
        """Write the root directory's own entry."""
        status = owners.here().lstat(path)
        time = clamp(status.st_mtime_ns, self._epoch)
        mode = stat.S_IMODE(status.st_mode)
        self._tar.add(
            TarEntry(b"./", DIRECTORY, mode, status.st_uid, status.st_gid, mtime_ns=time, xattrs=exported(path))
        )

    def close(self) -> Applied:
        """End the stream."""
        self._tar.close()
        return Applied(DiffID(self._hashed.digest), self._tar.size, self._tar.entries, self._tar.usage)


def diff_upper(
    upper: str, out: Writable, *, lower: str | None = None, epoch: int | None = None, skip: frozenset[bytes] = _NONE
) -> Applied:
    """Write an overlay upper directory as a layer.

    Args:
        upper: The directory.
        out: Takes the uncompressed tar.
        lower: The tree below, mounted somewhere: what was only copied up, and is as it was, is left out.
        epoch: Later times become this one, seconds since the epoch (``SOURCE_DATE_EPOCH``).
        skip: Names of files and directories that were only made to be mounted on; left out while they are empty.

    Raises:
        UnsupportedError: The overlay was mounted with ``redirect_dir`` or ``metacopy``, so that the directory is not
            the whole difference.
        ScowError: Something cannot be read.
    """
    layer = _Layer(out, epoch)
    below = os.fsencode(lower) if lower is not None else None
    root = os.fsencode(upper)
    _check_plain(root)
    if is_opaque(root):
        layer.mark(OPAQUE)
    for item in walk(root):
        if is_whiteout(item.status):
            above, slash, base = item.name.rpartition(b"/")
            layer.mark(above + slash + PREFIX + base)
            continue
        if skip and item.name in skip and _is_empty(item):
            continue
        if stat.S_ISDIR(item.status.st_mode):
            _check_plain(item.path)
            if below is not None and not is_opaque(item.path) and same(item.path, below + b"/" + item.name):
                layer.hold(item)
                continue
            layer.add(item)
            if is_opaque(item.path):
                layer.mark(item.name + b"/" + OPAQUE)
            continue
        if below is not None and item.status.st_nlink == 1 and same(item.path, below + b"/" + item.name):
            continue
        layer.add(item)
    return layer.close()


def _is_empty(item: Item) -> bool:
    if stat.S_ISDIR(item.status.st_mode):
        return not os.listdir(item.path)
    return stat.S_ISREG(item.status.st_mode) and not item.status.st_size


def _check_plain(path: bytes) -> None:
    for name in _REDIRECTS:
        if xattr.get(path, name) is not None:
            raise UnsupportedError(
                f"{os.fsdecode(path)!r} was made by an overlay mount with {name.rpartition('.')[2]}",
                hint="Mount with redirect_dir=off,metacopy=off.",
            )


def diff_trees(old: str, new: str, out: Writable, *, epoch: int | None = None) -> Applied:
    """Write what must be done to one tree to make it another.

    Entries are equal when type, owner, mode, size, time, link target, device and attributes are, and for files whose
    time lies in the same second, the contents.

    Args:
        old: The tree below.
        new: The wanted tree.
        out: Takes the uncompressed tar.
        epoch: Later times become this one, seconds since the epoch.

    Raises:
        ScowError: Something cannot be read.
    """
    layer = _Layer(out, epoch)
    for kind, item in _differences(os.fsencode(old), os.fsencode(new), owners.here()):
        if kind == "D":
            above, slash, base = item.name.rpartition(b"/")
            layer.mark(above + slash + PREFIX + base)
        else:
            layer.add(item)
    return layer.close()


def _differences(old: bytes, new: bytes, ids: Owners, prefix: bytes = b"") -> Iterator[tuple[str, Item]]:
    """Walk two trees side by side. A changed entry's directory is given before it, as ``C``."""
    names = sorted({*os.listdir(old), *os.listdir(new)})
    for name in names:
        before, after = old + b"/" + name, new + b"/" + name
        was, now = _lstat(ids, before), _lstat(ids, after)
        if now is None:
            if was is not None:
                yield "D", Item(prefix + name, before, was)
            continue
        item = Item(prefix + name, after, now)
        if was is None:
            yield "A", item
            if stat.S_ISDIR(now.st_mode):
                yield from (("A", below) for below in walk(after, prefix + name + b"/"))
        elif stat.S_ISDIR(now.st_mode) and stat.S_ISDIR(was.st_mode):
            inner = _differences(before, after, ids, prefix + name + b"/")
            first = next(inner, None)
            if first is not None or not same(after, before):
                yield "C", item
            if first is not None:
                yield first
                yield from inner
        elif not same(after, before):
            yield "C", item
            if stat.S_ISDIR(now.st_mode):
                yield from (("A", below) for below in walk(after, prefix + name + b"/"))


def _lstat(ids: Owners, path: bytes) -> os.stat_result | None:
    try:
        return ids.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def changes_upper(upper: str, lower: str | None) -> Iterator[Change]:
    """List what an overlay upper directory changes, as ``docker diff`` does.

    Args:
        upper: The directory.
        lower: The tree below, mounted somewhere; ``None`` when there is none.

    Yields:
        Changes sorted by path.

    Raises:
        ScowError: Something cannot be read.
    """
    below = os.fsencode(lower) if lower is not None else None
    ids = owners.here()
    hidden: list[bytes] = []  # opaque directories the walk is in
    for item in walk(os.fsencode(upper)):
        while hidden and not item.name.startswith(hidden[-1]):
            yield from _lost(ids, hidden.pop(), os.fsencode(upper), below)
        path = os.fsdecode(b"/" + item.name)
        if is_whiteout(item.status):
            yield Change("D", path)
            continue
        was = _lstat(ids, below + b"/" + item.name) if below is not None else None
        yield Change("C" if was is not None else "A", path)
        if was is not None and stat.S_ISDIR(was.st_mode) and stat.S_ISDIR(item.status.st_mode) and is_opaque(item.path):
            hidden.append(item.name + b"/")
    while hidden:
        yield from _lost(ids, hidden.pop(), os.fsencode(upper), below)


def _lost(ids: Owners, name: bytes, upper: bytes, below: bytes | None) -> Iterator[Change]:
    """What an opaque directory hides and does not have itself."""
    if below is None:
        return
    for base in sorted(os.listdir(below + b"/" + name)):
        if _lstat(ids, upper + b"/" + name + base) is None:
            yield Change("D", os.fsdecode(b"/" + name + base))


def tar_tree(
    root: str, out: Writable, *, prefix: str = "", epoch: int | None = None, include_root: bool = False
) -> Applied:
    """Write a whole tree, as ``docker export`` and ``docker cp`` do.

    Args:
        root: A directory, or one file or link.
        out: Takes the uncompressed tar.
        prefix: The name the root gets in the archive; needed when it is not a directory.
        epoch: Later times become this one, seconds since the epoch.
        include_root: Write an entry for the root directory itself.

    Raises:
        ScowError: Something cannot be read.
    """
    layer = _Layer(out, epoch)
    path, name = os.fsencode(root), os.fsencode(prefix.strip("/"))
    try:
        status = owners.here().lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            layer.add(Item(name or os.path.basename(path), path, status))
            return layer.close()
        if include_root:
            if name:
                layer.add(Item(name, path, status))
            else:
                layer.root(path)
    except OSError as error:
        raise explain(error, f"cannot read {root!r}") from error
    for item in walk(path, name + b"/" if name else b""):
        layer.add(item)
    return layer.close()
