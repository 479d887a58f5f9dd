# SPDX-License-Identifier: Apache-2.0
"""What is freed, and what is not: nothing from under a push."""

from __future__ import annotations

import json
import os
import time

import pytest

from fakes.private_registry import INDEX, MANIFEST, descriptor, digest_of, manifest
from scow.oci.digest import Digest, sha256_digest
from scow.registry.collecting import collect
from scow.registry.manifests import Manifests
from scow.registry.storage import RegistryStore


@pytest.fixture
def put(store, push, request_of):
    def run(name, ref, raw, kind=MANIFEST, blobs=(b"{}",)):
        for blob in blobs:
            push(name, blob)
        Manifests(store, sparse=True).put(request_of("PUT", Content_Type=kind), name, ref, raw)
        return Digest(digest_of(raw))

    return run


def age(store):
    """Let everything have come long ago."""
    with store.db.write() as connection:
        for table, column in (("repositories", "created"), ("repository_blobs", "linked"), ("manifests", "pushed")):
            connection.execute(f"UPDATE {table} SET {column} = 5.0")


def blobs(store):
    return {info.digest for info in store.content}


def files(store):
    top = os.path.join(store.root, "blobs", "sha256")
    return {f"sha256:{name}" for name in os.listdir(top)}


def test_what_an_image_is_made_of_stays(store, put):
    put("r", "latest", manifest(layers=[b"layer"]), blobs=[b"{}", b"layer", b"unused"])
    age(store)
    planned = collect(store, dry_run=True)
    assert planned.blobs == [sha256_digest(b"unused")]
    assert sha256_digest(b"unused") in blobs(store)
    done = collect(store)
    assert (done.blobs, done.size) == (planned.blobs, 6)
    assert sha256_digest(b"unused") not in blobs(store)
    assert files(store) == blobs(store)
    assert collect(store).blobs == []


def test_what_came_a_moment_ago_stays(store, put, push):
    put("r", "latest", manifest())
    push("r", b"on its way", now=time.time())
    assert collect(store, age=3600).blobs == []
    assert collect(store, age=0).blobs == [sha256_digest(b"on its way")]


def test_content_that_another_repository_has_stays(store, put, push):
    raw = manifest(layers=[b"layer"])
    put("r", "latest", raw, blobs=[b"{}", b"layer"])
    push("s", b"layer")
    age(store)
    assert collect(store).blobs == []
    assert not store.metadata.exists("s"), "nothing is left in it"
    store.metadata.delete_manifest("r", Digest(digest_of(raw)))
    age(store)
    assert set(collect(store).blobs) == {digest_of(raw), sha256_digest(b"{}"), sha256_digest(b"layer")}
    assert not store.metadata.exists("r")
    assert blobs(store) == set()


def test_what_a_living_process_holds_stays_and_what_a_dead_one_held_goes(store):
    with store.leases.hold("push") as lease:
        store.content.put(b"held", lease)
        assert collect(store, age=0).blobs == []
    lost = store.leases.hold("push")
    store.content.put(b"lost", lost)
    with store.db.write() as connection:
        connection.execute("UPDATE leases SET started = 'another process'")
    assert set(collect(store, age=0).blobs) == {sha256_digest(b"held"), sha256_digest(b"lost")}


def test_untagged_manifests_go_unless_something_leads_to_them(store, put):
    child, lonely = manifest(annotations={"a": "child"}), manifest(annotations={"a": "lonely"})
    index = (
        f'{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{json.dumps(descriptor(child, MANIFEST))}]}}'.encode()
    )
    signature = manifest(annotations={"a": "sig"}, subject=descriptor(index, INDEX))
    orphan = manifest(annotations={"a": "orphan"}, subject=descriptor(lonely, MANIFEST))
    for raw in (child, lonely, signature, orphan):
        put("r", digest_of(raw), raw)
    put("r", "multi", index, INDEX)
    age(store)
    assert collect(store, dry_run=True).manifests == []
    done = collect(store, untagged=True)
    assert done.manifests == [("r", digest_of(lonely)), ("r", digest_of(orphan))], "what said something about it too"
    for raw in (child, index, signature):
        assert store.metadata.manifest("r", digest_of(raw)) is not None
    store.metadata.delete_tag("r", "multi")
    gone = collect(store, untagged=True).manifests
    assert {digest for _, digest in gone} == {digest_of(raw) for raw in (child, index, signature)}


def test_files_that_a_crash_left_without_a_row_go(store, push):
    push("r", b"x", now=time.time())
    stray = os.path.join(store.root, "blobs", "sha256", "a" * 64)
    with open(stray, "w"):
        pass
    collect(store)
    assert not os.path.exists(stray)
    assert files(store) == {sha256_digest(b"x")}


def test_beside_a_push_of_another_process(store, put):
    """Between its bytes and its row a blob is held; a collector at that moment takes nothing."""
    other = RegistryStore(store.root)
    taken = []
    link = other.metadata.link_blob

    def collected_before(*args):
        taken.append(collect(store, age=0).blobs)
        link(*args)

    other.metadata.link_blob = collected_before
    ingest = other.content.ingest("k")
    ingest.write(b"abc")
    other.commit("r", ingest, sha256_digest(b"abc"))
    assert taken == [[]]
    assert store.content.read(sha256_digest(b"abc")) == b"abc"
