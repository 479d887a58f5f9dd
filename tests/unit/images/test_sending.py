# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random

import pytest

from fakes.imaging import Made, digest_of, engine, layer, transfers
from fakes.registry import FakeRegistry
from scow.errors import InvalidArgumentError, NotFoundError, ScowError
from scow.images.mutate import new_image
from scow.images.origins import TransferRecords
from scow.images.packing import Compression, parse_compression
from scow.oci.digest import DiffID, Digest
from scow.oci.model import ImageConfig, Platform
from scow.oci.reference import Reference


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


def local(store, layers, *names):
    """An image made here: its layers are plain tars."""
    with store.leases.hold("test") as lease:
        tars = [layer(files) for files in layers]
        pairs = [(DiffID(store.content.put(tar, lease)), len(tar)) for tar in tars]
        return new_image(
            store.images,
            store.content,
            None,
            ImageConfig(Platform()),
            pairs,
            lease,
            [Reference.parse(n) for n in names],
        )


def push(store, registry, name, **kwargs):
    events = []
    with transfers(store, events.append) as moving:
        pushed = moving.push(f"{registry.address}/{name}", **kwargs)
    return pushed, events


def pull(store, registry, name):
    with transfers(store) as moving:
        return moving.pull(f"{registry.address}/{name}")


def big(seed=1):
    return {"data": random.Random(seed).randbytes(300_000) + b"text " * 50_000}


def test_a_pulled_image_is_pushed_with_the_same_digest_and_mounted(registry, store):
    made = Made([{"a": b"1"}, big()])
    digest = made.put(registry, "from/here", "v1")
    record = pull(store, registry, "from/here:v1").record
    store.images.tag(Reference.parse(f"{registry.address}/to/there:v2"), record.id)
    registry.clear()
    pushed, _ = push(store, registry, "to/there:v2")
    assert pushed.digest == digest
    assert registry.manifests["to/there", digest][1] == made.raw
    # layers were seen in the other repository; only the config, which nobody mounts, may be sent
    assert registry.upload_bytes_in() <= len(made.raw_config)
    assert {ref.repository for ref in store.images.digests(record.id)} == {
        f"{registry.address}/from/here",
        f"{registry.address}/to/there",
    }


def test_each_repository_gets_the_manifest_it_knows(registry, store):
    one, other = Made([big()]), Made([big()])
    other.extra = {"annotations": {"made": "elsewhere"}}
    digests = one.put(registry, "one", "v1"), other.put(registry, "other", "v1")
    assert pull(store, registry, "one:v1").record.id == pull(store, registry, "other:v1").record.id
    assert (push(store, registry, "one:v1")[0].digest, push(store, registry, "other:v1")[0].digest) == digests


def test_a_local_image_is_compressed_the_same_way_every_time(registry, store, tmp_path):
    local(store, [{"a": b"1"}, big()], f"{registry.address}/app:v1")
    first, events = push(store, registry, "app:v1")
    other = engine(tmp_path / "other")
    local(other, [{"a": b"1"}, big()], f"{registry.address}/app:v2")
    second, _ = push(other, registry, "app:v2")
    assert first.digest == second.digest
    assert first.size == len(registry.manifests["app", first.digest][1])
    document = json.loads(registry.manifests["app", first.digest][1])
    assert [entry["mediaType"].rpartition("+")[2] for entry in document["layers"]] == ["gzip", "gzip"]
    assert {"Compressing", "Pushing", "Pushed"} <= {event.status for event in events}


def test_a_second_push_sends_nothing_even_without_the_compressed_blobs(registry, store):
    local(store, [{"a": b"1"}, big()], f"{registry.address}/app:v1")
    first, _ = push(store, registry, "app:v1")
    for entry in json.loads(registry.manifests["app", first.digest][1])["layers"]:
        store.content.delete(Digest(entry["digest"]))
    registry.clear()
    second, events = push(store, registry, "app:v1")
    assert second.digest == first.digest
    assert second.sent == 0
    assert registry.upload_bytes_in() == 0
    assert "Compressing" not in {event.status for event in events}


def test_what_was_pushed_is_up_to_date(registry, store):
    local(store, [{"a": b"1"}], f"{registry.address}/app:v1")
    push(store, registry, "app:v1")
    registry.clear()
    pulled = pull(store, registry, "app:v1")
    assert not pulled.changed
    assert registry.blob_bytes_out() == 0
    assert pulled.record.id == store.images.resolve(f"{registry.address}/app:v1").id


@pytest.mark.parametrize("how", ["zstd", "zstd:9", "gzip:1", "none"])
def test_the_compression_can_be_chosen(registry, store, tmp_path, how):
    record = local(store, [{"a": b"1"}, big()], f"{registry.address}/app:v1")
    pushed, _ = push(store, registry, "app:v1", compression=parse_compression(how))
    document = json.loads(registry.manifests["app", pushed.digest][1])
    suffix = {"zstd": "tar+zstd", "gzip": "tar+gzip", "none": "v1.tar"}[how.partition(":")[0]]
    assert all(entry["mediaType"].endswith(suffix) for entry in document["layers"])
    fresh = engine(tmp_path / "fresh")
    assert pull(fresh, registry, "app:v1").record.id == record.id


def test_docker_manifests_become_oci_ones_with_zstd(registry, store, tmp_path):
    made = Made(
        [big()],
        media_types=(
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
        ),
    )
    made.layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    made.put(registry, "app", "v1")
    record = pull(store, registry, "app:v1").record
    store.images.tag(Reference.parse(f"{registry.address}/app:z"), record.id)
    pushed, _ = push(store, registry, "app:z", compression=Compression("zstd", 3))
    document = json.loads(registry.manifests["app", pushed.digest][1])
    assert "docker" not in json.dumps(document)
    assert pull(engine(tmp_path / "fresh"), registry, "app:z").record.id == record.id


def test_a_blob_that_was_dropped_here_is_fetched_again(registry, store):
    made = Made([{"a": b"1"}, big()])
    digest = made.put(registry, "app", "v1")
    record = pull(store, registry, "app:v1").record
    store.content.delete(store.images.manifest(record.id).value.layers[1].digest)
    with FakeRegistry() as other:
        store.images.tag(Reference.parse(f"{other.address}/app:v1"), record.id)
        pushed, _ = push(store, other, "app:v1")
        assert pushed.digest == digest
        assert other.blobs[digest_of(made.blobs[1])] == made.blobs[1]


def test_a_blob_that_is_nowhere_is_named(registry, store):
    record = local(store, [{"a": b"1"}], f"{registry.address}/app:v1")
    lost = store.images.manifest(record.id).value.layers[0].digest
    store.content.delete(lost)
    with pytest.raises(NotFoundError, match=lost):
        push(store, registry, "app:v1")
    assert "app" not in registry.tags


def test_a_failing_push_leaves_the_tag(registry, store):
    local(store, [{"a": b"1"}], f"{registry.address}/app:v1")
    first, _ = push(store, registry, "app:v1")
    local(store, [{"a": b"2"}, big()], f"{registry.address}/app:v1")
    registry.hook = lambda r: (500, {}, b"") if r.route == "upload" else None
    with pytest.raises(ScowError):
        push(store, registry, "app:v1")
    assert registry.tags["app"]["v1"] == first.digest


def test_a_broken_push_is_continued(registry, store):
    local(store, [big()], f"{registry.address}/app:v1")
    registry.cut_upload_after = 100_000
    pushed, _ = push(store, registry, "app:v1")
    assert pushed.sent
    assert registry.upload_bytes_in() == pushed.sent


def test_push_all(registry, store):
    local(store, [{"a": b"1"}], f"{registry.address}/app:v1", f"{registry.address}/app:v2")
    local(store, [{"a": b"2"}], f"{registry.address}/app:v3", f"{registry.address}/other:v1")
    seen = []
    with transfers(store) as moving:
        moving.push_all(f"{registry.address}/app", each=seen.append)
        with pytest.raises(NotFoundError, match="does not exist locally"):
            moving.push_all(f"{registry.address}/nothing", each=seen.append)
    assert [pushed.reference.tag for pushed in seen] == ["v1", "v2", "v3"]
    assert set(registry.tags["app"]) == {"v1", "v2", "v3"}
    assert "other" not in registry.tags


def test_an_image_that_is_not_here(registry, store):
    with pytest.raises(NotFoundError, match="An image does not exist locally with the tag"):
        push(store, registry, "app:v1")


@pytest.mark.parametrize("text", ["brotli", "zstd:", "zstd:x", "zstd:30", "gzip:10", "none:1", ""])
def test_compressions_that_do_not_exist(text):
    with pytest.raises(InvalidArgumentError):
        parse_compression(text)


@pytest.mark.parametrize(
    ("text", "wanted"), [("gzip", ("gzip", None)), ("zstd:9", ("zstd", 9)), ("none", ("none", None))]
)
def test_compressions_that_exist(text, wanted):
    assert parse_compression(text) == wanted


def test_an_upload_that_another_push_is_at_is_left_to_it(store):
    """Two pushes of one layer at once: bytes of both in one upload would be wrong for both."""
    records = TransferRecords(store.db)
    place, digest = "registry.example/app", "sha256:" + "1" * 64
    with store.leases.hold("first") as lease:
        first = records.of(lease, store.leases)
        assert first.recall(place, digest) == ""
        first.remember(place, digest, "/uploads/1")
        with store.leases.hold("second") as other:
            assert records.of(other, store.leases).recall(place, digest) == ""
        assert first.recall(place, digest) == "/uploads/1"
    with store.leases.hold("third") as lease:
        assert records.of(lease, store.leases).recall(place, digest) == "/uploads/1"


def test_a_push_does_not_go_on_with_the_upload_of_one_that_lives(registry, store):
    local(store, [big()], f"{registry.address}/app:v1")
    other, _ = push(store, registry, "app:v1")
    (layer,) = json.loads(registry.manifests["app", other.digest][1])["layers"]
    registry.blobs.clear()
    registry.owners.clear()
    records = TransferRecords(store.db)
    place = f"{registry.address}/app"
    with store.leases.hold("first") as lease:
        memory = records.of(lease, store.leases)
        memory.recall(place, layer["digest"])
        memory.remember(place, layer["digest"], f"http://{registry.address}/v2/app/blobs/uploads/theirs")
        registry.clear()
        push(store, registry, "app:v1")
    assert not [request for request in registry.requests() if "theirs" in request.path]
