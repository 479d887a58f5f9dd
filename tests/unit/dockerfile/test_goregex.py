# SPDX-License-Identifier: Apache-2.0
"""Go's regular expressions in Python's words."""

from __future__ import annotations

import re

import pytest

from scow.dockerfile.goregex import to_python


@pytest.mark.parametrize(
    ("expression", "hits", "misses"),
    [
        ("^a\\.b$", ["a.b"], ["axb", "a.b\n"]),
        ("^\\d\\s\\w$", ["1 a"], ["\u0661 a"]),
        ("^\\D\\S\\W$", ["ab-", "\u0661x!"], ["1b-"]),
        ("^[\\d_-]x$", ["1x", "_x", "-x"], ["ax"]),
        ("^[^\\w]$", ["-"], ["a"]),
        ("^[[:alpha:]]$", ["q"], ["1"]),
        ("^[]a]$", ["]", "a"], ["b"]),
        ("^[[^/]*]$", ["[]", "^/]"], ["x]"]),
        ("^[a-c\\]]$", ["b", "]"], ["d"]),
        ("^\\Qa[b\\E.$", ["a[bx"], ["ab"]),
        ("^\\Qa[b$", ["a[b$"], ["a[b"]),
        ("^\\x41\\x{42}\\103\\0$", ["ABC\0"], ["abc"]),
        ("^\\Aa\\b-\\Bb\\z$", [], ["a-b"]),
        ("^\\Aa\\b-b\\z$", ["a-b"], ["ab"]),
        ("^a^b$", [], ["ab", "a^b"]),
        ("^(.*/)?x$", ["x", "a/b/x"], ["ax"]),
        ("^\\t\\a$", ["\t\a"], ["ta"]),
        ("^a{2}[b]{1,}c{0,1}$", ["aab", "aabbc"], ["ab", "aabcc"]),
        ("^a{,2}{x}{01}$", ["a{,2}{x}{01}"], ["aa"]),
        ("^a|b$", ["a", "ax", "xb", "x\nb"], ["bx"]),
        ("^[&&~~||-]$", ["&", "~", "|", "-"], ["x"]),
    ],
)
def test_meaning(expression: str, hits: list[str], misses: list[str]):
    compiled = re.compile(to_python(expression))
    assert all(compiled.match(text) for text in hits)
    assert not any(compiled.match(text) for text in misses)


@pytest.mark.parametrize(
    "expression",
    [
        "\\k",
        "\\8",
        "\\",
        "[a",
        "[",
        "[z-a]",
        "[\\b]",
        "[[:^alpha:]]",
        "\\x{110000}",
        "\\xg",
        "^a|{2}",
        "a{2}{3}",
        "(.*/)?{2}",
        ".*{2}",
        "a{3,2}",
        "a{1001}",
    ],
)
def test_refusals(expression: str):
    with pytest.raises(ValueError):
        to_python(expression)
