# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.imaging import QUICK, Made
from fakes.registry import FakeRegistry
from scow.distribution.accounts import login_domain, split_term
from scow.distribution.client import RegistryClient
from scow.distribution.registry import Found, NoSearchError, parse_filters
from scow.errors import InvalidArgumentError, UnauthenticatedError

ENTRIES = [
    {"name": "library/app", "description": "the\nofficial one", "star_count": 900, "is_official": True},
    {"name": "a/app", "description": "", "star_count": 5, "is_official": False, "is_automated": True},
    {"name": "b/app-tools", "description": None, "star_count": "many"},
]


def registry_of(fake, tmp_path):
    client = RegistryClient(str(tmp_path), {"SCOW_DAEMON_JSON": ""}, retry=QUICK)
    return client.registry(fake.address)


def pairs(filters):
    return parse_filters([tuple(text.split("=", 1)) for text in filters])


def test_a_search_page_is_asked_first(tmp_path):
    with FakeRegistry(search=ENTRIES) as fake:
        found = registry_of(fake, tmp_path).search("app")
        assert found == [
            Found("app", "the official one", 900, True, False),
            Found("a/app", "", 5, False, True),
            Found("b/app-tools"),
        ]
        assert fake.requests(route="search")[0].query == {"q": "app", "n": "25"}


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (["is-official=true"], ["app"]),
        (["is-official=0"], ["a/app", "b/app-tools"]),
        (["stars=6"], ["app"]),
        (["stars=5", "is-automated=true"], ["a/app"]),
        (["stars=-3", "stars=900", "stars=4"], ["app"]),
        (["is-official=true", "is-official=1"], ["app"]),
        ([], ["app", "a/app", "b/app-tools"]),
    ],
)
def test_filters_are_applied_before_the_limit(tmp_path, filters, wanted):
    with FakeRegistry(search=ENTRIES) as fake:
        found = registry_of(fake, tmp_path).search("app", 25, pairs(filters))
        assert [entry.name for entry in found] == wanted
        if filters:
            assert fake.requests(route="search")[0].query["n"] == "100"


def test_without_a_search_page_the_catalog_is_walked(tmp_path):
    with FakeRegistry() as fake:
        fake.page = 2
        for name in ("team/app", "app", "other", "team/my-app-x", "zzz"):
            Made([{}]).put(fake, name, "v1")
        assert [found.name for found in registry_of(fake, tmp_path).search("app")] == [
            "app",
            "team/app",
            "team/my-app-x",
        ]
        assert len(fake.requests(route="catalog")) == 3


def test_a_registry_that_tells_nothing(tmp_path):
    with FakeRegistry() as fake:
        fake.hook = lambda r: (404, {}, b"") if r.route in {"catalog", "search"} else None
        with pytest.raises(NoSearchError, match="offers no search"):
            registry_of(fake, tmp_path).search("app")
    with FakeRegistry(auth="u:p") as fake, pytest.raises(UnauthenticatedError):
        registry_of(fake, tmp_path).search("app")


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_limits(tmp_path, limit):
    with FakeRegistry() as fake, pytest.raises(InvalidArgumentError, match="outside the range"):
        registry_of(fake, tmp_path).search("app", limit)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["zebra=1"], "zebra"),
        (["stars=many"], "stars=many"),
        (["stars="], "stars="),
        (["is-official=maybe"], "is-official=[maybe]"),
        (["is-official=TRUE"], "is-official=[TRUE]"),
        (["is-automated="], "is-automated=[]"),
        (["is-official=true", "is-official=false"], "is-official=[true false]"),
    ],
)
def test_filters_that_do_not_exist(texts, said):
    with pytest.raises(InvalidArgumentError) as caught:
        pairs(texts)
    assert caught.value.message == f"Invalid filter '{said}'"


def test_an_answer_that_is_no_list_falls_back(tmp_path):
    with FakeRegistry() as fake:
        Made([{}]).put(fake, "app", "v1")
        fake.hook = lambda r: (200, {}, b"<html>") if r.route == "search" else None
        assert [found.name for found in registry_of(fake, tmp_path).search("app")] == ["app"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("http://r.example:5000/v2/", "r.example:5000"),
        ("localhost:5000", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_what_users_type_to_log_in(text, wanted):
    assert login_domain(text) == wanted


@pytest.mark.parametrize("text", ["ftp://x", "a b", "user@host", "https://", "h\u00e9"])
def test_what_is_no_registry(text):
    with pytest.raises(InvalidArgumentError):
        login_domain(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("alpine", ("docker.io", "alpine")),
        ("team/alpine", ("docker.io", "team/alpine")),
        ("localhost/x", ("localhost", "x")),
        ("r.example/a/b", ("r.example", "a/b")),
        ("r:5000/", ("r:5000", "")),
    ],
)
def test_what_users_search_for(text, wanted):
    assert split_term(text) == wanted
