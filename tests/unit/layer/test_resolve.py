# SPDX-License-Identifier: Apache-2.0
"""Links in the path of an entry's directory: followed inside the root, refused where they lead out."""

from __future__ import annotations

import pytest

from scow.layer.changeset import LayerError
from scow.layer.resolve import Look, resolve

TREE: dict[bytes, bytes | int] = {
    b"usr": Look.DIRECTORY,
    b"usr/bin": Look.DIRECTORY,
    b"bin": b"usr/bin",
    b"run": Look.DIRECTORY,
    b"var": Look.DIRECTORY,
    b"var/run": b"/run",
    b"var/up": b"../usr",
    b"two": b"bin",
    b"loop": b"pool",
    b"pool": b"loop",
    b"self": b"self",
    b"root": b"/",
    b"dangling": b"/tmp/outside",
    b"climb": b"../../../etc",
    b"file": Look.OTHER,
    b"tofile": b"file",
}


def look(path: bytes) -> bytes | int:
    return TREE.get(path, Look.MISSING)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        (b"usr/bin", b"usr/bin"),
        (b"bin", b"usr/bin"),
        (b"bin/new/deep", b"usr/bin/new/deep"),
        (b"var/run", b"run"),
        (b"var/run/x", b"run/x"),
        (b"var/up/bin", b"usr/bin"),
        (b"two", b"usr/bin"),
        (b"root", b""),
        (b"root/usr", b"usr"),
        (b"root/root/bin", b"usr/bin"),
        (b"new", b"new"),
        (b"", b""),
    ],
)
def test_links_are_followed_inside_the_root(path: bytes, real: bytes) -> None:
    assert resolve(path, look, b"entry") == real


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (b"climb", "climbs out"),
        (b"climb/x", "climbs out"),
        (b"loop", "circles"),
        (b"self/x", "circles"),
        (b"dangling", "'/tmp', where the image has no directory"),
        (b"dangling/x", "no directory"),
        (b"file/x", "not a directory"),
        (b"tofile", "not a directory"),
    ],
)
def test_links_that_lead_out_or_nowhere_are_refused(path: bytes, words: str) -> None:
    with pytest.raises(LayerError) as caught:
        resolve(path, look, b"the/entry")
    assert words in caught.value.message
    assert "'the/entry'" in caught.value.message


def test_missing_directories_are_reported_when_a_parent_may_have_them() -> None:
    missing: list[bytes] = []
    assert resolve(b"dangling/x", look, b"e", missing.append) == b"tmp/outside/x"
    assert missing == [b"tmp", b"tmp/outside"]
