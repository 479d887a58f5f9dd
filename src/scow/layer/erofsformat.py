# SPDX-License-Identifier: Apache-2.0
"""The structures of the EROFS format that an index uses, as packed bytes; pure.

Blocks are 512 bytes, so that everything in a tar stream starts on one. Inodes are of the extended kind (64 bytes) with
their attributes behind them. A regular file has chunks; each is 8 bytes that say which device (1 is the first tar) and
which block of it. Source: kernel documentation, filesystems/erofs; fs/erofs/erofs_fs.h.
"""

from __future__ import annotations

import struct

from scow.layer.tarformat import BLOCKDEV, CHAR, DIRECTORY, FIFO, REGULAR, SYMLINK
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.layer.tarformat import Pairs, TarEntry

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
SLOT_BITS = 5
INODE_SIZE = 64
SUPER_OFFSET = 1024
SUPER_SIZE = 128
DEVICE_SIZE = 128
MAX_BLOCKS = 0xFFFFFFFF
"""A device has fewer blocks; as an address, this number is a hole."""
MAX_CHUNK_BITS = 40
MAX_DEVICES = 0xFFFF

FT_REGULAR, FT_DIRECTORY, FT_CHAR, FT_BLOCK, FT_FIFO, FT_SYMLINK = 1, 2, 3, 4, 5, 7
FILE_TYPES = {
    REGULAR: FT_REGULAR,
    DIRECTORY: FT_DIRECTORY,
    CHAR: FT_CHAR,
    BLOCKDEV: FT_BLOCK,
    FIFO: FT_FIFO,
    SYMLINK: FT_SYMLINK,
}
MODES = {REGULAR: 0o100000, DIRECTORY: 0o040000, CHAR: 0o020000, BLOCKDEV: 0o060000, FIFO: 0o010000, SYMLINK: 0o120000}

PLAIN, INLINE, CHUNKED = 0 << 1 | 1, 2 << 1 | 1, 4 << 1 | 1
"""Formats of an extended inode: data in blocks of its own, with its end behind the inode, in chunks."""
_CHUNK_INDEXES = 0x20

# format xattr_count mode reserved size union ino uid gid mtime mtime_nsec nlink
INODE = struct.Struct("<HHHHQIIIIqII16x")
CHUNK = struct.Struct("<HHI")
DIRENT = struct.Struct("<QHBx")
_SUPER = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_DEVICE = struct.Struct("<64sII56x")
_MAGIC = 0xE0F5E1E2
_CHUNKED_FILE, _DEVICE_TABLE = 0x4, 0x8
_COMPAT_MTIME = 0x2
HOLE = CHUNK.pack(0, 0, MAX_BLOCKS)

# Longest first. Source: erofs_fs.h, EROFS_XATTR_INDEX_*.
_PREFIXES = (
    (b"system.posix_acl_default", 3),
    (b"system.posix_acl_access", 2),
    (b"security.", 6),
    (b"trusted.", 4),
    (b"user.", 1),
)


def xattr_area(pairs: Pairs) -> bytes:
    """The attributes as they stand behind an inode; nothing when there are none.

    Args:
        pairs: Accepted ones, see ``whiteout.accepted``.
    """
    if not pairs:
        return b""
    parts = [bytes(12)]
    for name, value in pairs:
        for prefix, index in _PREFIXES:
            if name.startswith(prefix):
                rest = name[len(prefix) :]
                size = 4 + len(rest) + len(value)
                parts.append(struct.pack("<BBH", len(rest), index, len(value)) + rest + value + bytes(-size % 4))
                break
    return b"".join(parts)


def xattr_count(area: bytes) -> int:
    """What an inode says about the size of its attributes."""
    return (len(area) - 12) // 4 + 1 if area else 0


def chunk_format(chunk_bits: int) -> int:
    """What an inode says about its chunks."""
    return _CHUNK_INDEXES | (chunk_bits - BLOCK_BITS)


def encode_device(major: int, minor: int) -> int:
    """A device number as the kernel packs it into 32 bits. Source: include/linux/kdev_t.h."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def describe(entry: TarEntry, area: bytes) -> bytes:
    """An entry's inode, attributes and, where it has them, link target or single chunk on device 1.

    Args:
        entry: No hard link. Holes are not looked at.
        area: Its attributes.

    Returns:
        Bytes to be put at a multiple of 32; the inode's format says ``INLINE`` for link targets.
    """
    kind = entry.type
    layout, union, size = PLAIN, 0, entry.size
    tail = b""
    if kind == REGULAR:
        if size:
            layout, union = CHUNKED, chunk_format(MAX_CHUNK_BITS)
            tail = single_chunk(entry, len(area))
    elif kind == SYMLINK:
        layout, size, tail = INLINE, len(entry.linkname), entry.linkname
    elif kind in (CHAR, BLOCKDEV):
        union = encode_device(entry.major, entry.minor)
    seconds, nanoseconds = divmod(entry.mtime_ns, 1_000_000_000)
    inode = INODE.pack(
        layout,
        xattr_count(area) if area else 0,
        MODES[kind] | (entry.mode if kind != SYMLINK else 0o777),
        0,
        size,
        union,
        0,
        entry.uid,
        entry.gid,
        seconds,
        nanoseconds,
        1,
    )
    return inode + area + tail if area else inode + tail


def single_chunk(entry: TarEntry, area: int) -> bytes:
    """The chunk of a file that lies in the tar as a whole."""
    chunk = CHUNK.pack(0, 1, entry.offset >> BLOCK_BITS)
    return bytes(-area % 8) + chunk if area else chunk


def superblock(*, root: int, inodes: int, blocks: int, meta: int, uuid: bytes, devices: int) -> bytes:
    """The superblock.

    Args:
        root: Number of the root inode, below 65536.
        inodes: How many there are.
        blocks: Of the whole image.
        meta: Block that inode numbers count from.
        uuid: 16 bytes.
        devices: How many there are besides the image itself.
    """
    return _SUPER.pack(
        _MAGIC,
        0,
        _COMPAT_MTIME,
        BLOCK_BITS,
        0,
        root,
        inodes,
        0,
        0,
        min(blocks, MAX_BLOCKS),
        meta,
        0,
        uuid,
        b"",
        _CHUNKED_FILE | _DEVICE_TABLE,
        0,
        devices,
        (SUPER_OFFSET + SUPER_SIZE) // DEVICE_SIZE,
        0,
        0,
        0,
        0,
    )


def device_slot(tag: bytes, blocks: int) -> bytes:
    """A device's row in the table behind the superblock.

    Args:
        tag: At most 64 bytes, for people.
        blocks: Its size.
    """
    return _DEVICE.pack(tag, blocks, 0)
