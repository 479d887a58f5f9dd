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
        # signatures are kept under the name that clients use
        ("/v2/localhost:5000/a/b/_trust/tuf/root.json", Route("trust", "a/b", "root.json")),
        ("/v2/registry.example/a/_trust/tuf/", Route("trust", "a")),
        ("/v2/[::1]:5000/a/_trust/tuf/targets/releases.json", Route("trust", "a", "targets/releases.json")),
        ("/v2/a/b/_trust/tuf/snapshot.key", Route("trust", "a/b", "snapshot.key")),
        ("/v2/a/_trust/tuf/manifests/latest", Route("trust", "a", "manifests/latest")),
    ],
)
def test_paths_that_mean_something(path, wanted):
    assert find_route(path) == wanted
    assert wanted.kind in METHODS


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1", "/v3/a/tags/list", "/v2/a", "/v2/tags/list", "/v2/a/manifests/", "/v2/a/b/c"),
        *("x/v2/a/tags/list", "/v2/_trust/tuf/root.json", "/v2//_trust/tuf/root.json", "/v1/a/_trust/tuf/root.json"),
        *("/v2/localhost:5000/_trust/tuf/root.json", "/v2/localhost:5000//_trust/tuf/", "/v2/a.b c/d/_trust/tuf/"),
    ],
)
def test_paths_that_mean_nothing(path):
    assert find_route(path) is None
