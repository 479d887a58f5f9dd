# SPDX-License-Identifier: Apache-2.0
"""What errno means, extended attributes, and copying inside the kernel."""

from __future__ import annotations

import errno
import os

import pytest

from scow.errors import (
    ConflictError,
    DeniedError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from scow.linux import reflink, xattr
from scow.linux.syscalls import explain


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, DeniedError),
        (errno.EROFS, DeniedError),
        (errno.ENOENT, NotFoundError),
        (errno.EEXIST, ConflictError),
        (errno.ENOSPC, UnavailableError),
        (errno.ENAMETOOLONG, LimitError),
        (errno.EOPNOTSUPP, UnsupportedError),
        (errno.ELOOP, InvalidArgumentError),
        (errno.EIO, UnavailableError),
    ],
)
def test_numbers_become_kinds(number: int, kind: type) -> None:
    found = explain(OSError(number, "x"), "cannot do it")
    assert type(found) is kind
    assert found.message == f"cannot do it: {os.strerror(number)}"


def test_a_full_disk_says_what_helps() -> None:
    assert "prune" in explain(OSError(errno.ENOSPC, "x"), "cannot write").hint


def test_attributes_are_those_of_the_entry_itself(tmp_path) -> None:
    path, link = tmp_path / "f", tmp_path / "l"
    path.write_bytes(b"")
    link.symlink_to("f")
    xattr.set_(str(path), "user.a", b"1")
    assert xattr.names(str(path)) == ["user.a"]
    assert xattr.names(str(link)) == []
    assert xattr.get(str(link), "user.a") is None
    with open(path, "rb") as stream:
        assert xattr.get(stream.fileno(), "user.a") == b"1"
        xattr.set_(stream.fileno(), b"user.b", b"2")
    xattr.remove(str(path), "user.a")
    xattr.remove(str(path), "user.a")
    assert xattr.names(str(path)) == ["user.b"]
    with pytest.raises(FileNotFoundError):
        xattr.get(str(tmp_path / "missing"), "user.a")


@pytest.mark.parametrize("hole", [0, 1 << 20])
def test_copies_are_equal_and_keep_holes(tmp_path, hole: int) -> None:
    size = 300_000 + hole
    with open(tmp_path / "a", "wb") as stream:
        stream.write(b"x" * 100_000)
        stream.seek(hole, 1)
        stream.write(b"y" * 100_000)
        stream.truncate(size)
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb") as target:
        reflink.copy(source.fileno(), target.fileno(), size)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert os.stat(tmp_path / "b").st_blocks * 512 <= 250_000


def test_a_range_ends_with_its_source(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "w+b") as target:
        reflink.copy_range(source.fileno(), target.fileno(), 4, 100)
        assert target.read() == b"\0\0\0\x00456789"
