# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.stores import Store
from scow.build.cache import BuildCache, record_id
from scow.build.graph import LayerRef, Solved
from scow.images.prune import collect
from scow.oci.digest import DiffID


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def made(store, lease, *contents, base=None):
    layers = tuple(LayerRef(DiffID(store.content.put(data, lease)), len(data), len(data), 3) for data in contents)
    return Solved(base, layers, 3)


def cache_of(store, limit=1000):
    return BuildCache(store.db, store.content, store.leases, limit)


def test_a_result_is_found_by_all_its_keys_and_outlives_the_lease(store):
    cache = cache_of(store)
    with store.leases.hold("t") as lease:
        solved = made(store, lease, b"one", b"two")
        cache.put(["k1", "k2", ""], solved, "run", "RUN x")
    collect(store.images, store.content, None)
    assert cache.get("k1") == solved == cache.get("k2")
    assert cache.get("") is None
    assert cache.get("other") is None


def test_a_result_without_its_blob_does_not_count(store):
    cache = cache_of(store)
    with store.leases.hold("t") as lease:
        solved = made(store, lease, b"one")
        cache.put(["k"], solved, "run", "")
        store.content.delete(solved.layers[0].diff_id)
        assert cache.get("k") is None
        assert cache.take("k", lease) is None


def test_taking_keeps_alive_and_counts(store):
    cache = cache_of(store)
    with store.leases.hold("t") as lease:
        solved = made(store, lease, b"one")
        cache.put(["k"], solved, "run", "")
    with store.leases.hold("u") as lease:
        assert cache.take("k", lease) == solved
        assert cache.records()[0].uses == 1
        cache.prune(lambda _record: True)
        collect(store.images, store.content, None)
        assert solved.layers[0].diff_id in store.content
    collect(store.images, store.content, None)
    assert solved.layers[0].diff_id not in store.content


def test_the_bound_is_kept_and_the_least_recently_used_goes(store, monkeypatch):
    clock = iter(range(1, 100))
    monkeypatch.setattr("scow.build.cache.time.time", lambda: float(next(clock)))
    cache = cache_of(store, 100)
    with store.leases.hold("t") as lease:
        for name in ("a", "b", "c"):
            cache.put([name], made(store, lease, name.encode() * 30), "copy", name)
        cache.take("a", lease)
        assert not cache.evicted
        cache.put(["d"], made(store, lease, b"d" * 30), "copy", "d")
    assert cache.evicted
    assert [cache.get(name) is not None for name in "abcd"] == [True, False, True, True]
    assert cache.total() == 90


def test_what_is_larger_than_the_bound_is_not_kept(store):
    cache = cache_of(store, 10)
    with store.leases.hold("t") as lease:
        cache.put(["k"], made(store, lease, b"x" * 11), "run", "")
        assert cache.get("k") is None


def test_prune_by_wish_and_down_to_a_size(store):
    cache = cache_of(store)
    with store.leases.hold("t") as lease:
        for name in ("aaa", "bb", "c"):
            cache.put([name], made(store, lease, name.encode()), "copy" if name == "bb" else "run", name)
    assert [record.title for record in cache.prune(lambda record: record.kind == "copy")] == ["bb"]
    assert [record.title for record in cache.prune(lambda _record: True, keep=1)] == ["aaa"]
    assert [record.title for record in cache.records()] == ["c"]


def test_shared_with_an_image(store):
    cache = cache_of(store)
    record = store.image("a:1")
    diff = store.images.config(record.id).value.diff_ids[0]
    with store.leases.hold("t") as lease:
        solved = Solved(None, (LayerRef(diff, 10, 4, 0),), 0)
        cache.put(["k"], solved, "copy", "")
        cache.put(["l"], made(store, lease, b"alone"), "copy", "")
    assert {entry.id: entry.shared for entry in cache.records()}[record_id(solved)] is True
    assert sum(entry.shared for entry in cache.records()) == 1


def test_places_and_stories(store):
    cache = cache_of(store)
    assert cache.last_step("p") is None
    cache.note_steps([("p", "k", "d")], "sha256:1", "[]")
    cache.note_steps([("p", "k2", "d2")])
    assert cache.last_step("p") == ("k2", "d2")
    assert cache.story("sha256:1") == "[]"
    assert cache.story("sha256:2") is None
