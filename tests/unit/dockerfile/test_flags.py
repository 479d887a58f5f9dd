# SPDX-License-Identifier: Apache-2.0
"""Durations as Go writes them."""

from __future__ import annotations

import pytest

from scow.dockerfile.errors import FaultError
from scow.dockerfile.flags import duration, retries


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("1s", 10**9),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("1.5h", 5_400 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("-1m", -60 * 10**9),
        ("+1µs", 1000),
        ("1μs", 1000),
    ],
)
def test_durations(text: str, nanoseconds: int):
    assert duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "-", "1", "s", ".s", "1d", "1s ", "3000000h", "1.2.3s", "--1s"])
def test_no_durations(text: str):
    with pytest.raises(ValueError):
        duration(text)


def test_retries():
    assert retries("") == 0
    assert retries("+3") == 3
    with pytest.raises(FaultError, match="invalid number"):
        retries("4294967296")
