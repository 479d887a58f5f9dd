# SPDX-License-Identifier: Apache-2.0
"""Simple commands out of shell lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.dockerfile import ast
from scow.dockerfile.lint.commands import commands, of_run
from scow.dockerfile.parser import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b && c", [("a", ("b",), ""), ("c", (), "&&")]),
        ("a;b|c||d &e", [("a", (), ""), ("b", (), ";"), ("c", (), "|"), ("d", (), "||"), ("e", (), "&")]),
        ("a 'b c' \"d e\" f\\ g", [("a", ("b c", "d e", "f g"), "")]),
        ("a >x 2>&1 <y &>z b", [("a", ("b",), "")]),
        ("a2>x", [("a2", (), "")]),
        ("X=1 Y=2 /usr/bin/a b", [("a", ("b",), "")]),
        ("if a; then b; else c; fi", [("a", (), ""), ("b", (), ";"), ("c", (), ";")]),
        ("(a; { b; })", [("a", (), ";"), ("b", (), ";")]),
        ("a $(b c) d", [("a", ("$(b c)", "d"), ""), ("b", ("c",), "")]),
        ('a "$(b "c")"', [("a", ('$(b "c")',), ""), ("b", ("c",), "")]),
        ("a $((1 + 2)) ${x y}", [("a", ("$((1 + 2))", "${x y}"), "")]),
        ("a $((1 $(b))", [("a", ("$((1 $(b))",), "")]),
        ("a # b\nc", [("a", (), ""), ("c", (), ";")]),
        ("a#b", [("a#b", (), "")]),
        ("sudo -u me X=1 a b", [("sudo", ("-u", "me", "X=1", "a", "b"), ""), ("a", ("b",), "")]),
        ("chroot /x a", [("chroot", ("/x", "a"), ""), ("a", (), "")]),
        ("env", [("env", (), "")]),
        ("a \\\n b", [("a", ("b",), "")]),
        ("'open a", [("open a", (), "")]),
        ('"open', [("open", (), "")]),
        ("a $(b", [("a", ("$(b",), ""), ("b", (), "")]),
        ("a ${b", [("a", ("${b",), "")]),
        ("for i in a b; do c; done", [("for", ("i", "in", "a", "b"), ""), ("c", (), ";")]),
        ("a 'x' | b \"$(c \\) '(' (d))\"", [("a", ("x",), ""), ("b", ("$(c \\) '(' (d))",), "|"), ("c", (")", "("), ""), ("d", (), ";")]),
        ("", []),
    ],
)  # fmt: skip
def test_commands(text: str, expected: list[tuple[str, tuple[str, ...], str]]):
    assert [(command.name, command.args, command.joined) for command in commands(text)] == expected


def run(text: str) -> ast.Run:
    node = parse("FROM a\n" + text).stages[0].instructions[0]
    assert isinstance(node, ast.Run)
    return node


def test_forms_of_run():
    assert [command.name for command in of_run(run('RUN ["/bin/a", "b"]\n'))] == ["a"]
    assert of_run(run("RUN []\n")) == ()
    assert of_run(run("RUN\n")) == ()
    assert [command.name for command in of_run(run("RUN <<E\na\nb | c\nE\n"))] == ["a", "b", "c"]
    assert [command.name for command in of_run(run("RUN <<E\n#!/usr/bin/env bash\na\nE\n"))] == ["a"]
    assert of_run(run("RUN <<E\n#!/usr/bin/python3\nimport os\nE\n")) == ()
    assert [command.name for command in of_run(run("RUN cat <<E >x\nrm y\nE\n"))] == ["cat"]


def test_flags():
    command = commands("a -xy --long=1 --other v -")[0]
    assert command.has_flag("-y")
    assert command.has_flag("--long")
    assert command.has_flag("--nope", "--other")
    assert not command.has_flag("-l", "--lon")
    assert command.operands == ("v",)


@given(st.text(alphabet="ab $(){}'\"\\;|&<>#\n1=", max_size=80))
def test_any_text_gives_commands(text: str):
    for command in commands(text):
        assert all(isinstance(word, str) for word in (command.name, *command.args))


def test_hostile_nesting_ends():
    assert commands("$(" * 3_000)
    assert commands('"$(' * 2_000)
