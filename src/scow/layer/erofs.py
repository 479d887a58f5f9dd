# SPDX-License-Identifier: Apache-2.0
"""The index of an image: one EROFS image without file data, which lies in the layers' tars, its devices.

``mount -t erofs -o device=TAR1,device=TAR2 INDEX DIR`` shows the tree that unpacking the layers one on the other
gives: whiteouts applied, directories that a layer does not describe left as the layers below have them, links inside
the root followed (see ``resolve``). Needs a kernel that mounts EROFS with blocks of 512 bytes: 6.4, and 6.12 to do it
from plain files.
"""

from __future__ import annotations

import os

from scow.layer.changeset import LayerError
from scow.layer.chunks import lay_out
from scow.layer.erofsformat import CHUNKED, FT_CHAR, FT_DIRECTORY, FT_REGULAR, MAX_DEVICES, describe, xattr_area
from scow.layer.erofsimage import Device, Image, pack_entries, with_dots
from scow.layer.merge import Merger
from scow.layer.names import show
from scow.layer.tarformat import CHAR, DIRECTORY, TarEntry
from scow.layer.toc import KIND_LINK, KIND_SPARSE, read_footer, read_records, sparse_parts
from scow.layer.whiteout import OPAQUE_XATTR
from scow.linux.syscalls import explain
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.layer.merge import Directory


class Source(NamedTuple):
    """One layer of an index.

    Attributes:
        tar: Path of its uncompressed tar.
        table: Path of its table of contents.
    """

    tar: str
    table: str


class Index(NamedTuple):
    """What was written.

    Attributes:
        size: Bytes of the index.
        entries: Entries of all layers, those that upper layers hide included.
        root: Inode of the root directory.
    """

    size: int
    entries: int
    root: bytes


def write_index(layers: Sequence[Source], path: str, *, overlay: bool = False) -> Index:
    """Write the index of a stack of layers.

    Args:
        layers: The lowest first.
        path: Where to; created or overwritten, not synchronised to disk.
        overlay: Keep whiteouts, in overlayfs's form, so that the mount can lie on something else. Without it nothing
            is below, and they have done their work when the index is written.

    Raises:
        LayerError: The layers do not fit together, such as a hard link to nothing.
        CorruptError: A table is damaged.
        ScowError: A file cannot be read or written.

    Cost: reads the tables, writes about 130 bytes an entry, keeps about 150 in memory.
    """
    if len(layers) > MAX_DEVICES:
        raise LayerError(f"an image of {len(layers)} layers cannot be mounted")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explain(error, f"cannot write {path!r}") from error
    try:
        return _Writer(fd, layers, overlay=overlay).run()
    except OSError as error:
        raise explain(error, f"cannot write the index {path!r}") from error
    finally:
        os.close(fd)


class _Writer:
    """One index being written."""

    def __init__(self, fd: int, layers: Sequence[Source], *, overlay: bool) -> None:
        self._layers = layers
        self._overlay = overlay
        self._devices = []
        self._entries = 0
        for layer in layers:
            with open(layer.table, "rb") as file:
                footer = read_footer(file)
            self._devices.append(Device(footer.diff_id.encoded.encode()[:64], footer.size))
            self._entries += footer.entries
        self._image = Image(fd, self._devices)
        self._whiteout = -1
        default = describe(TarEntry(b"", DIRECTORY, 0o755), b"")
        self._merger = Merger(default, self._image.target, overlay=overlay)

    def run(self) -> Index:
        for number, layer in enumerate(self._layers, 1):
            self._merge(layer, number)
        for node, count in self._merger.links.items():
            if count > 1:
                self._image.set_links(node, count)
        self._directories()
        from hashlib import sha256

        uuid = sha256(b"".join(device.tag for device in self._devices)).digest()[:16]
        return Index(self._image.close(uuid), self._entries, self._merger.root.inode)

    def _merge(self, layer: Source, number: int) -> None:
        merger, add = self._merger, self._image.add
        insert = merger.insert
        device = number.to_bytes(2, "little")
        with open(layer.table, "rb", buffering=256 * 1024) as file:
            merger.begin()
            markers = read_footer(file).markers
            if markers:
                for kind, name, _ in read_records(file):
                    if kind >= 64:
                        merger.mark(kind, name)
                file.seek(0)
            for kind, name, body in read_records(file):
                if kind == FT_REGULAR:
                    if body[0] == CHUNKED and number != 1:
                        body = body[:-6] + device + body[-4:]
                    insert(name, add(body, kind))
                elif kind == FT_DIRECTORY:
                    merger.directory(name, body)
                elif kind < 64:
                    insert(name, add(body, kind))
                else:
                    self._rarely(layer, number, kind, name, body)
            if markers and self._overlay:
                file.seek(0)
                for kind, name, _ in read_records(file):
                    if kind >= 64:
                        self._hide(kind, name)

    def _rarely(self, layer: Source, number: int, kind: int, name: bytes, body: bytes) -> None:
        if kind == KIND_LINK:
            self._merger.link(name, body)
        elif kind == KIND_SPARSE:
            inode, parts = sparse_parts(body)
            layout = lay_out(int.from_bytes(inode[8:16], "little"), parts, number, show(name))
            tar = os.open(layer.tar, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._merger.insert(name, self._image.add_sparse(inode, FT_REGULAR, layout, tar))
            finally:
                os.close(tar)
        else:
            self._merger.touch(kind, name)

    def _hide(self, kind: int, name: bytes) -> None:
        """A marker of a layer that lies on something else."""
        if self._whiteout < 0:
            self._whiteout = self._image.add(describe(TarEntry(b"", CHAR, 0), b""), FT_CHAR)
        self._merger.hide(kind, name, self._whiteout)

    def _directories(self) -> None:
        """Give every directory its place, then write them."""
        image = self._image
        root = self._merger.root
        placed: list[tuple[Directory, list[bytes], tuple[int, int, int, int], Directory]] = []
        left = [(root, root)]
        while left:
            directory, above = left.pop()
            if directory.opaque:
                directory.inode = _with_opaque(directory.inode)
            names = with_dots(list(directory.children))
            place = image.place_directory(names, len(directory.inode) - 64, root=directory is root)
            directory.node = place[0]
            placed.append((directory, names, place, above))
            left.extend((child, directory) for child in directory.directories())
        image.root = root.node >> 3
        for directory, names, place, above in placed:
            nodes, below = directory.nodes()
            nodes[b"."], nodes[b".."] = directory.node, above.node
            image.write_directory(place, directory.inode, pack_entries(names, nodes), 2 + below)
            directory.children.clear()


def _with_opaque(inode: bytes) -> bytes:
    area = inode[64:]
    more = xattr_area(((OPAQUE_XATTR, b"y"),))
    area = area + more[12:] if area else more
    count = (len(area) - 12) // 4 + 1
    return inode[:2] + count.to_bytes(2, "little") + inode[4:64] + area
