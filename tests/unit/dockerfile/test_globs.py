# SPDX-License-Identifier: Apache-2.0
"""Patterns of substitutions, compared with a plain definition of shortest and longest."""

from __future__ import annotations

import fnmatch
import itertools

import pytest

from scow.dockerfile.errors import WordError
from scow.dockerfile.globs import replace_all, replace_first, trim_prefix, trim_suffix

PATTERNS = ["".join(parts) for size in range(4) for parts in itertools.product("ab*?", repeat=size)]
VALUES = ["".join(parts) for size in range(5) for parts in itertools.product("ab", repeat=size)]


def cuts(pattern: str, value: str) -> list[int]:
    return [size for size in range(len(value) + 1) if fnmatch.fnmatchcase(value[:size], pattern)]


def test_prefixes_are_the_shortest_and_the_longest():
    for pattern, value in itertools.product(PATTERNS, VALUES):
        sizes = cuts(pattern, value) or [0]
        assert trim_prefix(pattern, value, greedy=False) == value[min(sizes) :], (pattern, value)
        assert trim_prefix(pattern, value, greedy=True) == value[max(sizes) :], (pattern, value)


def test_suffixes_are_the_shortest_and_the_longest():
    for pattern, value in itertools.product(PATTERNS, VALUES):
        sizes = cuts(pattern[::-1], value[::-1]) or [0]
        assert trim_suffix(pattern, value, greedy=False) == value[: len(value) - min(sizes)], (pattern, value)
        assert trim_suffix(pattern, value, greedy=True) == value[: len(value) - max(sizes)], (pattern, value)


@pytest.mark.parametrize(
    ("pattern", "replacement", "value", "first", "every"),
    [
        ("o", "0", "foo", "f0o", "f00"),
        ("o*", "X", "foo", "fX", "fX"),
        ("", "-", "ab", "-ab", "-a-b-"),
        ("b", "[$0]", "abc", "a[$0]c", "a[b]c"),
        ("b", "${0}$$$x.${y}$", "abc", "a${0}$$$x.${y}$c", "ab$.$c"),
        ("b", "${", "abc", "a${c", "a${c"),
        ("x", "y", "abc", "abc", "abc"),
        ("\\*", "x", "a*b", "axb", "axb"),
        ("\\/", "x", "a/b", "axb", "axb"),
        ("\\\\", "x", "a\\b", "axb", "axb"),
        (".", "x", "a.b", "axb", "axb"),
    ],
)
def test_replacing(pattern: str, replacement: str, value: str, first: str, every: str):
    assert replace_first(pattern, replacement, value) == first
    assert replace_all(pattern, replacement, value) == every


@pytest.mark.parametrize("pattern", ["a\\b", "\\"])
def test_needless_escapes_are_refused(pattern: str):
    with pytest.raises(WordError, match="invalid escape"):
        replace_first(pattern, "", "x")


def test_an_escape_stays_before_its_character_in_suffixes():
    assert trim_suffix("\\*b", "a*b", greedy=False) == "a"
    assert trim_suffix("\\**", "a*bc", greedy=True) == "a"
