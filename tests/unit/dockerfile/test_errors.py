# SPDX-License-Identifier: Apache-2.0
"""How faults look on a terminal."""

from __future__ import annotations

from scow.dockerfile.blame import blame, locate
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse
from scow.dockerfile.suggest import distance, hint, nearest


def test_no_line_no_snippet():
    error = DockerfileError("file with no instructions", filename="F")
    assert (error.location, error.snippet) == ("F", "")
    assert error.render() == str(error) == "F: parse error: file with no instructions"


def test_tabs_keep_the_caret_in_place():
    error = DockerfileError("bad", line=3, source="\tCOPY\tx", column=6, width=1)
    assert error.snippet.split("\n")[1] == "     | \t    \t^"


def test_long_and_unprintable_lines_are_cut():
    error = DockerfileError("bad", line=1, source="x" * 5_000 + "\x1b[31m" + "y" * 5_000, column=5_000, width=9_000)
    shown, marks = error.snippet.split("\n")
    assert "\x1b" not in shown
    assert len(shown) < 220
    assert len(marks) < 220


def test_blaming_an_instruction():
    parsed = parse("FROM a\nCOPY a \\\n  nope /x\n", "Some/Dockerfile")
    error = blame(parsed, parsed.stages[0].instructions[0], "no such file", token="nope", hint="look")
    assert (error.location, error.column, error.width, error.hint) == ("Some/Dockerfile:3", 2, 4, "look")
    plain = blame(parsed, parsed.stages[0].instructions[0], "bad")
    assert (plain.line, plain.column, plain.width) == (2, 0, 4)


def test_locating_beyond_the_end():
    parsed = parse("FROM a")
    assert locate([], parsed.stages[0].from_.span).source == ""


def test_neighbours():
    assert distance("kitten", "sitting") == 3
    assert nearest("form", ["from", "chown"]) == "from"
    assert nearest("from", ["from", "form"]) == ""
    assert nearest("x" * 100, ["x"]) == ""
    assert nearest("zzz", ["from"]) == ""
    assert hint("FORM", ["from"], fold=True) == "did you mean FROM?"
    assert hint("zzzz", ["from"]) == ""
