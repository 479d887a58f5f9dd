# SPDX-License-Identifier: Apache-2.0
"""Paths are read from their end, whatever repositories are called."""

from __future__ import annotations

import pytest

from scow.registry.routes import METHODS, Route, find_route

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v2", Route("ping")),
        ("/v2/", Route("ping")),
        ("/v2/_catalog", Route("catalog")),
        ("/v1/search", Route("search")),
        ("/v1/_ping", Route("search-ping")),
        ("/token", Route("token")),
        ("/v2/a/tags/list", Route("tags", "a")),
        ("/v2/a/b/manifests/latest", Route("manifest", "a/b", "latest")),
        (f"/v2/a/manifests/{D}", Route("manifest", "a", D)),
        (f"/v2/a/blobs/{D}", Route("blob", "a", D)),
        (f"/v2/a/referrers/{D}", Route("referrers", "a", D)),
        ("/v2/a/blobs/uploads/", Route("uploads", "a")),
        ("/v2/a/blobs/uploads", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/x-1", Route("upload", "a", "x-1")),
        # repositories named like the protocol's own words
        ("/v2/a/tags/list/tags/list", Route("tags", "a/tags/list")),
        ("/v2/a/blobs/uploads/blobs/uploads/", Route("uploads", "a/blobs/uploads")),
        (f"/v2/a/blobs/uploads/blobs/{D}", Route("blob", "a/blobs/uploads", D)),
        ("/v2/a/manifests/manifests/manifests", Route("manifest", "a/manifests", "manifests")),
    ],
)
def test_paths_that_mean_something(path, wanted):
    assert find_route(path) == wanted
    assert wanted.kind in METHODS


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1", "/v3/a/tags/list", "/v2/a", "/v2/tags/list", "/v2/a/manifests/", "/v2/a/b/c", "x/v2/a/tags/list"],
)
def test_paths_that_mean_nothing(path):
    assert find_route(path) is None
