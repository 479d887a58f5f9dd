# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import os
import random

import pytest

from fakes.imaging import (
    GZIP,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Made,
    descriptor,
    digest_of,
    engine,
    index,
    transfers,
)
from fakes.registry import FakeRegistry
from scow.base.streams import BlobMismatchError
from scow.errors import CorruptError, LimitError, NotFoundError, ScowError, UnsupportedError
from scow.images.prune import collect
from scow.images.pulling import NoPlatformError

AMD, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


def pull(store, registry, name, **kwargs):
    with transfers(store) as moving:
        return moving.pull(f"{registry.address}/{name}", **kwargs)


def some(size=200_000, seed=1):
    return random.Random(seed).randbytes(size)


def test_an_image_arrives_with_names_digest_and_snapshot(registry, store):
    made = Made([{"a": b"1"}, {"b": some()}, {"c": b"3"}])
    digest = made.put(registry, "team/app", "v1")
    pulled = pull(store, registry, "team/app:v1")
    assert pulled.changed
    assert pulled.digest == digest
    record = store.images.resolve(f"{registry.address}/team/app:v1")
    assert record.id == digest_of(made.raw_config)
    assert store.snapshots.exists(record.chain)
    assert [ref.familiar for ref in store.images.digests(record.id)] == [f"{registry.address}/team/app@{digest}"]
    assert record.size == 200_002
    for blob in made.blobs:
        with store.content.open(store.images.manifest(record.id).value.layers[made.blobs.index(blob)]) as file:
            assert file.read() == blob


def test_nothing_is_left_that_belongs_to_nobody(registry, store):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    pull(store, registry, "app:v1")
    assert not os.listdir(os.path.join(store.settings.root, "ingest"))
    store.leases.reap()
    owners = {edge.owner.partition(":")[0] for edge in store.leases.graph()}
    assert "lease" not in owners


def test_the_second_pull_asks_once_and_changes_nothing(registry, store):
    Made([{"a": b"1"}, {"b": b"2"}]).put(registry, "app", "v1")
    pull(store, registry, "app:v1")
    registry.clear()
    assert not pull(store, registry, "app:v1").changed
    assert [(r.method, r.route) for r in registry.log] == [("GET", "ping"), ("HEAD", "manifest")]


def test_a_moved_tag_is_followed_and_shared_layers_are_not_fetched_again(registry, store):
    base = {"base": some()}
    old = Made([base, {"x": b"1"}])
    new = Made([base, {"x": b"2"}])
    old.put(registry, "app", "v1")
    first = pull(store, registry, "app:v1").record
    new.put(registry, "app", "v1")
    registry.clear()
    second = pull(store, registry, "app:v1")
    assert second.changed
    assert second.record.id != first.id
    assert store.images.resolve(f"{registry.address}/app:v1").id == second.record.id
    asked = {r.ref for r in registry.requests("GET", "blob")}
    assert asked == {digest_of(new.blobs[1]), digest_of(new.raw_config)}
    assert first.id in store.images


def test_by_digest_no_tag_is_made(registry, store):
    digest = Made([{"a": b"1"}]).put(registry, "app", "v1")
    record = pull(store, registry, f"app@{digest}").record
    assert not store.images.names(record.id)
    assert store.images.resolve(f"{registry.address}/app@{digest}").id == record.id


@pytest.mark.parametrize("compress", [True, False])
def test_a_layer_that_stands_twice_is_fetched_once(registry, store, compress):
    empty = {}
    made = Made([{"a": b"1"}, empty, {"b": b"2"}, empty, empty], compress=compress)
    made.put(registry, "app", "v1")
    record = pull(store, registry, "app:v1").record
    assert store.snapshots.exists(record.chain)
    asked = [r.ref for r in registry.requests("GET", "blob")]
    assert len(asked) == len(set(asked))


def test_two_blobs_of_one_layer_and_one_blob_for_two_layers(registry, store):
    made = Made([{"a": b"1"}, {"a": b"1"}])
    made.blobs[1] = gzip.compress(made.plain[1], 1, mtime=1)
    made.put(registry, "app", "v1")
    assert store.snapshots.exists(pull(store, registry, "app:v1").record.chain)
    wrong = Made([{"q": b"1"}, {"r": b"2"}])
    wrong.blobs[1] = wrong.blobs[0]
    wrong.put(registry, "app", "v2")
    with pytest.raises(CorruptError, match="layer sha256"):
        pull(store, registry, "app:v2")


def test_the_wanted_platform_is_taken_from_an_index(registry, store):
    amd, arm = Made([{"a": b"amd"}]), Made([{"a": b"arm"}], arch="arm64")
    unknown = {"os": "unknown", "architecture": "unknown"}
    digest = index(registry, "app", "v1", [(Made([{"z": b"attest"}]), unknown), (arm, ARM), (amd, AMD)])
    pulled = pull(store, registry, "app:v1")
    assert pulled.record.id == digest_of(amd.raw_config)
    assert pulled.digest == digest
    other = pull(store, registry, "app:v1", platform="linux/arm64").record
    assert other.id == digest_of(arm.raw_config)
    with pytest.raises(NoPlatformError, match="s390x") as caught:
        pull(store, registry, "app:v1", platform="linux/s390x")
    assert "linux/arm64" in caught.value.hint


def test_an_image_for_another_platform_is_refused_only_when_one_was_asked_for(registry, store):
    Made([{"a": b"arm"}], arch="arm64").put(registry, "app", "v1")
    assert pull(store, registry, "app:v1").record.architecture == "arm64"
    with pytest.raises(NoPlatformError):
        pull(store, registry, "app:v1", platform="linux/s390x")


def test_an_index_of_indexes(registry, store):
    amd = Made([{"a": b"amd"}])
    index(registry, "app", "inner", [(amd, AMD)])
    inner = registry.manifests["app", registry.tags["app"]["inner"]][1]
    raw = json.dumps({"schemaVersion": 2, "manifests": [descriptor(OCI_INDEX, inner)]}).encode()
    registry.put_manifest("app", raw, OCI_INDEX, "outer")
    assert pull(store, registry, "app:outer").record.id == digest_of(amd.raw_config)


def test_indexes_that_nest_too_deep(registry, store):
    raw = Made([{"a": b"amd"}]).raw
    for _ in range(8):
        registry.put_manifest("app", raw, OCI_INDEX)
        raw = json.dumps({"schemaVersion": 2, "manifests": [descriptor(OCI_INDEX, raw)]}).encode()
    registry.put_manifest("app", raw, OCI_INDEX, "deep")
    with pytest.raises(ScowError):
        pull(store, registry, "app:deep")


# ---------------------------------------------------------------------------------------------- what goes wrong


def unchanged(store, registry, before):
    assert store.images.resolve(f"{registry.address}/app:v1").id == before.id
    assert len(store.images) == 1


def test_wrong_bytes_are_named_and_the_old_tag_stays(registry, store):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    before = pull(store, registry, "app:v1").record
    new = Made([{"a": b"2"}, {"b": some()}, {"c": some(seed=3)}])
    new.put(registry, "app", "v1")
    bad = digest_of(new.blobs[1])
    registry.blob_hook = lambda r, d: d[:-9] + b"x" * 9 if r.ref == bad else d
    with pytest.raises(BlobMismatchError, match=bad):
        pull(store, registry, "app:v1")
    unchanged(store, registry, before)
    assert bad not in store.content
    registry.blob_hook = None
    assert pull(store, registry, "app:v1").record.id == digest_of(new.raw_config)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda made: made.config["rootfs"]["diff_ids"].reverse(), CorruptError),
        (lambda made: made.config["rootfs"]["diff_ids"].pop(), CorruptError),
        (lambda made: made.blobs.__setitem__(0, made.blobs[0][:-20]), CorruptError),
        (lambda made: made.blobs.__setitem__(0, b"no gzip at all, whatever it says"), CorruptError),
        (lambda made: setattr(made, "layer_type", "application/x-unheard-of"), UnsupportedError),
        (lambda made: setattr(made, "config_type", "application/vnd.cncf.helm.config.v1+json"), UnsupportedError),
    ],
)
def test_images_that_contradict_themselves(registry, store, spoil, kind):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    before = pull(store, registry, "app:v1").record
    made = Made([{"n": some()}, {"m": b"2"}])
    spoil(made)
    made.put(registry, "app", "v1")
    with pytest.raises(kind):
        pull(store, registry, "app:v1")
    unchanged(store, registry, before)


def hostile():
    blob = descriptor(GZIP, b"x")
    config = descriptor(OCI_CONFIG, b"{}")
    base = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [blob]}
    yield "ten megabytes", json.dumps({**base, "annotations": {"x": "y" * 10_000_000}}).encode()
    yield "a thousand levels", b'{"schemaVersion":2,"config":' + b'{"a":' * 1000 + b"1" + b"}" * 1001
    yield "a negative size", json.dumps({**base, "layers": [{**blob, "size": -1}]}).encode()
    yield "a size without end", json.dumps({**base, "layers": [{**blob, "size": 1 << 70}]}).encode()
    yield "a size that is text", json.dumps({**base, "layers": [{**blob, "size": "12"}]}).encode()
    yield "a digest that is a path", json.dumps({**base, "layers": [{**blob, "digest": "../../etc/passwd"}]}).encode()
    yield "no config", json.dumps({"schemaVersion": 2, "layers": []}).encode()
    yield "both kinds", json.dumps({**base, "manifests": []}).encode()
    yield "not an object", b"[1,2,3]"
    yield "not JSON", b"\xff\xfe{"
    yield "nothing", b""
    yield "a huge config", json.dumps({**base, "config": {**config, "size": 1 << 40}}).encode()
    yield "the old schema", json.dumps({"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": []}).encode()


@pytest.mark.parametrize(("what", "raw"), list(hostile()), ids=[name for name, _ in hostile()])
def test_hostile_manifests_are_refused(registry, store, what, raw):
    registry.put_manifest("app", raw, OCI_MANIFEST, "v1")
    with pytest.raises((CorruptError, LimitError, UnsupportedError, NotFoundError)):
        pull(store, registry, "app:v1")
    assert not len(store.images)


def test_a_manifest_that_is_not_the_one_asked_for(registry, store):
    digest = Made([{"a": b"1"}]).put(registry, "app", "v1")
    registry.manifests["app", digest] = (OCI_MANIFEST, Made([{"a": b"evil"}]).raw)
    with pytest.raises(CorruptError, match="instead"):
        pull(store, registry, f"app@{digest}")
    assert not len(store.images)


def test_what_an_interrupted_pull_has_is_continued(registry, store):
    made = Made([{"big": some(2_000_000)}, {"b": b"2"}])
    made.put(registry, "app", "v1")
    registry.cut_after = 700_000
    registry.hook = lambda r: (503, {}, b"") if r.headers.get("Range") else None
    with pytest.raises(ScowError):
        pull(store, registry, "app:v1")
    registry.cut_after = registry.hook = None
    registry.clear()
    pull(store, registry, "app:v1")
    (big,) = [r for r in registry.requests("GET", "blob") if r.ref == digest_of(made.blobs[0])]
    assert big.headers["Range"] == "bytes=700000-"


def test_every_cut_is_survived(registry, store):
    made = Made([{"big": some(900_000)}, {"other": some(500_000, 5)}, {"b": b"2"}])
    made.put(registry, "app", "v1")
    registry.cut_after = 131_072
    assert store.snapshots.exists(pull(store, registry, "app:v1").record.chain)
    assert registry.blob_bytes_out() == sum(map(len, made.blobs)) + len(made.raw_config)


def test_all_tags(registry, store):
    for tag in ("v1", "v2", "latest"):
        Made([{"a": tag.encode()}]).put(registry, "app", tag)
    seen = []
    with transfers(store) as moving:
        moving.pull_all(f"{registry.address}/app", each=seen.append)
    assert [pulled.reference.tag for pulled in seen] == ["latest", "v1", "v2"]
    assert len(store.images) == 3


def test_a_dry_run_fetches_no_layer(registry, store):
    made = Made([{"a": some()}])
    made.put(registry, "app", "v1")
    with transfers(store) as moving:
        plan = moving.plan(f"{registry.address}/app:v1")
    assert plan.missing == len(made.blobs[0])
    assert not plan.current
    assert digest_of(made.blobs[0]) not in {r.ref for r in registry.requests("GET", "blob")}
    assert not len(store.images)
    assert not list(store.content)


def test_ensure(registry, store):
    Made([{"a": b"1"}]).put(registry, "app", "v1")
    name = f"{registry.address}/app:v1"
    with transfers(store) as moving:
        with pytest.raises(NotFoundError, match="No such image"):
            moving.ensure(name, "never")
        record = moving.ensure(name)
        registry.clear()
        assert moving.ensure(name) == record
        assert not registry.log
        moving.ensure(name, "always")
        assert registry.log
        with pytest.raises(ScowError, match="invalid pull option"):
            moving.ensure(name, "sometimes")


# ---------------------------------------------------------------------------------------------------- short names


@pytest.fixture
def short(tmp_path):
    """A store whose user wants podman's short names, and what writes their file."""
    conf = tmp_path / "registries.conf"
    environ = {"SCOW_SHORT_NAMES": "podman", "CONTAINERS_REGISTRIES_CONF": str(conf)}
    return engine(tmp_path / "store", **environ), conf.write_text


def test_an_alias_is_pulled_under_its_full_name(registry, short):
    store, configure = short
    configure(f'[aliases]\n"app" = "{registry.address}/team/app"\n')
    Made([{"a": b"1"}]).put(registry, "team/app", "v1")
    full = f"{registry.address}/team/app:v1"
    with transfers(store) as moving:
        assert moving.pull("app:v1").reference.familiar == full
        registry.clear()
        # it is here: nobody is asked again, and the name is told under which it is
        assert moving.ensure("app:v1").id == store.images.resolve(full).id
        assert moving.meant("app:v1") == full
        assert moving.meant("other:v1") == "other:v1"
        assert not registry.log
        assert moving.plan("app:v1").current
    assert store.meant("app:v1") == full


def test_the_first_registry_that_has_it_is_taken(registry, short):
    store, configure = short
    with FakeRegistry() as second:
        configure(f'unqualified-search-registries = ["{registry.address}", "{second.address}"]\n')
        Made([{"a": b"2"}]).put(second, "team/app", "latest")
        with transfers(store) as moving:
            assert moving.pull("team/app").reference.familiar == f"{second.address}/team/app:latest"
            Made([{"a": b"1"}]).put(registry, "team/app", "latest")
            assert moving.pull("team/app").reference.familiar == f"{registry.address}/team/app:latest"
            with pytest.raises(NotFoundError) as caught:
                moving.pull("none")
    assert registry.address in str(caught.value)
    assert second.address in str(caught.value)


def test_a_manifest_that_a_collector_takes_while_it_is_looked_for_is_fetched(registry, store, monkeypatch):
    """The store has it and nothing needs it; between the look and the reading somebody prunes."""
    made = Made([{"a": b"1"}])
    digest = made.put(registry, "team/app", "v1")
    with store.leases.hold("t") as lease:
        assert store.content.put(made.raw, lease) == digest
    content = store.content
    read, pruned = content.read, []

    def late(target, *limit):
        if not pruned:
            pruned.append(target)
            collect(store.images, content, None)
        return read(target, *limit)

    monkeypatch.setattr(content, "read", late)
    pull(store, registry, f"team/app@{digest}")
    assert pruned
