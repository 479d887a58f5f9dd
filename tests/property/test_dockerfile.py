# SPDX-License-Identifier: Apache-2.0
"""The Dockerfile room against any input: only its own errors, and prints that read back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from scow.dockerfile import ast, words
from scow.dockerfile.errors import DockerfileError, FlagValueError, IgnorePatternError, WordError
from scow.dockerfile.ignore import IgnoreMatcher, read
from scow.dockerfile.ignorepattern import clean
from scow.dockerfile.mounts import parse_mount
from scow.dockerfile.parser import parse
from scow.dockerfile.unparse import unparse
from scow.record import replace

if TYPE_CHECKING:
    from scow.dockerfile.ignore import Trail

KEYWORDS = (
    "FROM", "ARG", "RUN", "COPY", "ADD", "ENV", "LABEL", "WORKDIR", "USER", "EXPOSE", "VOLUME", "CMD", "ENTRYPOINT",
    "SHELL", "STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "MAINTAINER", "from", "NOPE", "#", "# escape=`", "# check=skip=all",
)  # fmt: skip
PIECES = (
    " ", "\t", "\\", "`", "\\\n", "`\n", "\n", "\r\n", "'", '"', "$A", "${A:-", "}", "=", "a=b", "--from=x", "--mount=type=",
    "--network=none", "<<EOF", "<<-'X Y'", "EOF", "EOF\n", '["a", "b"]', "[", "]", ",", "AS", "x", "1", "#", "CMD", "/",
    "\u00a0", "\ufeff", "\u00e9", "\udcff", "\x00", "\x85",
)  # fmt: skip

fragments = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
lines = st.builds("{} {}\n".format, st.sampled_from(KEYWORDS), fragments)
texts = st.lists(lines, max_size=8).map("".join) | st.text(max_size=200)


@given(texts)
def test_the_parser_raises_only_its_own_error(text: str):
    try:
        parse(text)
    except DockerfileError as error:
        assert error.message
        assert error.line <= text.count("\n") + 1
        assert error.column >= 0
        assert isinstance(error.render(), str)


def bare(node: ast.Node) -> ast.Node:
    """The node without what a print may change: lines, and space after a trigger."""
    if not isinstance(node, ast.Onbuild):
        return replace(node, span=ast.Span(0, 0))
    inner = replace(node.inner, span=ast.Span(0, 0), source=node.inner.source.strip())
    expression = node.expression if node.heredocs else node.expression.rstrip()
    return replace(node, span=ast.Span(0, 0), inner=inner, expression=expression)


@settings(max_examples=300)
@given(st.lists(lines, max_size=8).map(lambda parts: "FROM base\n" + "".join(parts)))
def test_what_is_printed_reads_back(text: str):
    try:
        parsed = parse(text)
    except DockerfileError:
        return
    printed = unparse(parsed)
    again = parse(printed)
    assert [bare(node) for node in again.instructions] == [bare(node) for node in parsed.instructions]
    assert again.escape == parsed.escape
    assert unparse(again) == printed


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from((*PIECES, "${A#", "${A//", "/", "*", "?")), max_size=12).map("".join)
)
def test_words_raise_only_their_own_error(text: str):
    env = {"A": "x y", "a": ""}
    for escape in ("\\", "`"):
        with contextlib.suppress(WordError):
            result = words.expand(text, env, escape)
            assert result.used <= set(env)
            assert not result.unset & set(env)
        with contextlib.suppress(WordError):
            assert all(words.split(text, env, escape).words)


@given(st.text(alphabet="ab $'\"\\", max_size=20))
def test_expansion_without_variables_is_stable(text: str):
    """What comes out has no quote that still means something: quoting it gives it back."""
    with contextlib.suppress(WordError):
        result = words.expand(text.replace("$", ""), {}).text
        quoted = '"' + result.replace("\\", "\\\\").replace('"', '\\"') + '"'
        assert words.expand(quoted, {}).text == result


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(("type=", "cache", ",", "target=/x", "ro", '"', "size=1m", "=")), max_size=8).map(
        "".join
    )
)
def test_mounts_raise_only_their_own_error(text: str):
    with contextlib.suppress(FlagValueError):
        parse_mount(text)


patterns = st.lists(
    st.lists(
        st.sampled_from(("a", "b", "/", "*", "**", "?", "!", "[ab]", "[^a]", "\\a", ".", "..", "^", "é")), max_size=6
    ).map("".join),
    max_size=4,
)
paths = st.lists(st.sampled_from(("a", "b", "ab", "é", "c.d")), min_size=1, max_size=4).map("/".join)


@given(patterns, paths)
def test_ignoring_raises_only_its_own_error(given_patterns: list[str], path: str):
    with contextlib.suppress(IgnorePatternError):
        matcher = IgnoreMatcher(given_patterns)
        decision = matcher.decide(path)
        assert decision.excluded == (decision.pattern is not None and not decision.pattern.startswith("!"))


@settings(max_examples=500)
@given(patterns, paths)
def test_nothing_below_a_pruned_folder_comes_back(given_patterns: list[str], path: str):
    try:
        matcher = IgnoreMatcher(given_patterns)
        trail: Trail | None = None
        pruned = False
        parts = path.split("/")
        for size in range(1, len(parts) + 1):
            trail = matcher.enter("/".join(parts[:size]), trail)
            assert trail.excluded or not pruned
            pruned = pruned or trail.prunable
    except IgnorePatternError:
        return


@given(st.lists(st.sampled_from(("a", "*", "b/c", "**/x")), max_size=4), paths)
def test_without_exceptions_walking_and_asking_agree(given_patterns: list[str], path: str):
    matcher = IgnoreMatcher(given_patterns)
    trail: Trail | None = None
    parts = path.split("/")
    for size in range(1, len(parts) + 1):
        trail = matcher.enter("/".join(parts[:size]), trail)
    assert trail is not None
    assert trail.excluded == matcher.excludes(path)


@given(st.text(max_size=60))
def test_reading_an_ignore_file_is_stable(text: str):
    found = read(text)
    assert all(found)
    again = [pattern for pattern in found if not pattern.startswith("#")]
    assert [clean(pattern) for pattern in again if not pattern.startswith("!")] == [
        pattern for pattern in again if not pattern.startswith("!")
    ]
