# SPDX-License-Identifier: Apache-2.0
"""What a set of layers leaves open."""

from __future__ import annotations

import io

import pytest

from conformance.snapshotter import Entry, directory, hard, layer, link
from scow.layer.erofs import Source
from scow.layer.toc import scan
from scow.snapshot.survey import Survey, survey


@pytest.fixture
def look(tmp_path):
    def run(*layers: bytes) -> Survey:
        sources = []
        for number, tar in enumerate(layers):
            path = tmp_path / f"table{number}"
            with open(path, "wb") as table:
                scan(io.BytesIO(tar), table)
            sources.append(Source("", str(path)))
        return survey(sources)

    return run


def test_a_layer_that_describes_its_directories_is_closed(look) -> None:
    found = look(layer(directory("a"), directory("a/b"), Entry("a/b/c"), hard("a/d", "a/b/c"), Entry("top")))
    assert found == Survey(False, False, "", frozenset())


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("a/b")],
        [directory("a/b")],
        [Entry("a/.wh.b")],
        [Entry("a/.wh..wh..opq")],
        [hard("x", "missing")],
        [directory("a"), Entry("a/.wh..wh..opq"), directory("a/b"), Entry("a/b/.wh.c")],
    ],
    ids=["file", "directory", "whiteout", "opaque", "link", "whiteout in an opaque one"],
)
def test_what_needs_the_layers_below(look, entries) -> None:
    assert look(layer(*entries)).open


def test_a_lower_layer_of_the_set_answers(look) -> None:
    below = layer(directory("a"), Entry("a/x"))
    assert not look(below, layer(Entry("a/b"), hard("y", "a/x"))).open
    assert look(layer(directory("a")), layer(link("a", "/elsewhere")), layer(Entry("a/b"))).open


def test_the_topmost_description_of_the_root_counts(look) -> None:
    found = look(layer(directory("./", 0o700, uid=3)), layer(directory("./", 0o750, uid=4)), layer(Entry("a")))
    assert found.root == f"{0o750} 4 0 1600000000000000000"


def test_whiteouts_and_opaque_roots(look) -> None:
    found = look(layer(directory("a"), Entry("a/.wh.x"), Entry(".wh.top"), Entry(".wh..wh..opq")))
    assert found.whited == {b"a"}
    assert found.hides_all
