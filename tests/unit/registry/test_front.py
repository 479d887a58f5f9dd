# SPDX-License-Identifier: Apache-2.0
"""What a server allows, and which handler answers."""

from __future__ import annotations

import json

import pytest

from fakes.private_registry import digest_of
from scow.registry.front import Front, Policy, waits
from scow.registry.protocol import RefusedError
from scow.registry.routes import Route
from scow.registry.tokens import Tokens

TOKENS = Tokens(b"key")
BLOB = f"/v2/r/blobs/{digest_of(b'x')}"


def refused(front, request):
    with pytest.raises(RefusedError) as caught:
        front.route(request)
    return caught.value


def test_methods_that_are_not_possible(store, request_of):
    error = refused(Front(store, Policy(), TOKENS), request_of("POST", "/v2/r/tags/list"))
    assert (error.http_status, error.wire, error.headers["Allow"]) == (405, "UNSUPPORTED", "GET")
    assert refused(Front(store, Policy(), TOKENS), request_of("GET", "/nothing")).http_status == 404
    assert refused(Front(store, Policy(), TOKENS), request_of("POST", "/token")).http_status == 404, (
        "then clients use GET"
    )
    assert refused(Front(store, Policy(), TOKENS), request_of("GET", "/v2/UPPER/tags/list")).wire == "NAME_INVALID"


def test_read_only(store, request_of):
    front = Front(store, Policy(read_only=True), TOKENS)
    changes = [("PUT", "/v2/r/manifests/x"), ("POST", "/v2/r/blobs/uploads/"), ("DELETE", BLOB)]
    for method, path in (*changes, ("POST", "/v2/h.example/r/_trust/tuf/"), ("GET", "/v2/r/_trust/tuf/snapshot.key")):
        error = refused(front, request_of(method, path))
        assert (error.http_status, error.wire) == (405, "UNSUPPORTED")
    assert front.route(request_of("GET", BLOB)).kind == "blob"


def test_without_deletes_uploads_can_still_be_cancelled(store, request_of):
    front = Front(store, Policy(deletes=False), TOKENS)
    assert refused(front, request_of("DELETE", BLOB)).http_status == 405
    assert refused(front, request_of("DELETE", "/v2/r/manifests/x")).http_status == 405
    assert front.route(request_of("DELETE", "/v2/r/blobs/uploads/x")).kind == "upload"


def test_what_has_no_body_is_answered(store, push, request_of):
    front = Front(store, Policy(), TOKENS)

    def ask(method, path, query=None):
        request = request_of(method, path, query)
        return front.answer(request, front.route(request))

    assert ask("GET", "/v2/").body == b"{}"
    assert ask("GET", "/v1/_ping").headers["X-Docker-Registry-Standalone"] == "true"
    assert TOKENS.user_of(json.loads(ask("GET", "/token").body)["token"], 0) == ""
    assert ask("GET", "/v2/_catalog").status == ask("GET", "/v1/search").status == 200
    begun = ask("POST", "/v2/r/blobs/uploads/")
    assert begun.status == 202
    assert ask("GET", begun.headers["Location"]).status == 204
    assert ask("DELETE", begun.headers["Location"]).status == 204
    digest = push("r", b"x")
    assert ask("HEAD", BLOB).status == ask("GET", BLOB).status == 200
    assert ask("POST", "/v2/s/blobs/uploads/", {"mount": [digest], "from": ["r"]}).status == 201
    assert ask("POST", "/v2/s/blobs/uploads/", {"mount": [digest_of(b"y")]}).status == 202
    assert ask("GET", f"/v2/r/referrers/{digest}").status == 200
    assert ask("GET", "/v2/r/tags/list").status == 200
    assert ask("DELETE", BLOB).status == 202
    assert ask("GET", "/v2/h.example/r/_trust/tuf/snapshot.key").status == 200
    assert ask("DELETE", "/v2/h.example/r/_trust/tuf/").status == 200


def test_what_may_take_long_does_not_hold_up_others():
    assert not waits(Route("manifest", "r", "x"), "GET")
    assert not waits(Route("blob", "r", "x"), "GET")
    assert waits(Route("blob", "r", "x"), "HEAD")
    assert waits(Route("search"), "GET")
    assert waits(Route("manifest", "r", "x"), "DELETE")
