# SPDX-License-Identifier: Apache-2.0
"""``scow debug``: the protocols of the conformance kit."""

from __future__ import annotations

import io
import json
import sys

import pytest

from scow.cli.commands.debug import main
from scow.errors import FlagError


@pytest.fixture
def answer(monkeypatch, capfdbinary):
    def run(argv: list[str], *cases: object) -> tuple[int, list[dict]]:
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        status = main(argv)
        sys.stdout.flush()
        return status, [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]

    return run


def test_parse(tmp_path, answer):
    path = tmp_path / "Dockerfile"
    path.write_bytes(b"FROM a\xff AS b\nCOPY <<E /x\n\xff\nE\nONBUILD RUN <<E\n1\nE\n")
    status, (out,) = answer(["parse", str(path)])
    assert status == 0
    assert out["escape"] == "\\"
    assert out["stages"] == [{"name": "b", "base": "a\ufffd", "platform": ""}]
    _, copy, trigger = out["instructions"]
    assert copy["heredocs"] == [{"name": "E", "expand": True, "chomp": False, "content": "\ufffd\n"}]
    assert (copy["start_line"], copy["end_line"]) == (2, 4)
    assert trigger["sub"] == {"cmd": "run", "args": ["<<E"], "flags": [], "json": False}


@pytest.mark.parametrize(("text", "line"), [("FROM a\nNOPE\n", 2), ("# escape=x\nFROM a\n", 0)])
def test_parse_errors(tmp_path, answer, text, line):
    path = tmp_path / "Dockerfile"
    path.write_text(text)
    status, (out,) = answer(["parse", str(path)])
    assert status == 1
    assert out["error"]["line"] == line


def test_words(answer):
    cases = [{"mode": "word", "input": "$A ", "env": ["A=1"]}, {"mode": "words", "input": "a b"}, {"input": "'x"}]
    status, out = answer(["words"], *cases)
    assert status == 0
    assert out[:2] == [{"expected": "1 "}, {"expected": ["a", "b"]}]
    assert "single-quote" in out[2]["error"]


def test_ignore(answer):
    _, out = answer(["ignore"], {"patterns": ["a"], "path": "a/b"}, {"patterns": ["["], "path": "x"})
    assert out[0] == {"expected": True}
    assert "error" in out[1]
    assert answer(["ignorefile"], {"file": "# x\n/a\n"})[1] == [{"expected": ["a"]}]


def test_lint(tmp_path, answer):
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\nENV A b\n")
    _, (out,) = answer(["lint", str(path)])
    assert [(entry["rule"], entry["start_line"]) for entry in out] == [("LegacyKeyValueFormat", 2)]
    path.write_text("NOPE\n")
    status, (out,) = answer(["lint", str(path)])
    assert (status, out["error"]["line"]) == (1, 1)


@pytest.mark.parametrize("argv", [["nope"], ["parse"], ["words", "x"]])
def test_wrong_calls(argv):
    with pytest.raises(FlagError, match="no protocol"):
        main(argv)
