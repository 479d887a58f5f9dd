# SPDX-License-Identifier: Apache-2.0
"""Words of a line: flags, JSON arrays, quoted words and the delimiters of here-documents."""

from __future__ import annotations

import pytest

from scow.dockerfile.errors import FaultError
from scow.dockerfile.raw import heredoc, heredocs, json_strings, read, split_quoted


@pytest.mark.parametrize(
    ("line", "flags", "args"),
    [
        ("COPY --a --b=c x y", ("--a", "--b=c"), ("x", "y")),
        ("COPY --a='b c' x y", ("--a=b c",), ("x", "y")),
        ('COPY --a="b\\"c" x y', ('--a=b"c',), ("x", "y")),
        ("COPY --a=b\\ c x y", ("--a=b c",), ("x", "y")),
        ("COPY -- --x y", (), ("--x", "y")),
        ("COPY --a -- --x y", ("--a",), ("--x", "y")),
        ("COPY --a", ("--a",), ()),
        ("COPY --a\\", ("--a",), ()),
        ('COPY --a"b\\', ("--ab",), ()),
        ("COPY --", (), ()),
        ("COPY x --a y", (), ("x", "--a", "y")),
        ("COPY\tx\v\fy", (), ("x", "y")),
        ("COPY x\xa0y z", (), ("x\xa0y", "z")),
    ],
)
def test_flags_and_words(line: str, flags: tuple[str, ...], args: tuple[str, ...]):
    raw = read(line, "\\")
    assert (raw.flags, raw.args) == (flags, args)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ("a", "b")),
        ("[]", ()),
        (' \u2003["a"]', ("a",)),
        ('["\\ud800x"]', ("\ufffdx",)),
        ("['a']", None),
        ('["a"', None),
        ('["a"] x', None),
        ('["a",]', None),
        ('["a", NaN]', None),
        ('["a", 1e999]', None),
        ('{"a": 1}', None),
        ('["a\tb"]', None),
        ("x", None),
    ],
)
def test_json(text: str, expected: tuple[str, ...] | None):
    assert json_strings(text) == expected


@pytest.mark.parametrize(
    "text", ['["a", 1]', "[null]", '["a", ["b"]]', "[true]", '["a",' + "[" * 5000 + "]" * 5000 + "]"]
)
def test_other_arrays_are_refused(text: str):
    with pytest.raises(FaultError, match="strings only"):
        json_strings(text)


@pytest.mark.parametrize(
    ("text", "escape", "expected"),
    [
        ("a  b\tc", "\\", ["a", "b", "c"]),
        ("a='x y' b", "\\", ["a='x y'", "b"]),
        ('a="x \\" y" b', "\\", ['a="x \\" y"', "b"]),
        ("a='x \\' b", "\\", ["a='x \\'", "b"]),
        ("a=x\\ y b", "\\", ["a=x\\ y", "b"]),
        ("a=x\\", "\\", ["a=x"]),
        ('a="x\\', "\\", ['a="x']),
        ("a=x` y C:\\d", "`", ["a=x` y", "C:\\d"]),
        ("''", "\\", ["''"]),
        ("", "\\", []),
        ("a\xa0b", "\\", ["a", "b"]),
    ],
)
def test_quoted_words(text: str, escape: str, expected: list[str]):
    assert split_quoted(text, escape) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<EOF", ("EOF", True, False, 0)),
        ("3<<-EOF", ("EOF", True, True, 3)),
        ("<<'E F'", ("E F", False, False, 0)),
        ('<<"EOF"', ("EOF", False, False, 0)),
        ("<<E\\OF", ("EOF", True, False, 0)),
        ("<< EOF", ("EOF", True, False, 0)),
        ("<<$X", ("$X", True, False, 0)),
        ("99999999999<<X", ("X", True, False, 0)),
    ],
)
def test_heredoc_words(word: str, expected: tuple[str, bool, bool, int]):
    doc = heredoc(word)
    assert doc is not None
    assert (doc.name, doc.expand, doc.chomp, doc.fd) == expected


@pytest.mark.parametrize("word", ["<<", "<<<x", "x<<y", "<<'x", "<<a<b", "EOF", "<<a b", "<<''"])
def test_other_words_announce_nothing(word: str):
    assert heredoc(word) is None


def test_heredocs_of_a_line():
    assert [doc.name for doc in heredocs(read("RUN <<A cat <<-B >x", "\\"))] == ["A", "B"]
    assert [doc.name for doc in heredocs(read("ONBUILD RUN <<A", "\\"))] == ["A"]
    assert heredocs(read('RUN ["<<A"]', "\\")) == []
    assert heredocs(read("CMD <<A", "\\")) == []
    assert heredocs(read("RUN echo 'open <<A", "\\")) == []
    assert heredocs(read("RUN echo 1 <<< x", "\\")) == []


def test_health():
    assert read("HEALTHCHECK --x=1 CMD  a  b ", "\\").args == ("CMD", "a  b")
    assert read("HEALTHCHECK NONE", "\\").args == ("NONE",)
    assert read("HEALTHCHECK", "\\").args == ()


def test_unknown_words_are_not_read():
    assert read("NOPE a b", "\\").args == ("",)
    assert read("", "\\").keyword == ""
