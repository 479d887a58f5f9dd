# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.base.clock import parse_duration, parse_moment, parse_time, rfc3339, source_date_epoch
from scow.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2020-02-29T12:34:56Z", calendar.timegm((2020, 2, 29, 12, 34, 56))),
        ("2020-02-29T12:34:56.25+01:30", calendar.timegm((2020, 2, 29, 11, 4, 56)) + 0.25),
        ("2020-02-29T12:34:56-0800", calendar.timegm((2020, 2, 29, 20, 34, 56))),
        ("2020-02-29", calendar.timegm((2020, 2, 29, 0, 0, 0))),
        ("2020-02-29T12:34", calendar.timegm((2020, 2, 29, 12, 34, 0))),
        ("1969-12-31T23:59:59Z", -1),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("2020-02-29T12:34:56.125Z", calendar.timegm((2020, 2, 29, 12, 34, 56)) + 0.125),
        ("2020-02-29t12:34:56.125z", calendar.timegm((2020, 2, 29, 12, 34, 56)) + 0.125),
    ],
)
def test_parse_time(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2020-13-01",
        "2020-01-01T25:00:00Z",
        "2020-01-01T00:00:00Zx",
        "20-1-1",
        "2020-01-01T00:00:00.Z",
        "2020-01-01T00:00:60.1.2Z",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(InvalidArgumentError, match="is not a time"):
        parse_time(text)


@given(st.integers(-62135596800, 253402300799))
def test_times_round_trip(seconds):
    assert parse_time(rfc3339(seconds)) == seconds


def test_fractions_lose_their_zeros():
    assert rfc3339(1.5) == "1970-01-01T00:00:01.5Z"
    assert rfc3339(1, 120_000) == "1970-01-01T00:00:01.00012Z"
    assert rfc3339(1) == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("250ms", 0.25), ("-1.5s", -1.5), ("0", 0), ("1us", 1e-6), ("1µs", 1e-6), ("+2m", 120)],
)
def test_parse_duration(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "1d", "h", "1h 2m", "1.2.3s"])
def test_what_is_no_duration(text):
    with pytest.raises(InvalidArgumentError, match="is not a duration"):
        parse_duration(text)


def test_parse_moment():
    assert parse_moment("1000.5", 0) == 1000.5
    assert parse_moment("2h", 10_000) == 10_000 - 7200
    assert parse_moment("1970-01-02", 0) == 86400
    with pytest.raises(InvalidArgumentError, match='failed to parse value as time or duration: "soon"'):
        parse_moment("soon", 0)


def test_source_date_epoch():
    assert source_date_epoch({}) is None
    assert source_date_epoch({"SOURCE_DATE_EPOCH": "0"}) == 0
    with pytest.raises(InvalidArgumentError):
        source_date_epoch({"SOURCE_DATE_EPOCH": "-1"})
