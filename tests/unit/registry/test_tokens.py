# SPDX-License-Identifier: Apache-2.0
"""Tokens say who somebody is, for a while, and only those that the registry signed."""

from __future__ import annotations

import base64
import json

import pytest

from scow.distribution.challenge import parse_challenges, parse_scope
from scow.registry.routes import Route
from scow.registry.storage import RegistryStore
from scow.registry.tokens import SECONDS, Tokens, challenge

NOW = 1_000_000.0


@pytest.fixture
def tokens():
    return Tokens(b"key")


@pytest.mark.parametrize("user", ["alice", "", "pä:s.s"])
def test_there_and_back(tokens, user):
    answer = json.loads(tokens.issue(user, NOW))
    assert answer["token"] == answer["access_token"]
    assert answer["expires_in"] == SECONDS
    assert tokens.user_of(answer["token"], NOW + SECONDS - 1) == user
    assert tokens.user_of(answer["token"], NOW + SECONDS) is None


def test_what_somebody_else_made_is_none(tokens):
    good = json.loads(tokens.issue("alice", NOW))["token"]
    claims, _, signature = good.partition(".")
    forged = base64.urlsafe_b64encode(json.dumps(["admin", NOW + 9e9]).encode()).decode()
    others = json.loads(Tokens(b"other").issue("alice", NOW))["token"]
    for bad in (
        "",
        ".",
        "x",
        claims,
        f"{claims}.",
        f"{forged}.{signature}",
        good[:-1],
        others,
        "é." + signature,
        good + "x" * 9000,
    ):
        assert tokens.user_of(bad, NOW) is None


def test_where_to_get_one():
    text = challenge("https://host:5000", Route("uploads", "team/app"), "POST")
    (found,) = parse_challenges([text])
    assert (found.scheme, found.parameters["realm"]) == ("bearer", "https://host:5000/token")
    assert found.parameters["service"] == "host:5000"
    assert str(parse_scope(found.parameters["scope"])) == "repository:team/app:pull,push"
    assert challenge("http://h", Route("blob", "r", "x"), "HEAD").endswith('scope="repository:r:pull"')
    assert "scope" not in challenge("http://h", Route("ping"), "GET")
    assert "scope" not in challenge("http://h", None, "GET")


def test_servers_of_one_directory_sign_alike(store):
    assert store.secret() == RegistryStore(store.root).secret()
    assert len(store.secret()) == 32
