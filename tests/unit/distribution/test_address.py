# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.distribution.address import Address, parse_address, same_origin, split_host


@pytest.mark.parametrize(
    ("url", "address", "netloc"),
    [
        ("http://localhost:5000/v2/", Address("http", "localhost", 5000, "/v2/"), "localhost:5000"),
        (
            "https://Registry.Example/v2/?n=1#x",
            Address("https", "registry.example", 443, "/v2/?n=1"),
            "registry.example",
        ),
        ("HTTPS://a:443", Address("https", "a", 443, "/"), "a"),
        ("http://a:443/b", Address("http", "a", 443, "/b"), "a:443"),
        ("https://a?x=http://b/c", Address("https", "a", 443, "/?x=http://b/c"), "a"),
        ("http://a:/b", Address("http", "a", 80, "/b"), "a"),
        ("http://[::1]:5000/v2/", Address("http", "::1", 5000, "/v2/"), "[::1]:5000"),
        ("https://[FE80::1%25eth0]/", Address("https", "fe80::1%25eth0", 443, "/"), "[fe80::1%25eth0]"),
    ],
)
def test_addresses(url, address, netloc):
    assert parse_address(url) == address
    assert parse_address(url).netloc == netloc


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a/b",
        "//a/b",
        "ftp://a/b",
        "file:///etc/passwd",
        "http:///b",
        "http://:80/b",
        "http://user:word@a/b",
        "http://good.example\\@evil.example/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:٣/",
        "http://a:-1/",
        "http://a:1:2/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[good.example]evil.example/",
        "http://a b/",
        "http://a/\r\nHost: b",
        " http://a/",
        "http://a\tb/",
        "http://ⓐ/",
        "http://a%2fb/",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(ValueError, match="not a"):
        parse_address(url)


@given(st.text(alphabet="htps:/@[]?#\\ab.1%\t é"), st.text(alphabet="ab./?#:@[]\\1"))
def test_what_is_taken_is_taken_as_urllib_takes_it(head, tail):
    for url in (head + tail, "http://" + head + tail, "https://" + tail):
        try:
            address = parse_address(url)
        except ValueError:
            continue
        split = urlsplit(url)
        assert (address.scheme, address.host) == (split.scheme, split.hostname)
        assert address.port == (split.port or (443 if split.scheme == "https" else 80))
        assert address.path == (split.path or "/")


def test_hosts():
    assert split_host("a") == ("a", None)
    assert split_host("A.b:5000") == ("a.b", 5000)
    assert split_host("[::1]:5000") == ("::1", 5000)


def test_one_origin_is_scheme_host_and_port():
    assert same_origin("https://a/b", "HTTPS://A:443/c?d")
    assert not same_origin("https://a/b", "http://a/b")
    assert not same_origin("https://a/b", "https://a:444/b")
    assert not same_origin("https://a/b", "https://a.evil/b")
    assert not same_origin("nonsense", "nonsense"), "nothing goes along to what is no address"
