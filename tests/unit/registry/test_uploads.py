# SPDX-License-Identifier: Apache-2.0
"""The life of an upload: chunks in order, resumed by another process, refused without a trace."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from scow.base.streams import BlobMismatchError
from scow.oci.digest import sha256_digest
from scow.registry.protocol import RefusedError
from scow.registry.storage import RegistryStore
from scow.registry.uploads import Uploads, wanted_digest


@pytest.fixture
def uploads(store):
    return Uploads(store, 100, 3)


@pytest.fixture
def write(request_of):
    def run(uploads, key, data, span="", name="r", length=True):
        headers = {"Content_Range": span} if span else {}
        receiving = uploads.open(name, key, request_of("PATCH", **headers), len(data) if length else None)
        try:
            receiving.write([data])
        finally:
            receiving.keep()
        return receiving.offset

    return run


def refused(status, call, *args, **named):
    with pytest.raises(RefusedError) as caught:
        call(*args, **named)
    assert caught.value.http_status == status, caught.value
    return caught.value


def end(uploads, request_of, key, data, name="r"):
    receiving = uploads.open(name, key, request_of("PUT"), 0)
    try:
        receiving.commit(name, sha256_digest(data))
    finally:
        receiving.keep()


def test_chunks_in_order(uploads, store, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    assert uploads.status("r", key).headers["Range"] == "0-0"
    assert write(uploads, key, b"01234", "0-4") == 5
    assert uploads.status("r", key).headers["Range"] == "0-4"
    assert write(uploads, key, b"567", "bytes 5-7/8") == 8
    end(uploads, request_of, key, b"01234567")
    assert store.content.read(sha256_digest(b"01234567")) == b"01234567"
    refused(404, uploads.status, "r", key)


@pytest.mark.parametrize(
    ("span", "status"), [("1-5", 416), ("0-9", 400), ("5-1", 400), ("a-b", 400), ("0-99999999999999999999", 400)]
)
def test_chunks_that_do_not_fit_change_nothing(uploads, write, request_of, span, status):
    key = uploads.begin("r", request_of("POST"))
    error = refused(status, write, uploads, key, b"01234", span)
    if status == 416:
        assert error.headers["Range"] == "0-0"
        assert error.headers["Location"].endswith(key)
    assert write(uploads, key, b"01234", "0-4") == 5
    assert refused(416, write, uploads, key, b"01234", "0-4").headers["Range"] == "0-4"


def test_another_process_goes_on_by_reading_what_is_there(uploads, store, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    write(uploads, key, b"abc")
    other = Uploads(RegistryStore(store.root), 100, 3)
    write(other, key, b"def", "3-5")
    write(uploads, key, b"ghi", "6-8")  # and back: what this one remembers is no longer how far it is
    end(other, request_of, key, b"abcdefghi")
    assert store.has("r", sha256_digest(b"abcdefghi"))


def test_only_one_request_at_a_time(uploads, store, request_of):
    key = uploads.begin("r", request_of("POST"))
    receiving = uploads.open("r", key, request_of("PATCH"), 1)
    other = Uploads(RegistryStore(store.root), 100, 3)
    assert refused(409, other.open, "r", key, request_of("PATCH"), 1).headers["Retry-After"] == "1"
    receiving.keep()
    other.open("r", key, request_of("PATCH"), 1).keep()


def test_a_body_can_be_taken_back(uploads, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    write(uploads, key, b"abc")
    receiving = uploads.open("r", key, request_of("PATCH"), None)
    receiving.write([b"too ", b"much"])
    receiving.back()
    receiving.keep()
    assert uploads.status("r", key).headers["Range"] == "0-2"
    end(uploads, request_of, key, b"abc")


def test_a_wrong_digest_ends_the_upload(uploads, store, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    write(uploads, key, b"abc")
    with pytest.raises(BlobMismatchError):
        end(uploads, request_of, key, b"abd")
    refused(404, uploads.status, "r", key)
    assert list(store.content) == []


def test_the_digest_may_be_of_another_algorithm_than_was_begun_with(uploads, store, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    write(uploads, key, b"abc")
    digest = wanted_digest(request_of(query={"digest": ["sha512:" + hashlib.sha512(b"abc").hexdigest()]}))
    receiving = uploads.open("r", key, request_of("PUT"), 0, digest.algorithm)
    receiving.commit("r", digest)
    assert store.content.read(digest) == b"abc"
    early = uploads.begin("r", request_of("POST", query={"digest-algorithm": ["sha512"]}))
    assert early.startswith("sha512-")
    assert (
        refused(400, uploads.begin, "r", request_of("POST", query={"digest-algorithm": ["md5"]})).wire
        == "DIGEST_INVALID"
    )


def test_sizes_are_bounded(uploads, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    assert refused(413, write, uploads, key, b"x" * 101).wire == "SIZE_INVALID"
    assert refused(413, write, uploads, key, b"x", "0-100", length=False).wire == "SIZE_INVALID"
    assert write(uploads, key, b"x" * 100) == 100
    refused(413, write, uploads, key, b"x")


def test_unfinished_uploads_are_bounded_and_expire(uploads, store, request_of):
    keys = [uploads.begin("r", request_of("POST")) for _ in range(3)]
    assert refused(429, uploads.begin, "r", request_of("POST")).wire == "TOOMANYREQUESTS"
    path = os.path.join(store.root, "ingest", keys[0])
    os.utime(path, (time.time() - 1000,) * 2)
    store.content.sweep_ingests(900)
    refused(404, uploads.status, "r", keys[0])
    assert uploads.status("r", keys[1]).status == 204
    uploads.begin("r", request_of("POST"))


def test_cancelling(uploads, store, write, request_of):
    key = uploads.begin("r", request_of("POST"))
    write(uploads, key, b"abc")
    assert uploads.cancel("r", key, request_of("DELETE")).status == 204
    refused(404, uploads.status, "r", key)
    refused(404, uploads.cancel, "r", key, request_of("DELETE"))
    assert os.listdir(os.path.join(store.root, "ingest")) == []


@pytest.mark.parametrize(
    "key", ["x", "../../scow.db", "sha256-" + "a" * 32, "sha256-" + "a" * 32 + "-x", "once-1", "é" * 40]
)
def test_keys_that_are_not_ours(uploads, key, request_of):
    assert refused(404, uploads.status, "r", key).wire == "BLOB_UPLOAD_UNKNOWN"
    assert refused(404, uploads.open, "r", key, request_of(), 0).wire == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_belongs_to_its_repository(uploads, request_of):
    key = uploads.begin("r", request_of("POST"))
    refused(404, uploads.status, "s", key)


def test_the_digest_that_ends_it_must_be_one(request_of):
    assert refused(400, wanted_digest, request_of()).wire == "DIGEST_INVALID"
    assert refused(400, wanted_digest, request_of(query={"digest": ["md4:" + "0" * 32]})).wire == "DIGEST_INVALID"
