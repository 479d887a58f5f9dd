# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.distribution.challenge import Scope, parse_challenges, parse_scope, repository_scope, union


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([], []),
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (['BEARER Realm = "x" , Service=y'], [("bearer", {"realm": "x", "service": "y"})]),
        (['Bearer realm="x", Basic realm="y"'], [("bearer", {"realm": "x"}), ("basic", {"realm": "y"})]),
        (['Basic realm="a\\"b, c"'], [("basic", {"realm": 'a"b, c'})]),
        (["Bearer realm=https://a/t,service=s"], [("bearer", {"realm": "https://a/t", "service": "s"})]),
        (["Negotiate", 'Basic realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Bearer realm="unclosed'], [("bearer", {"realm": "unclosed"})]),
        (["=,=", ""], []),
    ],
)
def test_challenges(headers, wanted):
    assert [(found.scheme, dict(found.parameters)) for found in parse_challenges(headers)] == wanted


@given(st.lists(st.text(max_size=200), max_size=4))
def test_no_header_breaks_the_parser(headers):
    for found in parse_challenges(headers):
        assert found.scheme == found.scheme.lower()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("repository:a/b:pull,push", Scope("repository", "a/b", frozenset({"pull", "push"}))),
        ("repository(plugin):a:pull", Scope("repository", "a", frozenset({"pull"}))),
        ("repository:host:5000/a:pull", Scope("repository", "host:5000/a", frozenset({"pull"}))),
        ("registry:catalog:*", Scope("registry", "catalog", frozenset({"*"}))),
        ("nonsense", None),
        ("a:b", None),
        ("", None),
    ],
)
def test_scopes(text, wanted):
    assert parse_scope(text) == wanted


def test_rights_are_merged_in_a_stable_order():
    merged = union([repository_scope("b", "push"), repository_scope("a", "pull"), repository_scope("b", "pull")])
    assert [str(scope) for scope in merged] == ["repository:a:pull", "repository:b:pull,push"]
