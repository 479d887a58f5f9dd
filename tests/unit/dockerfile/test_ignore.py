# SPDX-License-Identifier: Apache-2.0
"""Ignore files: reading, matching, walking and pruning."""

from __future__ import annotations

import pytest

from scow.dockerfile.errors import IgnorePatternError
from scow.dockerfile.ignore import IgnoreMatcher, Trail, read
from scow.dockerfile.ignorepattern import clean


def walk(matcher: IgnoreMatcher, path: str) -> Trail:
    trail = None
    parts = path.split("/")
    for size in range(1, len(parts) + 1):
        trail = matcher.enter("/".join(parts[:size]), trail)
    assert trail is not None
    return trail


def test_reading():
    text = "\ufeff# c\n a \n\n/b/\n! /c\n!\n#d\n /x/../y \n.\n/\ne\r\n #f\n"
    assert read(text) == ["a", "b", "!c", "!", "y", ".", "/", "e", "#f"]
    assert read("") == []
    with pytest.raises(IgnorePatternError, match="longer"):
        read("x" * 65_536)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "."), ("a//b/./c/..", "a/b"), ("../a", "../a"), ("/..", "/"), ("/a/", "/a"), ("a/../..", "..")],
)
def test_cleaning(path: str, expected: str):
    assert clean(path) == expected


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["a"], "a", True),
        (["a"], "a/b/c", True),
        (["a"], "b/a", False),
        (["*/a"], "b/a", True),
        (["**/a"], "a", True),
        (["**/a"], "x/y/a", True),
        (["**/a"], "xa", False),
        (["**a"], "xa", True),
        (["a/**"], "a", False),
        (["a/**"], "a/b", True),
        (["a/**/b"], "a/b", True),
        (["a/**/b"], "a/x/y/b", True),
        (["**"], "a", True),
        (["*.md"], "a.md", True),
        (["*.md"], "d/a.md", False),
        (["a?c"], "abc", True),
        (["a?c"], "a/c", False),
        (["[a-c]x"], "bx", True),
        (["[^a-c]x"], "bx", False),
        (["[[:digit:]]x"], "1x", True),
        (["\\*"], "*", True),
        (["\\*"], "a", False),
        (["\\d"], "5", True),
        (["a^b"], "a^b", True),
        (["^*"], "anything", True),
        (["*", "!a"], "a", False),
        (["*", "!a"], "a/b", False),
        (["*", "!a", "a/b"], "a/b", True),
        (["*", "!a", "a/b"], "a/c", False),
        (["!a"], "a", False),
        (["a", "!a/b", "a/b/c"], "a/b/c", True),
        (["a+b.(c)"], "a+b.(c)", True),
        ([" a "], "a", True),
        ([""], "a", False),
        (["."], ".", False),
        (["*"], ".", False),
        (["ä*"], "äb", True),
        (["/a"], "/a", True),
        (["/*"], "/a", True),
        (["**/"], "x/y", True),
        (["a|b"], "a|b", True),
        (["a|b"], "a", False),
        (["a|*.o"], "ax", True),
        (["a|*.o"], "lib/x.o", True),
        (["a|*.o"], "lib/x.c", False),
        (["?a{2}"], "xaa", True),
        (["?a{2}"], "xa{2}", False),
        (["?{x}"], "1{x}", True),
        (["?a{1,}", "!x*|q"], "xaaa", False),
        (["b/*.go/[a-]"], "b", False),
    ],
)
def test_matching(patterns: list[str], path: str, expected: bool):
    assert IgnoreMatcher(patterns).excludes(path) is expected


@pytest.mark.parametrize(
    "pattern",
    ["!", "[", "[]", "[a", "[a-", "[-a]", "[a-]", "a\\", "[\\", "[^]", "*[", "[\ud800]", ".[", "*.\\", "?[", "[.-/]["],
)
def test_malformed_patterns(pattern: str):
    with pytest.raises(IgnorePatternError):
        IgnoreMatcher([pattern])


@pytest.mark.parametrize(
    "pattern", ["\\k", "[z-a]*", "\\é", "[\\b]", "\\pL", "\\x{110000}", "[[:what:]a]", "*{2}", "?|{2}", "?{2,1}"]
)
def test_senseless_patterns_fail_when_asked(pattern: str):
    matcher = IgnoreMatcher(["a", pattern, "!b"])
    assert matcher.excludes("a")
    with pytest.raises(IgnorePatternError, match="bad ignore pattern"):
        matcher.excludes("b")
    with pytest.raises(IgnorePatternError, match="bad ignore pattern"):
        matcher.enter("b")


def test_who_decided():
    matcher = IgnoreMatcher(["*.log", "!keep.log", "keep.log/*"])
    assert matcher.decide("a.log") == (True, "*.log")
    assert matcher.decide("keep.log") == (False, "!keep.log")
    assert matcher.decide("keep.log/x") == (True, "keep.log/*")
    assert matcher.decide("x") == (False, None)
    assert matcher.patterns == ("*.log", "!keep.log", "keep.log/*")
    assert matcher
    assert not IgnoreMatcher([])


def test_walking():
    matcher = IgnoreMatcher(["node_modules", "build", "!build/keep", "**/*.pyc"])
    assert walk(matcher, "node_modules") == Trail(True, "node_modules", True, (0, -1, -1))
    assert walk(matcher, "build").prunable is False
    assert walk(matcher, "build/keep").excluded is False
    assert walk(matcher, "build/keep/x").excluded is False
    assert walk(matcher, "build/other").prunable is True
    assert walk(matcher, "src/x.pyc").pattern == "**/*.pyc"
    assert walk(matcher, "src") == Trail(False, None, False, (-1, -1, -1))


def test_a_folder_that_was_not_left_out_is_not_brought_back():
    patterns = ["a/b", "!a"]
    assert IgnoreMatcher(patterns).excludes("a/b") is False
    assert walk(IgnoreMatcher(patterns), "a/b").excluded is True


def test_entering_in_the_middle_looks_at_the_folders():
    assert IgnoreMatcher(["a"]).enter("a/b/c").excluded is True


@pytest.mark.parametrize(
    ("patterns", "folder", "prunable"),
    [
        (["a"], "a", True),
        (["a", "!b"], "a", True),
        (["a", "!a/b"], "a", False),
        (["a", "!a/b/c"], "a/x", True),
        (["a", "!**/c"], "a", False),
        (["a", "!*/c"], "a", False),
        (["a", "!*/c"], "a/x", True),
        (["a", "!b*/c"], "a", True),
        (["a", "!?/c"], "a", False),
        (["a", "![a]/c"], "a", False),
        (["!a/b", "a"], "a", True),
        (["b"], "a", False),
    ],
)
def test_pruning(patterns: list[str], folder: str, prunable: bool):
    assert walk(IgnoreMatcher(patterns), folder).prunable is prunable
