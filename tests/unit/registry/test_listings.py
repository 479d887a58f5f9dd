# SPDX-License-Identifier: Apache-2.0
"""Lists in pages, and what docker search is told."""

from __future__ import annotations

import json

import pytest

from scow.distribution.spec import next_link
from scow.oci.digest import sha256_digest
from scow.registry.listings import Listings
from scow.registry.metadata import NewManifest
from scow.registry.protocol import RefusedError

TAGS = ["a", "A", "b", "_x", "0.1", "0.10", "0.2"]


@pytest.fixture
def listings(store):
    new = NewManifest(sha256_digest(b"x"), "t", 1, [], description="Serves the web")
    for name, tags in (("team/app", TAGS), ("library/app", ["latest"]), ("zoo", ["latest"])):
        store.metadata.put_manifest(name, new, tags, 1e9)
    return Listings(store.metadata, lambda request, name: request.user != "guest" or name != "team/app")


def read(answer):
    return json.loads(answer.body)


def test_tags_to_the_end(listings, request_of):
    whole = listings.tags(request_of(path="/v2/team/app/tags/list"), "team/app")
    assert read(whole) == {"name": "team/app", "tags": sorted(TAGS)}
    assert "Link" not in whole.headers
    seen, query = [], {"n": ["3"]}
    while query:
        answer = listings.tags(request_of(path="/v2/team/app/tags/list", query=query), "team/app")
        seen.append(read(answer)["tags"])
        link = next_link(answer.headers.get("Link"), "http://h/v2/team/app/tags/list")
        query = {"n": ["3"], "last": [seen[-1][-1]]} if link else None
        assert link in (None, f"http://h/v2/team/app/tags/list?n=3&last={seen[-1][-1]}")
    assert [len(page) for page in seen] == [3, 3, 1]
    assert [tag for page in seen for tag in page] == sorted(TAGS)


def test_a_page_of_nothing_has_no_next(listings, request_of):
    answer = listings.tags(request_of(query={"n": ["0"]}), "team/app")
    assert (read(answer)["tags"], "Link" in answer.headers) == ([], False)


@pytest.mark.parametrize("n", ["-1", "x", "1e3", "9" * 19])
def test_numbers_that_are_none(listings, request_of, n):
    with pytest.raises(RefusedError) as caught:
        listings.tags(request_of(query={"n": [n]}), "team/app")
    assert (caught.value.http_status, caught.value.wire) == (400, "PAGINATION_NUMBER_INVALID")


def test_an_unknown_repository(listings, request_of):
    with pytest.raises(RefusedError) as caught:
        listings.tags(request_of(), "nobody")
    assert (caught.value.http_status, caught.value.wire) == (404, "NAME_UNKNOWN")


def test_the_catalog(listings, request_of):
    assert read(listings.catalog(request_of()))["repositories"] == ["library/app", "team/app", "zoo"]
    page = listings.catalog(request_of(path="/v2/_catalog", query={"n": ["1"], "last": ["library/app"]}))
    assert read(page)["repositories"] == ["team/app"]
    assert page.headers["Link"] == '</v2/_catalog?n=1&last=team%2Fapp>; rel="next"'


def test_what_somebody_may_not_see_is_in_no_list(listings, request_of):
    guest = request_of(query={"n": ["1"]})._replace(user="guest")
    page = listings.catalog(guest)
    assert (read(page)["repositories"], "Link" in page.headers) == (["library/app"], True)
    last = listings.catalog(guest._replace(query={"last": ["library/app"]}))
    assert (read(last)["repositories"], "Link" in last.headers) == (["zoo"], False)
    found = read(listings.search(request_of(query={"q": ["app"]})._replace(user="guest")))
    assert ([entry["name"] for entry in found["results"]], found["num_results"]) == (["library/app"], 1)


def test_search_as_docker_reads_it(listings, store, request_of):
    store.metadata.count_pulls([("team/app", 7)])
    found = read(listings.search(request_of(query={"q": ["app"], "n": ["25"]})))
    assert (found["num_results"], found["query"], found["num_pages"]) == (2, "app", 1)
    first, second = found["results"]
    assert (first["name"], first["star_count"], first["is_official"]) == ("team/app", 7, False)
    assert (second["name"], second["description"], second["is_official"]) == ("library/app", "Serves the web", True)
    pages = [read(listings.search(request_of(query={"q": [""], "n": ["2"], "page": [str(n)]}))) for n in (1, 2, 3)]
    assert [len(page["results"]) for page in pages] == [2, 1, 0]
    assert read(listings.search(request_of(query={"q": ["nothing"]})))["results"] == []
