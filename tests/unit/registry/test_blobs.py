# SPDX-License-Identifier: Apache-2.0
"""Blobs given whole, in part, again, or not at all."""

from __future__ import annotations

import os

import pytest

from scow.oci.digest import sha256_digest
from scow.registry.blobs import SMALL, Blobs, ByteRange, wanted_range
from scow.registry.protocol import RefusedError


def anybody(_request, _name):
    return True


def test_small_ones_from_memory_and_large_ones_from_their_file(store, push, request_of):
    small, large = b"abc", os.urandom(SMALL + 1)
    blobs = Blobs(store, anybody)
    answer = blobs.get(request_of(), "r", push("r", small))
    assert (answer.status, answer.body, answer.file) == (200, small, None)
    answer = blobs.get(request_of(), "r", push("r", large))
    with answer.file.file as file:
        assert (answer.file.offset, answer.file.size, file.read()) == (0, len(large), large)
    answer = blobs.get(request_of(Range="bytes=10-20"), "r", sha256_digest(large))
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (
        206,
        large[10:21],
        f"bytes 10-20/{len(large)}",
    )


def test_head_says_what_get_would(store, push, request_of):
    digest = push("r", b"abc")
    head = Blobs(store, anybody).head(request_of("HEAD"), "r", digest)
    assert (head.status, head.headers["Content-Length"], head.headers["Docker-Content-Digest"]) == (200, "3", digest)
    assert Blobs(store, anybody).head(request_of("HEAD", If_None_Match=f'"{digest}"'), "r", digest).status == 304
    assert Blobs(store, anybody).get(request_of(If_None_Match=f'"{digest}"'), "r", digest).status == 304


def test_what_is_elsewhere_or_nowhere_is_unknown(store, push, request_of):
    digest = push("other", b"abc")
    blobs = Blobs(store, anybody)
    for call in (
        lambda: blobs.get(request_of(), "r", digest),
        lambda: blobs.head(request_of(), "r", digest),
        lambda: blobs.delete("r", digest),
    ):
        with pytest.raises(RefusedError) as caught:
            call()
        assert (caught.value.http_status, caught.value.wire) == (404, "BLOB_UNKNOWN")
    push("r", b"abc")
    os.unlink(store.content.path(digest))  # somebody's hand
    with pytest.raises(RefusedError) as caught:
        blobs.get(request_of(), "r", digest)
    assert caught.value.http_status == 404


def test_deleting_takes_it_from_one_repository(store, push, request_of):
    digest = push("r", b"abc")
    push("s", b"abc")
    assert Blobs(store, anybody).delete("r", digest).status == 202
    assert Blobs(store, anybody).get(request_of(), "s", digest).body == b"abc"


def test_mounting(store, push, request_of):
    digest = push("from", b"abc")
    blobs = Blobs(store, anybody)
    done = blobs.mount(request_of(query={"mount": [digest], "from": ["from"]}), "to")
    assert (done.status, done.headers["Location"]) == (201, f"/v2/to/blobs/{digest}")
    assert blobs.mount(request_of(query={"mount": [digest], "from": ["empty"]}), "to") is None
    assert blobs.mount(request_of(query={"mount": [digest]}), "else").status == 201
    assert blobs.mount(request_of(query={"mount": [sha256_digest(b"nowhere")]}), "to") is None
    with pytest.raises(RefusedError):
        blobs.mount(request_of(query={"mount": ["nonsense"]}), "to")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 4)),
        ("bytes=2-", ByteRange(2, 8)),
        ("bytes=2-50", ByteRange(2, 8)),
        ("bytes=-3", ByteRange(7, 3)),
        ("bytes=-30", ByteRange(0, 10)),
        ("Bytes = 2-5", ByteRange(2, 4)),
        # what RFC 9110 lets a server ignore
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1", None),
        ("bytes=0-" + "9" * 30, None),
    ],
)
def test_ranges(request_of, header, wanted):
    assert wanted_range(request_of(Range=header), 10, '"t"') == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=5-0", "bytes=-0"])
def test_ranges_that_cannot_be(request_of, header):
    with pytest.raises(RefusedError) as caught:
        wanted_range(request_of(Range=header), 10, '"t"')
    assert (caught.value.http_status, caught.value.headers["Content-Range"]) == (416, "bytes */10")


def test_a_range_only_of_what_the_client_has_the_rest_of(request_of):
    assert wanted_range(request_of(Range="bytes=2-5", If_Range='"t"'), 10, '"t"') == ByteRange(2, 4)
    assert wanted_range(request_of(Range="bytes=2-5", If_Range='"u"'), 10, '"t"') is None
