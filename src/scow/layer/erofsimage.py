# SPDX-License-Identifier: Apache-2.0
"""Writing an EROFS image from front to back: inodes as they come, directories at the end.

    0       zeros
    1024    superblock, then one slot for each device
    meta    the root's inode, in a room of its own (its number must be small)
            inodes of everything that is not a directory, link targets and chunk tables behind them
            assembled chunks of sparse files and long link targets, on blocks of their own, between them
            inodes of directories, the last part of their entries behind them, then the blocks of the larger ones

What is written stays; only link counts and the superblock are filled in at the end.
"""

from __future__ import annotations

import os

from scow.errors import LimitError
from scow.layer.erofsformat import (
    BLOCK,
    BLOCK_BITS,
    CHUNK,
    CHUNKED,
    DEVICE_SIZE,
    DIRENT,
    FT_DIRECTORY,
    INLINE,
    INODE_SIZE,
    PLAIN,
    SLOT_BITS,
    SUPER_OFFSET,
    SUPER_SIZE,
    chunk_format,
    device_slot,
    superblock,
)
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scow.layer.chunks import Layout

_ROOT_ROOM = 8 * BLOCK
_BUFFER = 256 * 1024
_DOTS = (b".", b"..")
_HEAD = DIRENT.size
NODE_BITS = 3
"""A node is an inode's number times eight, plus the file type of its directory entry."""


class Device(NamedTuple):
    """One tar.

    Attributes:
        tag: Up to 64 bytes, for people: the hexadecimal DiffID.
        size: Bytes.
    """

    tag: bytes
    size: int


class Image:
    """An image being written.

    Args:
        fd: An empty file, open for writing.
        devices: The tars, the first is device 1.
    """

    def __init__(self, fd: int, devices: Sequence[Device]) -> None:
        self._fd = fd
        self._devices = devices
        head = SUPER_OFFSET + SUPER_SIZE + DEVICE_SIZE * len(devices)
        self._meta = -(-head // BLOCK) * BLOCK
        self._parts: list[bytes] = []
        self._base = self._position = self._meta + _ROOT_ROOM  # of the first unwritten byte; of the next one
        self._inodes = 1
        self.root = 0

    def add(self, inode: bytes, kind: int) -> int:
        """Write an inode with what belongs behind it.

        Args:
            inode: As ``erofsformat.describe`` makes it.
            kind: File type of its directory entries.

        Returns:
            Its node.
        """
        position = self._position
        start = -(-position // 32) * 32
        length = len(inode)
        room = BLOCK - start % BLOCK
        if room < length and (inode[0] == INLINE or room < INODE_SIZE):
            # Neither an inode nor data kept behind it may cross a block.
            if length > BLOCK and inode[0] == INLINE:
                return self._add_long(inode, kind)
            start += room
        if start != position:
            self._parts.append(bytes(start - position))
        self._parts.append(inode)
        self._position = start + length
        self._inodes += 1
        if self._position - self._base > _BUFFER:
            self._flush()
        return (start - self._meta) >> SLOT_BITS << NODE_BITS | kind

    def _add_long(self, inode: bytes, kind: int) -> int:
        """A link whose target needs blocks of its own."""
        size = int.from_bytes(inode[8:16], "little")
        target = inode[len(inode) - size :]
        block = self._blocks(len(target))
        self._write(block << BLOCK_BITS, target)
        head = PLAIN.to_bytes(2, "little") + inode[2:16] + block.to_bytes(4, "little") + inode[20 : len(inode) - size]
        return self.add(head, kind)

    def add_sparse(self, inode: bytes, kind: int, layout: Layout, tar: int) -> int:
        """Write the inode of a sparse file, its chunk table, and the chunks put together from parts.

        Args:
            inode: With its attributes.
            kind: File type of its directory entries.
            layout: Its chunks.
            tar: The open tar.

        Returns:
            Its node.
        """
        table = layout.table
        if layout.size:
            first = self._blocks(layout.size)
            table = b"".join(
                CHUNK.pack(high, device, block + first if not device and block != 0xFFFFFFFF else block)
                for high, device, block in CHUNK.iter_unpack(table)
            )
            for offset, place, length in layout.assembled:
                self._copy(tar, place, (first << BLOCK_BITS) + offset, length)
        union = chunk_format(layout.bits)
        head = CHUNKED.to_bytes(2, "little") + inode[2:16] + union.to_bytes(4, "little") + inode[20:]
        return self.add(head + bytes(-len(head) % 8) + table, kind)

    def target(self, node: int) -> bytes:
        """Read back what a symbolic link that was written leads to."""
        self._flush()
        position = self._meta + (node >> NODE_BITS << SLOT_BITS)
        inode = os.pread(self._fd, INODE_SIZE, position)
        size = int.from_bytes(inode[8:16], "little")
        if inode[0] == PLAIN:
            return os.pread(self._fd, size, int.from_bytes(inode[16:20], "little") << BLOCK_BITS)
        count = int.from_bytes(inode[2:4], "little")
        return os.pread(self._fd, size, position + INODE_SIZE + (12 + 4 * (count - 1) if count else 0))

    def set_links(self, node: int, count: int) -> None:
        """Correct the link count of an inode that was written with 1."""
        self._flush()
        position = self._meta + (node >> NODE_BITS << SLOT_BITS) + 44
        self._write(position, count.to_bytes(4, "little"))

    def place_directory(self, names: Sequence[bytes], area: int, *, root: bool = False) -> tuple[int, int, int, int]:
        """Find room for a directory.

        Args:
            names: Its entries' names, sorted, with ``.`` and ``..``.
            area: Bytes of its attributes.
            root: It is the root.

        Returns:
            Its node, its size, the bytes that go behind its inode, and the first block of the rest.

        Raises:
            LimitError: The root's attributes are too large.
        """
        size, tail = _measure(names)
        head = INODE_SIZE + area
        inline = tail if head + tail <= BLOCK else 0
        if root:
            if head > _ROOT_ROOM:
                raise LimitError(f"the root directory has more than {_ROOT_ROOM} bytes of extended attributes")
            start = self._meta
        else:
            start = -(-self._position // 32) * 32
            room = BLOCK - start % BLOCK
            if room < INODE_SIZE or (inline and room < head + inline):
                start += room
            self._skip_to(start + head + inline)
            self._inodes += 1
        block = self._blocks(size - inline) if size > inline else 0
        return (start - self._meta) >> SLOT_BITS << NODE_BITS | FT_DIRECTORY, size, inline, block

    def write_directory(self, place: tuple[int, int, int, int], inode: bytes, data: bytes, links: int) -> None:
        """Write a directory where :meth:`place_directory` found room.

        Args:
            place: Its answer.
            inode: With its attributes.
            data: Its entries, see :func:`pack_entries`.
            links: Its link count.
        """
        node, size, inline, block = place
        head = b"".join(
            (
                (INLINE if inline else PLAIN).to_bytes(2, "little"),
                inode[2:8],
                size.to_bytes(8, "little"),
                block.to_bytes(4, "little"),
                inode[20:44],
                links.to_bytes(4, "little"),
                inode[48:],
                data[size - inline :],
            )
        )
        self._write(self._meta + (node >> NODE_BITS << SLOT_BITS), head)
        if size > inline:
            self._write(block << BLOCK_BITS, data[: size - inline])

    def close(self, uuid: bytes) -> int:
        """Write the superblock and the devices.

        Args:
            uuid: 16 bytes.

        Returns:
            Bytes of the image.
        """
        self._skip_to(-(-self._position // BLOCK) * BLOCK)
        self._flush()
        head = superblock(
            root=self.root,
            inodes=self._inodes,
            blocks=self._position >> BLOCK_BITS,
            meta=self._meta >> BLOCK_BITS,
            uuid=uuid,
            devices=len(self._devices),
        )
        slots = b"".join(device_slot(device.tag, -(-device.size // BLOCK)) for device in self._devices)
        self._write(SUPER_OFFSET, head + slots)
        os.ftruncate(self._fd, self._position)
        return self._position

    def _blocks(self, size: int) -> int:
        """Reserve whole blocks and say which is the first."""
        start = -(-self._position // BLOCK) * BLOCK
        self._skip_to(start + -(-size // BLOCK) * BLOCK)
        return start >> BLOCK_BITS

    def _skip_to(self, position: int) -> None:
        """Leave room; what is not written there reads as zeros and takes no space."""
        self._flush()
        self._base = self._position = position
        if position >> BLOCK_BITS >= 0xFFFFFFFF:
            raise LimitError("the index of the layers is larger than 2 TiB")

    def _flush(self) -> None:
        if self._parts:
            self._write(self._base, b"".join(self._parts))
            self._parts.clear()
        self._base = self._position

    def _write(self, position: int, data: bytes) -> None:
        done = os.pwrite(self._fd, data, position)
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], position + done)

    def _copy(self, tar: int, source: int, target: int, length: int) -> None:
        while length:
            data = os.pread(tar, min(length, _BUFFER), source)
            if not data:
                return
            self._write(target, data)
            source, target, length = source + len(data), target + len(data), length - len(data)


def _measure(names: Sequence[bytes]) -> tuple[int, int]:
    """How large a directory's data is, and how much of that is its last block's."""
    full = used = 0
    for name in names:
        need = _HEAD + len(name)
        if used + need > BLOCK:
            full += BLOCK
            used = 0
        used += need
    return full + used, used


def pack_entries(names: Sequence[bytes], nodes: Mapping[bytes, int]) -> bytes:
    """A directory's data: blocks of entries, each followed by their names.

    Args:
        names: Sorted, with ``.`` and ``..``.
        nodes: Their nodes.
    """
    blocks: list[bytes] = []
    start = used = 0
    for index, name in enumerate(names):
        need = _HEAD + len(name)
        if used + need > BLOCK:
            blocks.append(_pack_block(names[start:index], nodes).ljust(BLOCK, b"\0"))
            start, used = index, 0
        used += need
    blocks.append(_pack_block(names[start:], nodes))
    return b"".join(blocks)


def _pack_block(names: Sequence[bytes], nodes: Mapping[bytes, int]) -> bytes:
    pack = DIRENT.pack
    offset = _HEAD * len(names)
    heads = []
    for name in names:
        node = nodes[name]
        heads.append(pack(node >> NODE_BITS, offset, node & 7))
        offset += len(name)
    return b"".join((*heads, *names))


def with_dots(names: list[bytes]) -> list[bytes]:
    """A directory's names with its own two, in the order EROFS wants.

    Args:
        names: Sorted in place.
    """
    names += _DOTS
    names.sort()
    return names
