# SPDX-License-Identifier: Apache-2.0
"""Printing a tree, and reading the print."""

from __future__ import annotations

import pytest

from scow.dockerfile.parser import parse
from scow.dockerfile.unparse import unparse, unparse_instruction


def test_layout():
    text = "# syntax=x\n# note\nARG A\nFROM a\nRUN a \\\n  # c\n  b\n# about\nCOPY <<E /x\n1\nE\nFROM b\n"
    assert unparse(parse(text)) == (
        "# syntax=x\n\n# note\nARG A\n\nFROM a\nRUN a   b\n\n# about\nCOPY <<E /x\n1\nE\n\nFROM b\n"
    )


def test_long_lines_are_continued():
    words = " ".join(f"word{number}" for number in range(20_000))
    parsed = parse("FROM a\nRUN a \\\n" + " \\\n".join(words[at : at + 60] for at in range(0, len(words), 60)))
    printed = unparse(parsed)
    assert all(len(line) < 65_535 for line in printed.split("\n"))
    assert parse(printed).stages[0].instructions[0].source == parsed.stages[0].instructions[0].source


def test_a_line_without_a_place_to_break_is_left():
    node = parse("FROM a\nRUN " + "\\\n".join("#" * 0 + "x #" * 5000 for _ in range(3))).stages[0].instructions[0]
    assert unparse_instruction(node).replace("\\\n", "") == node.source + "\n"


@pytest.mark.parametrize("text", ["FROM a\nRUN a\\ \\", "FROM a\nRUN a\\\xa0\nCMD b\n"])
def test_an_escape_character_at_the_end(text: str):
    parsed = parse(text)
    assert parsed.stages[0].instructions[0].source == "RUN a\\"
    again = parse(unparse(parsed))
    assert [node.source for node in again.instructions] == [node.source for node in parsed.instructions]


def test_comments_do_not_become_directives():
    parsed = parse("\n# escape=`\nFROM a\nRUN b `\n")
    again = parse(unparse(parsed))
    assert again.escape == "\\"
    assert again.stages[0].from_.comments == ("escape=`",)
