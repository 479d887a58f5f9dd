# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.distribution import uploads
from scow.oci.digest import Digest

HERE = "http://r:5000/v2/a/blobs/uploads/"


def test_a_start_needs_a_place():
    assert uploads.started(202, HERE, {}) is None
    assert uploads.started(200, HERE, {"location": "/x"}) is None
    assert uploads.started(201, HERE, {}) == uploads.Upload(uploads.DONE, HERE)
    found = uploads.started(202, HERE, {"location": "/v2/a/blobs/uploads/1?s=2", "oci-chunk-min-length": "1024"})
    assert found == uploads.Upload(uploads.OPEN, "http://r:5000/v2/a/blobs/uploads/1?s=2", 0, 1024)


@pytest.mark.parametrize(
    ("method", "status", "headers", "sent", "wanted"),
    [
        ("PATCH", 202, {"location": "/2", "range": "0-9"}, 10, (uploads.OPEN, "http://r:5000/2", 10)),
        ("PATCH", 202, {"location": "/2"}, 10, (uploads.OPEN, "http://r:5000/2", 10)),
        ("PATCH", 202, {"location": "/2", "range": "0-4"}, 10, (uploads.OPEN, "http://r:5000/2", 5)),
        ("PATCH", 202, {}, 10, (uploads.OPEN, "http://r:5000/1", 10)),
        ("PATCH", 416, {"range": "0-4"}, 10, (uploads.OPEN, "http://r:5000/1", 0)),
        ("PATCH", 404, {}, 10, (uploads.GONE, "http://r:5000/1", 0)),
        ("GET", 204, {"location": "/3", "range": "0-99"}, 0, (uploads.OPEN, "http://r:5000/3", 100)),
        ("PUT", 201, {"location": "/v2/a/blobs/x"}, 10, (uploads.DONE, "http://r:5000/1", 10)),
        ("PUT", 400, {}, 10, (uploads.FAILED, "http://r:5000/1", 0)),
        ("DELETE", 204, {}, 0, (uploads.GONE, "http://r:5000/1", 0)),
    ],
)
def test_the_table(method, status, headers, sent, wanted):
    found = uploads.advanced(uploads.Upload(uploads.OPEN, "http://r:5000/1"), method, status, headers, sent)
    assert found is not None
    assert found[:3] == wanted


@pytest.mark.parametrize(("method", "status"), [("PATCH", 500), ("PUT", 302), ("POST", 202), ("GET", 401)])
def test_what_is_not_in_the_table(method, status):
    assert uploads.advanced(uploads.Upload(uploads.OPEN, "http://r/1"), method, status, {}) is None


def test_nothing_follows_the_end():
    done = uploads.Upload(uploads.DONE, "http://r/1")
    assert all(uploads.advanced(done, method, 202, {}) is None for method in ("PATCH", "PUT", "GET", "DELETE"))


def test_chunks_and_the_close():
    assert uploads.chunk_range(10, 5) == "10-14"
    upload = uploads.Upload(uploads.OPEN, "http://r/1?x=y")
    assert uploads.closing_url(upload, Digest("sha256:" + "0" * 64)) == "http://r/1?x=y&digest=sha256%3A" + "0" * 64


@pytest.mark.parametrize("least", ["\u00b2", "9" * 5000, "x"])
def test_a_smallest_chunk_that_is_no_number(least):
    found = uploads.started(202, HERE, {"location": "/1", "oci-chunk-min-length": least})
    assert found is not None
    assert found.chunk_min == 0
