# SPDX-License-Identifier: Apache-2.0
"""Refusals in the protocol's words."""

from __future__ import annotations

import json

import pytest

from scow.base.files import NoSpaceError
from scow.base.streams import BlobMismatchError
from scow.distribution.spec import parse_errors
from scow.errors import CorruptError
from scow.registry.protocol import RefusedError, checked_name, digest_of, refusal, unchanged


def test_a_refusal_has_the_code_and_the_headers_it_was_made_with():
    answer = refusal(RefusedError(416, "BLOB_UPLOAD_INVALID", "no", {"Range": "0-4"}))
    assert answer.status == 416
    assert answer.headers["Range"] == "0-4"
    assert parse_errors(answer.body) == (("BLOB_UPLOAD_INVALID", "no"),)


def test_failures_inside_tell_the_client_nothing_about_the_inside():
    answer = refusal(CorruptError("the stored blob in /srv/secret is damaged"))
    assert answer.status == 500
    assert "secret" not in answer.body.decode()
    full = refusal(NoSpaceError("no space left on the disk of '/srv/secret'"))
    assert (full.status, full.headers["Retry-After"]) == (503, "5")
    assert "secret" not in full.body.decode()


def test_wrong_bytes_are_the_clients_fault():
    assert json.loads(refusal(BlobMismatchError("x")).body)["errors"][0]["code"] == "DIGEST_INVALID"
    assert refusal(BlobMismatchError("x")).status == 400


@pytest.mark.parametrize("name", ["a", "library/app", "a.b/c_d/e__f/g---h", "a" * 255])
def test_good_names(name):
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "UPPER", "a//b", "/a", "a/", "..", "a/../b", ".a", "a..b", "a___b", "é", "a" * 256, "a\0b"]
)
def test_bad_names(name):
    with pytest.raises(RefusedError) as caught:
        checked_name(name)
    assert (caught.value.http_status, caught.value.wire) == (400, "NAME_INVALID")


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:zz", "md4:" + "0" * 32, "sha256:" + "A" * 64, "../../etc/passwd"]
)
def test_what_is_no_digest(text):
    with pytest.raises(RefusedError) as caught:
        digest_of(text)
    assert (caught.value.http_status, caught.value.wire) == (400, "DIGEST_INVALID")


def test_entity_tags(request_of):
    assert unchanged(request_of(If_None_Match='"a", "b"'), '"b"')
    assert unchanged(request_of(If_None_Match="*"), '"b"')
    assert not unchanged(request_of(If_None_Match='"a"'), '"b"')
    assert not unchanged(request_of(), '"b"')
