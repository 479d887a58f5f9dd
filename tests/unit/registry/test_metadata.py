# SPDX-License-Identifier: Apache-2.0
"""The tables: what is seen where, in which order, and what goes with what."""

from __future__ import annotations

import pytest

from scow.oci.digest import sha256_digest
from scow.registry.metadata import NewManifest

A, B, C = (sha256_digest(name) for name in (b"a", b"b", b"c"))


@pytest.fixture
def meta(store):
    return store.metadata


def put(meta, name, digest, *tags, now=1e9, **more):
    meta.put_manifest(name, NewManifest(digest, "t", 5, **{"parts": [], **more}), tags, now)


def test_blobs_are_seen_only_where_they_were_linked(meta):
    meta.link_blob("one", A, 1.0)
    assert meta.linked("one", A) == 1.0
    assert meta.linked("two", A) is None
    assert meta.holders(A) == ["one"]
    assert meta.holders(B) == []
    meta.link_blob("one", A, 2.0)
    assert meta.linked("one", A) == 2.0
    assert meta.unlink_blob("one", A)
    assert not meta.unlink_blob("one", A)


def test_a_tag_names_one_manifest_and_moves(meta):
    put(meta, "r", A, "latest", "one")
    put(meta, "r", B, "latest")
    assert meta.manifest("r", "latest").digest == B
    assert meta.manifest("r", "one").digest == A
    assert meta.manifest("r", A).size == 5
    assert meta.manifest("s", "latest") is None
    assert meta.tags("r", "", 10) == ["latest", "one"]
    assert [(tag, found.digest) for tag, found in meta.tagged("r")] == [("latest", B), ("one", A)]


def test_deleting_a_manifest_takes_its_tags_and_nothing_else(meta):
    put(meta, "r", A, "a1", "a2")
    put(meta, "r", B, "b")
    put(meta, "s", A, "a1")
    assert meta.delete_manifest("r", A)
    assert not meta.delete_manifest("r", A)
    assert meta.tags("r", "", 10) == ["b"]
    assert meta.tags("s", "", 10) == ["a1"]
    assert meta.delete_tag("s", "a1")
    assert not meta.delete_tag("s", "a1")
    assert meta.manifest("s", A) is not None


def test_lists_are_in_the_order_of_bytes_and_go_on_behind_what_need_not_exist(meta):
    tags = ["a", "A", "b", "_x", "0.1", "0.10", "V1"]
    put(meta, "r", A, *tags)
    assert meta.tags("r", "", 100) == sorted(tags)
    assert meta.tags("r", "Zz", 2) == ["_x", "a"]
    for name in ("r2", "r10", "q"):
        put(meta, name, A)
    meta.link_blob("only-blobs", A, 1.0)
    assert meta.repositories("", 10) == ["q", "r", "r10", "r2"]
    assert meta.repositories("r", 1) == ["r10"]
    assert meta.exists("only-blobs")


def test_referrers_by_type(meta):
    put(meta, "r", A, subject=C, artifact_type="x", descriptor='{"a":1}')
    put(meta, "r", B, subject=C, artifact_type="y", descriptor='{"b":1}')
    put(meta, "s", B, subject=C, artifact_type="y", descriptor='{"other":1}')
    both = meta.referrers("r", C, "", "", 10)
    assert sorted(both) == ['{"a":1}', '{"b":1}']
    assert meta.referrers("r", C, "y", "", 10) == ['{"b":1}']
    assert meta.referrers("r", C, "", min(A, B), 10) == both[1:]
    assert meta.referrers("r", A, "", "", 10) == []


def test_search_looks_at_names_and_descriptions_and_ranks(meta):
    put(meta, "team/webapp", A)
    put(meta, "team/app", A)
    put(meta, "app-tools", A, description="Tools")
    put(meta, "other", A, description="Runs an APP")
    put(meta, "unrelated", A)
    meta.link_blob("app-without-images", A, 1.0)
    meta.count_pulls([("team/webapp", 2), ("team/webapp", 1)])
    found = meta.search("App")
    assert [entry.name for entry in found] == ["team/app", "team/webapp", "app-tools", "other"]
    assert [entry.pulls for entry in found[:2]] == [0, 3]
    assert meta.search("%") == []


def test_the_survey_counts_each_blob_of_a_repository_once(store, push):
    push("r", b"12345")
    put(store.metadata, "r", A, "t1", "t2", parts=[sha256_digest(b"12345")])
    put(store.metadata, "r", B, now=2e9, parts=[sha256_digest(b"12345")])
    push("empty", b"1")
    empty, found = store.metadata.survey()
    assert (found.name, found.tags, found.manifests, found.size, found.pushed) == ("r", 2, 2, 15, 2e9)
    assert (empty.name, empty.tags, empty.manifests, empty.size, empty.pushed) == ("empty", 0, 0, 1, 0)
