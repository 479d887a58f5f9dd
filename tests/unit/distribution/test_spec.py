# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.distribution import spec
from scow.errors import (
    DeniedError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    RateLimitError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)

DIGEST = "sha256:" + "a" * 64


def test_routes():
    assert spec.ping_path() == "/v2/"
    assert spec.manifest_path("a/b", "v1") == "/v2/a/b/manifests/v1"
    assert spec.blob_path("a", DIGEST) == f"/v2/a/blobs/{DIGEST}"
    assert spec.uploads_path("a") == "/v2/a/blobs/uploads/"
    assert spec.uploads_path("a", mount=DIGEST, source="b/c").endswith("?mount=sha256%3A" + "a" * 64 + "&from=b%2Fc")
    assert spec.tags_path("a", 5, "x y") == "/v2/a/tags/list?n=5&last=x+y"
    assert spec.catalog_path() == "/v2/_catalog"
    assert spec.referrers_path("a", DIGEST, "x/y") == f"/v2/a/referrers/{DIGEST}?artifactType=x%2Fy"


@pytest.mark.parametrize(
    ("location", "wanted"),
    [
        ("http://r/u/1", "http://r/u/1?digest=sha256%3Aab"),
        ("http://r/u/1?state=x", "http://r/u/1?state=x&digest=sha256%3Aab"),
    ],
)
def test_the_digest_joins_whatever_query_there_is(location, wanted):
    assert spec.with_digest(location, "sha256:ab") == wanted


@pytest.mark.parametrize(
    ("digest", "tag"),
    [
        (DIGEST, "sha256-" + "a" * 64),
        ("sha512:" + "b" * 128, "sha512-" + "b" * 64),
        (
            "test+algorithm+using+algorithm+separators+and+lots+of+characters+to+excercise+overall+truncation:x+y",
            "test-algorithm-using-algorithm-s-x-y",
        ),
    ],
)
def test_the_fallback_tag_of_referrers(digest, tag):
    assert spec.referrers_tag(digest) == tag


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("", None),
        ('</v2/_catalog?last=b&n=2>; rel="next"', "http://r/v2/_catalog?last=b&n=2"),
        ("<http://other/x>; rel=next", "http://other/x"),
        ('<?last=x,y>; rel="next"', "http://r/v2/_catalog?last=x,y"),
        ('</prev>; rel="prev", </next>; rel="next"', "http://r/next"),
        ('</prev>; rel="prev"', None),
        ("nonsense", None),
    ],
)
def test_links_to_the_next_page(header, wanted):
    assert spec.next_link(header, "http://r/v2/_catalog?n=2") == wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("0-99", 100),
        ("bytes=0-99", 100),
        ("bytes 0-99", 100),
        ("0-0", 0),
        ("0--1", 0),
        ("5-9", 0),
        (None, None),
        ("x", None),
    ],
)
def test_how_far_an_upload_is(header, wanted):
    assert spec.uploaded(header) == wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes 5-9/10", (5, 9, 10)),
        ("bytes 5-9/*", (5, 9, None)),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("items 5-9/10", None),
        ("bytes */10", None),
        ("", None),
        (None, None),
    ],
)
def test_content_ranges(header, wanted):
    assert spec.content_range(header) == wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(header, wanted):
    assert spec.retry_after(header, now=60.0) == wanted


def test_warnings_are_read_once_and_bounded():
    headers = [
        ("Warning", '299 - "a \\"b\\""'),
        ("warning", '299 - "a \\"b\\""'),
        ("Warning", '199 - "no"'),
        ("x", "y"),
    ]
    assert spec.warnings(headers) == ['a "b"']
    assert spec.warnings([("Warning", f'299 - "{"x" * 5000}"')]) == []


def body(*entries):
    return json.dumps({"errors": [{"code": code, "message": message} for code, message in entries]}).encode()


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (400, b"", InvalidArgumentError),
        (401, body(("UNAUTHORIZED", "no")), UnauthenticatedError),
        (403, body(("DENIED", "no")), DeniedError),
        (404, body(("MANIFEST_UNKNOWN", "manifest unknown")), NotFoundError),
        (400, body(("NAME_UNKNOWN", "")), NotFoundError),
        (405, b"", UnsupportedError),
        (404, body(("UNSUPPORTED", "")), UnsupportedError),
        (413, b"", LimitError),
        (429, b"", RateLimitError),
        (403, body(("TOOMANYREQUESTS", "slow down")), RateLimitError),
        (500, b"<html>", UnavailableError),
        (418, b"", InvalidArgumentError),
        (302, b"", UnavailableError),
    ],
)
def test_answers_become_errors_that_say_what_to_do(status, raw, kind):
    error = spec.error_from("GET manifest 1 of r/a", status, {}, raw)
    assert isinstance(error, kind)
    assert error.message.startswith(f"GET manifest 1 of r/a{' not found' * (kind is NotFoundError)}: ")
    assert error.status == status


def test_the_wait_that_a_limit_asks_for_is_kept():
    error = spec.error_from("x", 429, {"retry-after": "7"}, b"")
    assert error.retry_after == 7.0


def test_error_bodies_are_bounded_and_made_printable():
    raw = body(*[("X" * 1000, "\x1b[31m" + "m" * 1000)] * 50)
    found = spec.parse_errors(raw)
    assert len(found) == 10
    assert all(len(entry.message) <= 300 and entry.message.isprintable() for entry in found)
    for junk in (b"", b"[]", b"null", b'{"errors": 5}', b"{" * 100_000, b'{"errors": [1, "x"]}'):
        assert spec.parse_errors(junk) == ()


def test_error_bodies_survive_the_way():
    errors = (spec.WireError("NAME_UNKNOWN", "no"),)
    assert spec.parse_errors(spec.error_body(errors)) == errors


@pytest.mark.parametrize("number", ["\u00b2", "1" * 19, "9" * 5000, "-1", "+1", "1_0"])
def test_numbers_that_are_none(number):
    """A header is Latin-1, where more than ten characters are digits to Python."""
    assert spec.number(number) is None
    assert spec.uploaded(f"0-{number}") in {0, None}
    assert spec.content_range(f"bytes 0-{number}/*") is None
    assert spec.content_range(f"bytes {number}-9/*") is None


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 -0000", "9" * 400, "\u00b2", "x"],
)
def test_a_time_to_wait_that_makes_no_sense(date):
    found = spec.retry_after(date, 0.0)
    assert found is None or found >= 0
