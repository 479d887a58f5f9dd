# SPDX-License-Identifier: Apache-2.0
"""Files of lines: read again when they change, and kept in mind when they cannot be read."""

from __future__ import annotations

import os

import pytest

from scow.errors import InvalidArgumentError, UnavailableError
from scow.registry.watching import WatchedFile


def number(text):
    if not text.isdigit():
        raise ValueError("a number")
    return int(text)


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "f").write_text("# some\n\n 1 \n2\n")
    return WatchedFile(str(tmp_path / "f"), number)


def replace(watched, text):
    with open(watched.path + ".new", "w") as file:
        file.write(text)
    os.rename(watched.path + ".new", watched.path)


def test_blank_lines_and_comments_say_nothing(watched):
    assert watched.lines == [1, 2]


def test_a_change_is_seen_once(watched):
    before = watched.lines
    assert watched.refresh() == ""
    assert watched.lines is before
    replace(watched, "3\n")
    assert watched.refresh() == ""
    assert watched.lines == [3]


def test_a_file_that_makes_no_sense_leaves_what_was_there(watched):
    replace(watched, "3\nfour\n")
    assert watched.refresh() == f"line 2 of {watched.path!r} is not a number"
    assert watched.lines == [1, 2]
    assert watched.refresh() == "", "said once"
    replace(watched, "3\n4\n")
    assert watched.refresh() == ""
    assert watched.lines == [3, 4]


def test_a_file_that_is_gone_leaves_what_was_there(watched):
    os.unlink(watched.path)
    assert "cannot be read" in watched.refresh()
    assert watched.refresh() == ""
    assert watched.lines == [1, 2]
    replace(watched, "5\n")
    assert watched.refresh() == ""
    assert watched.lines == [5]


def test_at_first_it_must_be_right(tmp_path):
    with pytest.raises(UnavailableError):
        WatchedFile(str(tmp_path / "none"), number)
    (tmp_path / "bad").write_text("x\n")
    with pytest.raises(InvalidArgumentError, match="line 1"):
        WatchedFile(str(tmp_path / "bad"), number)
