# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.base.clock import write_duration
from scow.build.wording import plain_list, quote, quoted_list, run_line


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a b", '"a b"'),
        ('say "hi"\\', '"say \\"hi\\"\\\\"'),
        ("\n\t\a", '"\\n\\t\\a"'),
        ("\x01\x7f", '"\\x01\\x7f"'),
        ("\u00e9\u2603", '"\u00e9\u2603"'),
        ("\u200b", '"\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("\udcff", '"\\xff"'),
    ],
)
def test_quote(text, quoted):
    assert quote(text) == quoted


def test_lists():
    assert quoted_list(["sh", "-c", "x y"]) == '["sh" "-c" "x y"]'
    assert quoted_list([]) == "[]"
    assert plain_list(["80/tcp", "/v"]) == "[80/tcp /v]"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5\u00b5s"),
        (250_000_000, "250ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (3_661_000_000_001, "1h1m1.000000001s"),
        (-2_000_000_000, "-2s"),
    ],
)
def test_duration(nanoseconds, text):
    assert write_duration(nanoseconds) == text


def test_run_line_shows_what_arguments_hold():
    assert run_line(["sh", "-c", "x"], [], {}, {}) == "RUN sh -c x"
    assert run_line(["x"], ["A", "B", "A"], {"A": "1"}, {"B": "2"}) == "RUN |2 A=1 B=2 x"
