# SPDX-License-Identifier: Apache-2.0
"""Continuations, comments, directives and line ends, as the reference reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scow.dockerfile.errors import FaultError
from scow.dockerfile.lines import Reader, parse_directive

if TYPE_CHECKING:
    from scow.dockerfile.lines import Logical


def logical(text: str) -> list[Logical]:
    reader = Reader(text)
    out = []
    while (line := reader.next()) is not None:
        out.append(line)
    return out


def texts(text: str) -> list[str]:
    return [line.text for line in logical(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a \\\n  b\n", ["RUN a   b"]),
        ("RUN a \\  \t\n  b\n", ["RUN a   b"]),
        ("RUN a \\\r\n  b\r\n", ["RUN a   b"]),
        ("RUN a \\\n# c\n  # d\n  b\n", ["RUN a   b"]),
        ("RUN a \\\n\n\n  b\n", ["RUN a   b"]),
        ("RUN a\\\\\nb\n", ["RUN a\\\\", "b"]),
        ("RUN a\\\\\\\nb\n", ["RUN a\\\\\\", "b"]),
        ("\\\nRUN a\n", ["RUN a"]),
        ("RUN a \\", ["RUN a "]),
        ("RUN a \\\n\\\nb\n", ["RUN a b"]),
        ("  RUN a\n\u2003RUN b\n", ["RUN a", "RUN b"]),
        ("\ufeffRUN a\n", ["RUN a"]),
        ("RUN a\rb\r\r\n", ["RUN a\rb"]),
        ("# escape=`\nRUN a `\nb \\\nc\n", ["RUN a b \\", "c"]),
        ("# escape = ` \nRUN a `\nb\n", ["RUN a b"]),
        ("\n# escape=`\nRUN a `\nb\n", ["RUN a `", "b"]),
        ("# hello\n# escape=`\nRUN a `\nb\n", ["RUN a `", "b"]),
        ("RUN a\x1c\n", ["RUN a\x1c"]),
    ],
)
def test_joining(text: str, expected: list[str]):
    assert texts(text) == expected


def test_gaps_are_noted():
    assert [line.gap for line in logical("RUN a \\\n\n b\nRUN c\n")] == [True, False]


def test_spans():
    assert [line.span for line in logical("\n\nRUN a \\\n\n b\n\nRUN c")] == [(3, 5), (7, 7)]


def test_comments_belong_to_the_next_instruction():
    lines = logical("# one\n\n# two\nRUN a\n# three\n#\n# four\n  # five\nRUN b\nRUN c\n")
    assert [line.comments for line in lines] == [("one", "two"), ("four", "# five"), ()]


def test_directives_are_no_comments():
    reader = Reader("#syntax=a\n#  CHECK = skip=all ; error=true \n# x\nRUN a\n")
    line = reader.next()
    assert line is not None
    assert line.comments == ("x",)
    assert reader.directives == [("syntax", "a", 1), ("check", "skip=all ; error=true", 2)]


def test_heredoc_bodies():
    reader = Reader("RUN x\na\r\n\tEND\nEND\r\nRUN y\n")
    reader.next()
    assert reader.body("END", chomp=False) == "a\r\n\tEND\n"
    following = reader.next()
    assert following is not None
    assert following.text == "RUN y"


def test_chomping_heredocs_end_at_an_indented_delimiter():
    reader = Reader("RUN x\n\ta\n\t\tEND\n")
    reader.next()
    assert reader.body("END", chomp=True) == "\ta\n"


def test_an_open_heredoc_is_refused():
    reader = Reader("RUN x\na\n")
    reader.next()
    with pytest.raises(FaultError, match="unterminated"):
        reader.body("END", chomp=False)


def test_directives_in_other_places():
    assert parse_directive("check=skip=all", "") == ("check", "skip=all")
    assert parse_directive("nope=1", "") is None
    assert parse_directive("RUN", "#") is None
