# SPDX-License-Identifier: Apache-2.0
"""Expansion of variables and splitting into words."""

from __future__ import annotations

import time

import pytest

from scow.dockerfile.errors import WordError
from scow.dockerfile.words import expand, split

ENV = {
    "A": "1", "B": "two words", "EMPTY": "", "P": "/usr/lib/libfoo.so.1.2", "U": "foo_bar_baz", "D": "$A", "STAR": "*",
    "Z": "$0$$-$1", "BS": "a\\b",
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("$A${A}$AB", "11"),
        ("$1x$@y$", "xy$"),
        ("a$", "a$"),
        ("\\$A", "$A"),
        ("'$A'\"$A\"", "$A1"),
        ('"\\$A \\" \\x"', '$A " \\x'),
        ('"\\\\"', "\\"),
        ("a\\", "a"),
        ("${UNSET-x}${EMPTY-x}${UNSET:-y}${EMPTY:-y}", "xyy"),
        ("${UNSET+x}${EMPTY+x}${EMPTY:+y}${A:+z}", "xz"),
        ("${A?no}${A:?no}${EMPTY?no}", "11"),
        ("${UNSET:-${A}$B}", "1two words"),
        ("${UNSET:-'a}b'}", "a}b"),
        (
            "${P#*/}|${P##*/}|${P%.*}|${P%%.*}",
            "usr/lib/libfoo.so.1.2|libfoo.so.1.2|/usr/lib/libfoo.so.1|/usr/lib/libfoo",
        ),
        ("${U/_/-}|${U//_/-}|${U//o/}|${U/x/y}", "foo-bar_baz|foo-bar-baz|f_bar_baz|foo_bar_baz"),
        ("${U//o*/X}|${U//?o/X}", "fX|Xo_bar_baz"),
        ("${P#\\/usr}|${U#f\\?}|${STAR#\\*}", "/lib/libfoo.so.1.2|foo_bar_baz|"),
        ("${UNSET#x}${UNSET/x/y}", ""),
        ("${A/1/$B}", "two words"),
        ("${U//_/${Z}}", "foo_$-bar_$-baz"),
        ("$D", "$A"),
        ("\ufeffx", "x"),
        ("a << b", "a << b"),
        ("grüße$A", "grüße1"),
    ],
)
def test_words(word: str, expected: str):
    assert expand(word, ENV).text == expected


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("'open", "single-quote"),
        ('"open', "double-quote"),
        ("${A", "unsupported modifier"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${{A}", "bad substitution"),
        ("${:A}", "bad substitution"),
        ("${A:-x", "missing '}'"),
        ("${A:=x}", "unsupported modifier (:=)"),
        ("${A:#x}", "unsupported modifier (:#)"),
        ("${A^}", "unsupported modifier (^)"),
        ("${A/x}", "missing '/'"),
        ("${A/x/y", "missing '}'"),
        ("${UNSET?oops}", "UNSET: oops"),
        ("${UNSET?}", "UNSET: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${A:-'x}", "single-quote"),
        ("${A#a\\b}", "invalid escape"),
        ("${A:-" * 200 + "}" * 200, "nested too deeply"),
    ],
)
def test_refusals(word: str, message: str):
    with pytest.raises(WordError) as caught:
        expand(word, ENV)
    assert message in caught.value.message
    assert len(caught.value.message) < 400


def test_which_variables_were_asked():
    result = expand("${A:-$B}${NO:+$NEVER}$ALSO", ENV)
    assert result.used == {"A", "B"}
    assert result.unset == {"NO", "NEVER", "ALSO"}


def test_modes():
    assert expand("'$A' \"b\"", ENV, quotes="keep").text == "'$A' \"b\""
    assert expand("'$A' \"b\"", ENV, quotes="literal").text == "'1' \"b\""
    assert expand("$NO ${NO} ${NO:-x} ${NO/a/b} $A", ENV, keep_unset=True).text == "$NO ${NO} ${NO:-x} ${NO/a/b} 1"
    assert expand("`$A \\x", ENV, "`").text == "$A \\x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("$B '$B' \"$B\"", ["two", "words", "$B", "two words"]),
        ("a\\ b", ["a b"]),
        ("x$B", ["xtwo", "words"]),
        ("'' a", ["a"]),
        ("<< EOF x", ["<< EOF", "x"]),
        ("a\xa0b", ["a", "b"]),
        ("$EMPTY", []),
        ("x${NO:-y}", ["y"]),  # the reference forgets the beginning of the word, see _Splitter
    ],
)
def test_splitting(text: str, expected: list[str]):
    assert list(split(text, ENV).words) == expected


def test_raw_escapes_stay():
    words = split("a\\ b 'c\\d' \"e\\f\"", {}, quotes="keep", raw_escapes=True).words
    assert words == ("a\\ b", "'c\\d'", '"e\\\\f"')  # within double quotes the reference writes it twice
    assert split('"e\\', {}, raw_escapes=False, quotes="literal").words == ('"e',)


def test_hostile_patterns_end():
    env = {"V": "a" * 2_000}
    begun = time.process_time()
    assert expand("${V#" + "*a" * 30 + "b}", env).text == env["V"]
    assert expand("${V##" + "*a" * 30 + "b}", env).text == env["V"]
    assert expand("${V//" + "*a" * 30 + "b/x}", env).text == env["V"]
    assert time.process_time() - begun < 20
