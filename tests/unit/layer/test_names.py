# SPDX-License-Identifier: Apache-2.0
"""Names: made plain, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.layer.changeset import LayerError
from scow.layer.names import clean, show


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        (b"a", b"a"),
        (b"a/", b"a"),
        (b"a//", b"a"),
        (b"./a", b"a"),
        (b"././a//b/.", b"a/b"),
        (b"/a/b", b"a/b"),
        (b"//a", b"a"),
        (b"a/../b", b"b"),
        (b"a/./b", b"a/b"),
        (b".", b""),
        (b"./", b""),
        (b"/", b""),
        (b"", b""),
        (b"a/..", b""),
        (b".hidden", b".hidden"),
        (b"a..b", b"a..b"),
        (b"...", b"..."),
        (b"a/...", b"a/..."),
        (b"x./y", b"x./y"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"./../a/../../b"[2:], None),
        (b"..", None),
        (b"../etc/passwd", None),
        (b"a/../../etc", None),
        (b"/..", None),
        (b"./..", None),
        (b"a/b/../../..", None),
        (b"n" * 256, None),
        (b".wh." + b"n" * 255, b".wh." + b"n" * 255),
        (b".wh." + b"n" * 256, None),
        (b"n" * 255, b"n" * 255),
        (b"/".join([b"n" * 200] * 21), None),
    ],
)
def test_names_are_cleaned_or_refused(name: bytes, cleaned: bytes | None) -> None:
    if cleaned is None:
        with pytest.raises(LayerError):
            clean(name)
    else:
        assert clean(name) == cleaned


@given(st.lists(st.sampled_from([b"a", b"b", b"..", b".", b"", b"c.", b".d"]), max_size=8).map(b"/".join))
def test_clean_walks_as_a_file_system_without_links_does(name: bytes) -> None:
    parts: list[bytes] = []
    climbs = False
    for part in name.split(b"/"):
        if part == b"..":
            climbs = climbs or not parts
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    if climbs:
        with pytest.raises(LayerError) as caught:
            clean(name)
        assert "climbs out" in caught.value.message
        assert show(name) in caught.value.message
    else:
        assert clean(name) == b"/".join(parts)


def test_messages_show_names_cut_and_printable() -> None:
    assert show(b"\xff") == "'\\\\xff'"
    assert len(show(b"x" * 5000)) < 210
