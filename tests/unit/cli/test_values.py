# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.cli.values import one_of, quote, read_bytes, read_decimal, read_duration, read_int, split_csv


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10", 10),
        ("1k", 1024),
        ("1K", 1024),
        ("512m", 512 << 20),
        ("1.5g", 3 << 29),
        ("1.5 GiB", 3 << 29),
        ("2kb", 2048),
        ("7b", 7),
        ("1t", 1 << 40),
        ("1p", 1 << 50),
        (".5k", 512),
    ],
)
def test_sizes(text, size):
    assert read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1kk", "1bb", "1 k i", "one", "1..2m", "1e", "nan", "inf"])
def test_malformed_sizes(text):
    with pytest.raises(ValueError, match="invalid"):
        read_bytes(text)


def test_decimal_sizes():
    assert read_bytes("2kB", decimal=True) == 2000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 10**9),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("-1m", -60 * 10**9),
        ("+5ms", 5_000_000),
        ("1µs", 1000),
        ("1.0000000005s", 1_000_000_000),
    ],
)
def test_durations(text, nanoseconds):
    assert read_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", ".", "1q", "1s2", "-", "1.2.3s", "9999999h", "1s s", "1S"])
def test_malformed_durations(text):
    with pytest.raises(ValueError, match=r"^time: "):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("017", 15), ("0o17", 15), ("0x1f", 31), ("0b11", 3), ("1_000", 1000), ("+5", 5), ("-0x10", -16)],
)
def test_integers(text, number):
    assert read_int(text) == number


@pytest.mark.parametrize("text", ["", "x", "1.5", "1__0", "_1", "1_", " 1", "1 ", "08", "0x", "--1", "٣"])
def test_malformed_integers(text):
    with pytest.raises(ValueError, match="invalid syntax"):
        read_int(text)


def test_integers_are_bounded():
    assert read_int("9223372036854775807") == (1 << 63) - 1
    with pytest.raises(ValueError, match="value out of range"):
        read_int("9223372036854775808")
    with pytest.raises(ValueError, match="value out of range"):
        read_int("65536", bits=16, signed=False)
    with pytest.raises(ValueError, match="invalid syntax"):
        read_int("-1", signed=False)


def test_billionths():
    assert read_decimal("1.5") == 1_500_000_000
    assert read_decimal("1/2") == 500_000_000
    with pytest.raises(ValueError, match="too precise"):
        read_decimal("0.0000000001")
    with pytest.raises(ValueError, match="rational number"):
        read_decimal("1/0")


def test_csv():
    assert split_csv('a,"b,c",d') == ["a", "b,c", "d"]
    assert split_csv("") == []
    with pytest.raises(ValueError, match="quote"):
        split_csv('a,"b')


def test_quoting_is_go_s():
    assert quote('a"b\\\n\x01é\u200b') == '"a\\"b\\\\\\n\\x01é\\u200b"'
    assert quote(b"\xff".decode("utf-8", "surrogateescape")) == '"\\xff"'


def test_choices():
    assert one_of(("a",)) == '"a"'
    assert one_of(("a", "b", "c")) == '"a", "b" or "c"'
