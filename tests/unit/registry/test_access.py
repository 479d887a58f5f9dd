# SPDX-License-Identifier: Apache-2.0
"""Who may do what where."""

from __future__ import annotations

import pytest

from fakes.private_registry import digest_of
from scow.errors import InvalidArgumentError
from scow.registry.access import DELETE, PULL, PUSH, Access, needed
from scow.registry.front import Front, Policy
from scow.registry.protocol import RefusedError
from scow.registry.routes import Route, find_route
from scow.registry.tokens import Tokens

RULES = """
anonymous  public/* pull
*      base/*   pull
alice  team/*   push
ci     *        push,delete
"""


@pytest.fixture
def access(tmp_path):
    (tmp_path / "rules").write_text(RULES)
    return Access(str(tmp_path / "rules"))


@pytest.mark.parametrize(
    ("user", "repository", "rights"),
    [
        ("alice", "base/debian", {PULL}),
        ("alice", "team/app", {PULL, PUSH}),
        ("alice", "team/deep/er", {PULL, PUSH}),
        ("alice", "teams", set()),
        ("bob", "team/app", set()),
        ("ci", "anything", {PULL, PUSH, DELETE}),
        ("*", "team/app", set()),
        ("bob", "public/app", {PULL}),
        ("", "public/app", {PULL}),
        ("", "base/debian", set()),
    ],
)
def test_rights(access, user, repository, rights):
    assert {right for right in (PULL, PUSH, DELETE) if access.allows(user, repository, right)} == rights


@pytest.mark.parametrize("line", ["alice", "alice team/*", "alice team/* pull,fly", "alice team/* pull push", "a b ,"])
def test_lines_that_are_no_rule(tmp_path, line):
    (tmp_path / "rules").write_text(line)
    with pytest.raises(InvalidArgumentError, match="line 1"):
        Access(str(tmp_path / "rules"))


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v2/r/manifests/x", PULL),
        ("HEAD", "/v2/r/blobs/x", PULL),
        ("GET", "/v2/r/tags/list", PULL),
        ("GET", "/v2/r/referrers/x", PULL),
        ("PUT", "/v2/r/manifests/x", PUSH),
        ("DELETE", "/v2/r/manifests/x", DELETE),
        ("DELETE", "/v2/r/blobs/x", DELETE),
        ("POST", "/v2/r/blobs/uploads/", PUSH),
        ("GET", "/v2/r/blobs/uploads/x", PUSH),
        ("DELETE", "/v2/r/blobs/uploads/x", PUSH),
        ("GET", "/v2/localhost:5000/a/_trust/tuf/root.json", PULL),
        ("POST", "/v2/localhost:5000/a/_trust/tuf/", PUSH),
        ("GET", "/v2/localhost:5000/a/_trust/tuf/snapshot.key", PUSH),
        ("DELETE", "/v2/localhost:5000/a/_trust/tuf/", DELETE),
    ],
)
def test_what_a_request_needs(method, path, right):
    assert needed(find_route(path), method) == right


def test_a_refusal_says_what_is_missing(access):
    with pytest.raises(RefusedError, match="bob may not push in team/app") as caught:
        access.check("bob", Route("uploads", "team/app"), "POST")
    assert (caught.value.http_status, caught.value.wire) == (403, "DENIED")
    access.check("bob", Route("ping"), "GET")
    with pytest.raises(RefusedError, match="an account is needed to pull in team/app") as caught:
        access.check("", Route("manifest", "team/app", "x"), "GET")
    assert (caught.value.http_status, caught.value.wire) == (401, "UNAUTHORIZED")
    assert access.knows_everybody


def test_a_mount_gives_nothing_away(access, store, push, request_of):
    digest = push("secret/app", b"x")
    push("base/debian", b"y")
    front = Front(store, Policy(), Tokens(b"key"), access)

    def mount(**query):
        request = request_of(
            "POST", "/v2/team/app/blobs/uploads/", {key.strip("_"): [value] for key, value in query.items()}
        )
        request = request._replace(user="alice")
        return front.answer(request, front.route(request)).status

    assert mount(mount=digest, from_="secret/app") == 202
    assert mount(mount=digest) == 202
    assert mount(mount=digest_of(b"y"), from_="base/debian") == 201
    push("base/x", b"x")
    assert mount(mount=digest) == 201, "now it is where they may pull from, too"
