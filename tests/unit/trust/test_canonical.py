# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.trust.canonical import MAX_DEPTH, decode, encode
from scow.trust.failures import MalformedTrustError


def test_one_spelling():
    value = {"b": [1, None, True, False, -2], "a": 'quote " and \\ and \n and é', "é": {}, "Z": []}
    assert encode(value) == '{"Z":[],"a":"quote \\" and \\\\ and \n and é","b":[1,null,true,false,-2],"é":{}}'.encode()


@pytest.mark.parametrize("value", [{"a": 1.5}, {1: "a"}, {"a": b"x"}, {"a": "\ud800"}])
def test_what_has_no_spelling_is_refused(value):
    with pytest.raises(MalformedTrustError):
        encode(value)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":9223372036854775808}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[]",
        b'"a"',
        b"",
        b"<html>",
        b"\xff{}",
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 100_000,
        b'{"a":"' + b"\n" + b'"}',
    ],
)
def test_liberties_are_refused(raw):
    with pytest.raises(MalformedTrustError):
        decode(raw, "it")


def test_the_deepest_is_taken():
    raw = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert encode(decode(raw, "it")) == raw
