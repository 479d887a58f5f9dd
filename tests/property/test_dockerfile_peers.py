# SPDX-License-Identifier: Apache-2.0
"""The Dockerfile room beside other readers of the same language: the official parser as a wheel, and a port of it.

Where a peer is known to differ from today's reference, its inputs are left out, with the reason.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scow.dockerfile import words
from scow.dockerfile.errors import DockerfileError, IgnorePatternError, WordError
from scow.dockerfile.ignore import IgnoreMatcher
from scow.dockerfile.parser import parse

pytestmark = pytest.mark.interop

ENV = {"A": "1", "B": "two words", "E": "", "P": "/usr/lib/x.so.1", "Q": "it's"}
REFUSED = object()

word_pieces = st.sampled_from(
    ("$A", "${B}", "${E:-", "${U-", "${P#", "${P%%", "${P/", "${P//", "}", "/", "*", "?", "x", "so", " ", "'", '"', "\\", "`", "<<", "$", ".")
)  # fmt: skip
pattern_pieces = st.sampled_from(("a", "b", "ab", "*", "**", "/", "?", "[ab]", "[^b]", ".c", "é", "!"))
paths = st.lists(st.sampled_from(("a", "b", "ab", "x.c", "é")), min_size=1, max_size=4).map("/".join)
lines = st.sampled_from(
    (
        "RUN a \\\n", "  b\n", 'RUN ["a", "b"]\n', "COPY --from=x a b\n", "ENV A=1 B='x y'\n", "ENV A b c\n",
        "# comment\n", "\n", 'LABEL a="b\\" c" d=e\\ f\n', "EXPOSE 80  90\n", 'VOLUME ["/a"]\n', "WORKDIR /a b\n",
        "CMD echo 'x\n", "ONBUILD RUN x\n", "HEALTHCHECK --interval=5s CMD a b\n", "ARG X Y=1\n", "RUN x\r\n", "STOPSIGNAL 9\n",
    )
)  # fmt: skip


@given(st.lists(lines, max_size=8).map(lambda parts: "FROM base\n" + "".join(parts)))
def test_the_official_parser_splits_alike(text: str):
    """PyPI ``dockerfile`` is an older official parser; the words of a fault's file are not compared."""
    peer: Any = pytest.importorskip("dockerfile", reason="the PyPI package 'dockerfile' is not installed")
    try:
        theirs = [(c.cmd.lower(), c.start_line, tuple(c.flags), c.json) for c in peer.parse_string(text)]
    except peer.GoParseError:
        theirs = None
    try:
        parsed = parse(text)
    except DockerfileError as error:
        assert theirs is None or error.kind != "empty"
        return
    assert theirs is not None
    assert [(n.keyword.lower(), n.span.first, n.flags, n.json) for n in parsed.instructions] == theirs


@given(st.lists(word_pieces, max_size=9).map("".join), st.sampled_from("\\`"))
def test_words_expand_alike(text: str, escape: str):
    peer: Any = pytest.importorskip("e2b_dockerfile_utils", reason="'e2b-dockerfile-utils' is not installed")
    try:
        theirs = peer.ShellLex(escape, env=ENV, skip_unset_env=False).process_word(text)
    except ValueError:
        theirs = REFUSED
    try:
        mine = words.expand(text, ENV, escape).text
    except WordError:
        mine = REFUSED
    assert mine == theirs


@given(st.lists(st.lists(pattern_pieces, min_size=1, max_size=5).map("".join), max_size=3), paths)
def test_paths_are_ignored_alike(patterns: list[str], path: str):
    """Patterns that begin with a slash are left out: the peer takes it off, as reading a file does."""
    peer: Any = pytest.importorskip("e2b_dockerfile_utils", reason="'e2b-dockerfile-utils' is not installed")
    assume(not any(pattern.lstrip("!").startswith("/") or "!" in pattern[1:] for pattern in patterns))
    try:
        theirs = peer.PatternMatcher(patterns).matches(path)
    except ValueError:
        theirs = REFUSED
    try:
        mine: object = IgnoreMatcher(patterns).excludes(path)
    except IgnorePatternError:
        mine = REFUSED
    assert mine == theirs
