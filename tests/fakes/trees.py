# SPDX-License-Identifier: Apache-2.0
"""File trees for tests: random ones with every kind of entry, pictures of them to compare, and mounts of indexes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
_SIZES = (0, 1, 511, 512, 513, 4095, 4096, 5000, 70_000, 300_000)


class Seen(NamedTuple):
    """What is compared of an entry."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    content: str
    rdev: int
    xattrs: tuple[tuple[str, bytes], ...]
    links: tuple[bytes, ...]
    """Every name of the same inode, for files."""


def picture(root: str | bytes, *, xattrs: bool = True, links: bool = True) -> dict[bytes, Seen]:
    """Everything in a tree by name, the root as ``b""``."""
    top = os.fsencode(root)
    inodes: dict[tuple[int, int], list[bytes]] = {}
    found: dict[bytes, tuple[bytes, os.stat_result]] = {}

    def visit(name: bytes, path: bytes) -> None:
        status = os.lstat(path)
        found[name] = path, status
        if stat.S_ISDIR(status.st_mode):
            for base in os.listdir(path):
                visit(name + b"/" + base if name else base, path + b"/" + base)
        else:
            inodes.setdefault((status.st_dev, status.st_ino), []).append(name)

    visit(b"", top)
    result = {}
    for name, (path, status) in found.items():
        kind = stat.S_IFMT(status.st_mode)
        content = ""
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        elif kind == stat.S_IFLNK:
            content = os.readlink(path).hex()
        directory = kind == stat.S_IFDIR
        names = () if directory else tuple(sorted(inodes[status.st_dev, status.st_ino]))
        if links and not directory:
            assert status.st_nlink == len(names), (name, status.st_nlink, names)
        attributes = ()
        if xattrs:
            attributes = tuple(
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in sorted(os.listxattr(path, follow_symlinks=False))
                if not key.startswith("trusted.overlay.")
            )
        result[name] = Seen(
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            0 if directory else status.st_size,
            content,
            status.st_rdev,
            attributes,
            names,
        )
    return result


def differences(one: dict[bytes, Seen], other: dict[bytes, Seen]) -> list[str]:
    """What two pictures do not share, in words."""
    lines = [f"only in the first: {name!r}" for name in sorted(one.keys() - other.keys())]
    lines += [f"only in the second: {name!r}" for name in sorted(other.keys() - one.keys())]
    for name in sorted(one.keys() & other.keys()):
        for field, a, b in zip(Seen._fields, one[name], other[name], strict=True):
            if a != b:
                lines.append(f"{name!r}: {field} {a!r} != {b!r}")
    return lines


def random_name(random: Random) -> bytes:
    """A name that has, now and then, something awkward about it."""
    choice = random.randrange(12)
    if choice == 0:
        return bytes(random.choice([b for b in range(1, 256) if b != 0x2F]) for _ in range(random.randrange(1, 40)))
    if choice == 1:
        return b"n" * random.choice((99, 100, 101, 155, 156, 254)) + b"%d" % random.randrange(10)
    if choice == 2:
        return "naïve-日本語-\N{SNOWMAN}".encode() + b"%d" % random.randrange(1000)
    if choice == 3:
        return random.choice((b"...", b" ", b"a b", b"\\", b"-x", b".hidden", b"a\nb", b'"', b"*", b"a=b", b"%41"))
    return b"e%d" % random.randrange(10_000)


def make_tree(root: str, random: Random, count: int = 40, *, special: bool = True) -> None:
    """Fill a directory with random entries of every kind; needs root for owners and devices."""
    directories = [os.fsencode(root)]
    files: list[bytes] = []
    for _ in range(count):
        parent = random.choice(directories[-6:])
        path = parent + b"/" + random_name(random)
        if os.path.lexists(path) or len(path) > 3000 or path.endswith((b"/.", b"/..")):
            continue
        choice = random.randrange(10 if special else 6)
        if choice < 2:
            os.mkdir(path)
            directories.append(path)
        elif choice < 4:
            _make_file(path, random)
            files.append(path)
        elif choice == 4:
            length = random.choice((1, 20, 99, 100, 101, 440, 448, 449, 600, 3000))
            os.symlink(b"/".join([b"t" * 40] * 100)[:length], path)
        elif choice == 5 and files:
            os.link(random.choice(files), path)
            continue
        elif choice == 6:
            os.mkfifo(path)
        elif choice == 7:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(random.randrange(1, 4096), random.randrange(1 << 20)))
        elif choice == 8:
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(random.randrange(1, 300), random.randrange(300)))
        else:
            os.symlink(random.choice((b"..", b"/", b".", b"../../../x", b"e1")), path)
        _describe(path, random)
    for path in [*files, *reversed(directories)]:
        time = random.choice(
            (
                1_000_000_000,
                1_000_000_001,
                1_700_000_000_123_456_789,
                1_700_000_000_000_000_000,
                5_000_000_000_500_000_000,
            )
        )
        os.utime(path, ns=(time, time))


def _make_file(path: bytes, random: Random) -> None:
    with open(path, "wb") as file:
        if random.randrange(4) == 0:
            for _ in range(random.randrange(1, 5)):
                file.seek(random.choice((4096, 65536, 1_000_000)) * random.randrange(1, 3), 1)
                file.write(random.randbytes(random.choice((1, 4096, 8192, 10_000))))
            if random.randrange(2):
                file.truncate(file.tell() + random.choice((1, 4096, 100_000)))
        else:
            file.write(random.randbytes(random.choice(_SIZES)))


def _describe(path: bytes, random: Random) -> None:
    status = os.lstat(path)
    big = random.randrange(8) == 0
    os.chown(path, 3_000_000_000 if big else random.randrange(3000), random.randrange(3000), follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, random.choice((0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o000, 0o6711)))
    if stat.S_ISREG(status.st_mode) and random.randrange(4) == 0:
        os.setxattr(path, "user.note", random.randbytes(random.randrange(1, 300)))
        os.setxattr(path, "security.capability", CAPABILITY)
    if stat.S_ISDIR(status.st_mode) and random.randrange(6) == 0:
        os.setxattr(path, "user.dir", b"x" * random.choice((1, 500)))
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        time = random.choice((7_000_000_007, 1_600_000_000_987_654_321))
        os.utime(path, ns=(time, time), follow_symlinks=False)


def make_socket(path: str) -> None:
    """Leave a socket in a tree."""
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(os.path.dirname(path))
        try:
            server.bind(os.path.basename(path))
        finally:
            os.chdir(here)


def write_index(tars: Sequence[str], directory: str, *, overlay: bool = False) -> str:
    """Read tars, the lowest first, and write their index."""
    from scow.layer.erofs import Source, write_index
    from scow.layer.toc import scan, scan_file
    from scow.oci.digest import DiffID, Digest

    sources = []
    for number, tar in enumerate(tars):
        table = f"{directory}/{number}.toc"
        with open(tar, "rb") as file, open(table, "wb") as out:
            if os.fstat(file.fileno()).st_size > 1 << 30:  # whose digest would take long, and matters to nobody here
                scan_file(file, DiffID(Digest("sha256:" + "0" * 64)), out)
            else:
                scan(file, out)
        sources.append(Source(tar, table))
    path = f"{directory}/index"
    write_index(sources, path, overlay=overlay)
    return path


@contextlib.contextmanager
def mounted(tars: Sequence[str], directory: str, *, overlay: bool = False) -> Iterator[str]:
    """Mount the index of tars; needs root and a kernel that can, else the test is skipped."""
    import pytest

    from scow.errors import ScowError
    from scow.linux.mount import Mount, mount_all, umount

    index = write_index(tars, directory, overlay=overlay)
    target = f"{directory}/mounted"
    os.makedirs(target, exist_ok=True)
    try:
        mount_all([Mount("erofs", index, "", ("ro", *(f"device={tar}" for tar in tars)))], target)
    except ScowError as error:
        with open("/proc/filesystems") as file:
            if "erofs" in file.read():
                raise
        pytest.skip(f"this kernel cannot mount EROFS: {error}")
    try:
        yield target
    finally:
        umount(target)


@contextlib.contextmanager
def stacked(directories: Sequence[str], target: str) -> Iterator[str]:
    """Mount overlay directories, the lowest first, read-only; needs root."""
    from scow.linux.mount import Mount, mount_all, umount

    os.makedirs(target, exist_ok=True)
    empty = target + ".empty"
    os.makedirs(empty, exist_ok=True)
    lowers = [*reversed(directories), empty] if len(directories) == 1 else list(reversed(directories))
    mount_all([Mount("overlay", "overlay", "", ("ro", *(f"lowerdir+={path}" for path in lowers)))], target)
    try:
        yield target
    finally:
        umount(target)
