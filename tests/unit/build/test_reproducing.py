# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tempfile import TemporaryFile

import pytest

from fakes.stores import tar_of
from scow.build.options import BuildOptions
from scow.build.reproducing import Difference, Verified, compare_layers, render, verify
from scow.errors import InvalidArgumentError


def compare(left, right, one=None, two=None):
    first, second = tar_of(left, **(one or {})), tar_of(right, **(two or {}))
    with TemporaryFile() as left_file, TemporaryFile() as right_file:
        for file, data in ((left_file, first), (right_file, second)):
            file.write(data)
            file.seek(0)
        return list(compare_layers(left_file, right_file))


def test_content_names_the_first_byte_that_differs():
    far = b"x" * (1 << 20)
    found = compare({"a": b"built at 12:01", "big": far + b"1"}, {"a": b"built at 12:02", "big": far + b"2"})
    assert found == [
        ("/a", 'content differs at byte 13: " at 12:01" / " at 12:02"'),
        ("/big", 'content differs at byte 1048576: "xxxxxxxx1" / "xxxxxxxx2"'),
    ]


def test_files_that_only_one_has_or_that_are_longer():
    assert compare({"a": b"1", "b": b"12"}, {"b": b"123", "c": b""}) == [
        ("/a", "only in the first build"),
        ("/b", "2 / 3 bytes, the same up to there"),
        ("/c", "only in the second build"),
    ]


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ({"mode": 0o644}, {"mode": 0o600}, "mode 0644 / 0600"),
        ({"uid": 1, "gid": 2}, {"uid": 1, "gid": 3}, "owner 1:2 / 1:3"),
        ({"mtime": 5}, {"mtime": 7}, "time 5 / 7"),
    ],
)
def test_fields(one, two, said):
    assert compare({"f": b"1"}, {"f": b"1"}, one, two) == [("/f", said)]


def test_the_same_files_in_another_order():
    assert compare({"a": b"", "b": b""}, {"b": b"", "a": b""}) == [("/", "the same files in another order")]


def test_bytes_that_a_terminal_must_not_see():
    ((_, said),) = compare({"f": b"\x1b[2J"}, {"f": b"\xff"})
    assert "\x1b" not in said


def test_rendering():
    good = render(Verified(None, 1, ()), "Dockerfile")
    assert good == ["reproducible: a second build made the same 1 layer and the same configuration"]
    found = (
        Difference("[2/2] RUN date > /a", 3, "/a", "x"),
        Difference("[2/2] RUN date > /a", 3, "/b", "y"),
        Difference("", 0, "history", "differs"),
    )
    assert render(Verified(None, 2, found), "Dockerfile")[1:] == [
        "  Dockerfile:3: [2/2] RUN date > /a",
        "    /a: x",
        "    /b: y",
        "  configuration",
        "    history: differs",
    ]


@pytest.mark.parametrize("options", [BuildOptions(context="-"), BuildOptions(context=".", dockerfile="-")])
def test_streams_cannot_be_built_twice(options):
    with pytest.raises(InvalidArgumentError, match="standard input"):
        verify(None, options)
