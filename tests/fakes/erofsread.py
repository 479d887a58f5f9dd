# SPDX-License-Identifier: Apache-2.0
"""Reads an EROFS image as the kernel would, in the simplest way, so that indexes are checked without root."""

from __future__ import annotations

import struct
from typing import NamedTuple

BLOCK = 512
_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}


class Node(NamedTuple):
    nid: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    nlink: int
    rdev: int
    size: int
    data: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]


class Image:
    """An image and its devices.

    Args:
        image: Its bytes.
        devices: The bytes of the tars.
    """

    def __init__(self, image: bytes, devices: list[bytes]) -> None:
        self.image = image
        self.devices = [image, *devices]
        (magic, _, compat, bits, slots, root, inodes, _, _, blocks, meta) = struct.unpack_from(
            "<IIIBBHQQIII", image, 1024
        )
        incompat, _, extra, slot_offset = struct.unpack_from("<IHHH", image, 1024 + 80)
        assert magic == 0xE0F5E1E2
        assert (bits, slots, compat, incompat) == (9, 0, 2, 12)
        assert extra == len(devices)
        assert blocks * BLOCK == len(image)
        self.tags = []
        for number, device in enumerate(devices):
            tag, size, mapped = struct.unpack_from("<64sII", image, (slot_offset + number) * 128)
            assert size == -(-len(device) // BLOCK)
            assert mapped == 0
            self.tags.append(tag.rstrip(b"\0"))
        self.meta = meta * BLOCK
        self.root = root
        self.inodes = inodes

    def tree(self) -> dict[bytes, Node]:
        """Everything by name, the root as ``b""``."""
        found: dict[bytes, Node] = {}
        seen = set()
        left = [(b"", self.root, self.root)]
        while left:
            name, nid, parent = left.pop()
            node = self.node(nid)
            found[name] = node
            seen.add(nid)
            if node.mode & 0o170000 != 0o040000:
                continue
            entries = self.entries(node.data)
            names = [entry[0] for entry in entries]
            assert names == sorted(names), "entries must be sorted"
            assert len(set(names)) == len(names)
            table = {base: (child, kind) for base, child, kind in entries}
            assert table.pop(b".") == (nid, 2)
            assert table.pop(b"..") == (parent, 2)
            for base, (child, kind) in table.items():
                mode = self.node(child).mode & 0o170000
                expected = {0o100000: 1, 0o040000: 2, 0o020000: 3, 0o060000: 4, 0o010000: 5, 0o120000: 7}
                assert kind == expected[mode]
                left.append((name + b"/" + base if name else base, child, nid))
        assert len(seen) <= self.inodes
        return found

    def entries(self, data: bytes) -> list[tuple[bytes, int, int]]:
        result = []
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK]
            count = struct.unpack_from("<H", block, 8)[0] // 12
            heads = [struct.unpack_from("<QHB", block, 12 * index) for index in range(count)]
            ends = [head[1] for head in heads[1:]] + [len(block)]
            for (nid, offset, kind), end in zip(heads, ends, strict=True):
                result.append((block[offset:end].rstrip(b"\0"), nid, kind))
        return result

    def node(self, nid: int) -> Node:
        position = self.meta + nid * 32
        (layout, count, mode, _, size, union, _, uid, gid, seconds, nanoseconds, nlink) = struct.unpack_from(
            "<HHHHQIIIIqII", self.image, position
        )
        assert layout & 1, "extended inodes only"
        assert position % BLOCK + 64 <= BLOCK, "an inode crosses a block"
        area = 12 + 4 * (count - 1) if count else 0
        after = position + 64 + area
        data = b""
        kind = mode & 0o170000
        if kind in (0o100000, 0o040000, 0o120000):
            data = self.content(layout >> 1, size, union, after)
        return Node(
            nid,
            mode,
            uid,
            gid,
            seconds * 10**9 + nanoseconds,
            nlink,
            union if kind in (0o020000, 0o060000) else 0,
            size,
            data,
            self.xattrs(position + 64, area),
        )

    def content(self, layout: int, size: int, union: int, after: int) -> bytes:
        if layout == 0:
            return self.image[union * BLOCK : union * BLOCK + size]
        if layout == 2:
            tail = size % BLOCK or (BLOCK if size else 0)
            assert after % BLOCK + tail <= BLOCK, "data behind an inode crosses a block"
            return self.image[union * BLOCK : union * BLOCK + size - tail] + self.image[after : after + tail]
        assert layout == 4
        assert union & 0x20
        chunk = 1 << (9 + (union & 0x1F))
        after = -(-after // 8) * 8
        parts = []
        for index in range(-(-size // chunk)):
            high, device, block = struct.unpack_from("<HHI", self.image, after + 8 * index)
            assert high == 0
            length = min(chunk, size - index * chunk)
            if block == 0xFFFFFFFF:
                parts.append(bytes(length))
            else:
                piece = self.devices[device][block * BLOCK : block * BLOCK + length]
                assert len(piece) == length, "a chunk lies outside its device"
                parts.append(piece)
        return b"".join(parts)

    def xattrs(self, start: int, area: int) -> tuple[tuple[bytes, bytes], ...]:
        pairs = []
        position = start + 12
        while position < start + area:
            length, index, size = struct.unpack_from("<BBH", self.image, position)
            name = self.image[position + 4 : position + 4 + length]
            value = self.image[position + 4 + length : position + 4 + length + size]
            pairs.append((_PREFIXES[index] + name, value))
            position += -(-(4 + length + size) // 4) * 4
        return tuple(sorted(pairs))
