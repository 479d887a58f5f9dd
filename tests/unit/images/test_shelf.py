# SPDX-License-Identifier: Apache-2.0
"""The store as one end of a copy: nothing that came with an image is lost on the way."""

from __future__ import annotations

import glob
import json
import os

import pytest

from fakes.imaging import (
    AMD,
    ARM,
    OCI_INDEX,
    OCI_MANIFEST,
    Made,
    copied,
    descriptor,
    digest_of,
    engine,
    index,
    transfers,
)
from fakes.registry import FakeRegistry
from scow.errors import NotFoundError
from scow.images import shelf
from scow.images.prune import collect, prune_images
from scow.images.pulling import NoPlatformError
from scow.oci.digest import Digest

UNKNOWN = {"os": "unknown", "architecture": "unknown"}


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


def signed(registry, subject):
    """Something that refers to a manifest."""
    made = Made([{"sig": b"signature of " + subject.encode()}])
    raw = registry.manifests["app", subject][1]
    media_type = registry.manifests["app", subject][0]
    made.extra = {"subject": descriptor(media_type, raw), "artifactType": "application/x-signature"}
    return made.put(registry, "app")


class Everything:
    """An image for two platforms with an attestation in its index, and signatures at three places."""

    def __init__(self, registry):
        self.amd = Made([{"base": b"b" * 1000}, {"a": b"amd"}])
        self.arm = Made([{"base": b"b" * 1000}, {"a": b"arm"}], arch="arm64")
        attestation = Made([{"statement": b"{}"}], arch="unknown")
        attestation.config["os"] = "unknown"
        entries = []
        for made, platform in ((self.amd, AMD), (self.arm, ARM), (attestation, UNKNOWN)):
            made.put(registry, "app")
            entries.append(descriptor(OCI_MANIFEST, made.raw, platform=platform))
        entries[-1]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
        self.digest = registry.put_manifest("app", raw, OCI_INDEX, "v1")
        self.attestation = digest_of(attestation.raw)
        self.manifests = {self.digest, digest_of(self.amd.raw), digest_of(self.arm.raw), self.attestation}
        one = signed(registry, self.digest)
        self.signatures = {one, signed(registry, digest_of(self.arm.raw)), signed(registry, one)}


def arrived(registry, name):
    return {digest for path, digest in registry.manifests if path == name}


def test_everything_goes_into_the_store_and_comes_out(registry, other, store):
    made = Everything(registry)
    assert copied(store, f"{registry.address}/app:v1", "store:mine:1") == made.digest
    record = store.images.resolve("mine:1")
    assert (record.architecture, len(store.images)) == ("amd64", 2)
    assert f"{registry.address}/app@{made.digest}" in {ref.familiar for ref in store.images.digests(record.id)}
    collect(store.images, store.content, store.snapshots)
    registry.clear()
    assert copied(store, "store:mine:1", f"{other.address}/out:1") == made.digest
    assert arrived(other, "out") == made.manifests | made.signatures
    assert not registry.log
    # a push takes what belongs to the index, and nothing that only refers to it
    store.tag("mine:1", f"{other.address}/pushed:1")
    with transfers(store) as moving:
        assert moving.push(f"{other.address}/pushed:1").digest == made.digest
    assert arrived(other, "pushed") == made.manifests
    assert copied(store, "store:mine:1", f"{other.address}/bare:1", referrers=False) == made.digest
    assert arrived(other, "bare") == made.manifests


def test_it_goes_when_the_image_goes(registry, store):
    made = Everything(registry)
    copied(store, f"{registry.address}/app:v1", "store:")
    assert all(Digest(digest) in store.content for digest in made.manifests | made.signatures)
    store.remove_image(f"{registry.address}/app:v1", force=True)
    for record in list(store.images):
        store.remove_image(record.id, force=True)
    collect(store.images, store.content, store.snapshots)
    assert not list(store.content)


@pytest.mark.parametrize("kind", ["oci:{}/layout", "oci-archive:{}/a.tar"])
def test_through_layouts_and_archives(registry, other, store, tmp_path, kind):
    made = Everything(registry)
    place = kind.format(tmp_path) + ":named"
    copied(store, f"{registry.address}/app:v1", "store:mine:1")
    assert copied(store, "store:mine:1", place) == made.digest
    second = engine(tmp_path / "second")
    assert copied(second, place, "store:back:1") == made.digest
    assert second.images.resolve("back:1").id == store.images.resolve("mine:1").id
    assert copied(second, "store:back:1", f"{other.address}/out:1") == made.digest
    assert arrived(other, "out") == made.manifests | made.signatures
    for one in (store, second):
        assert not glob.glob(os.path.join(one.settings.root, "tmp", "*"))


def test_nothing_is_taken_along_when_it_is_not_wanted(registry, other, store):
    made = Everything(registry)
    copied(store, f"{registry.address}/app:v1", "store:mine:1", referrers=False)
    assert not any(Digest(digest) in store.content for digest in made.signatures)
    assert copied(store, "store:mine:1", f"{other.address}/out:1") == made.digest
    assert arrived(other, "out") == made.manifests


def test_one_platform(registry, other, store, tmp_path):
    made = Everything(registry)
    arm = digest_of(made.arm.raw)
    fresh = engine(tmp_path / "fresh")
    assert copied(fresh, f"{registry.address}/app:v1", "store:arm:1", platform="linux/arm64") == arm
    assert [record.architecture for record in fresh.images] == ["arm64"]
    with pytest.raises(NoPlatformError, match="is for linux/arm64, not for linux/amd64"):
        copied(fresh, "store:arm:1", f"oci:{tmp_path}/no", platform="linux/amd64")
    copied(store, f"{registry.address}/app:v1", "store:mine:1")
    assert copied(store, "store:mine:1", f"oci:{tmp_path}/one", platform="linux/arm64") == arm
    assert copied(store, "store:mine:1", f"{other.address}/out:1", platform="linux/arm64") == arm
    # and what refers to that platform's image alone
    assert len(arrived(other, "out")) == 2
    archive = f"docker-archive:{tmp_path}/d.tar:named:1"
    copied(store, "store:mine:1", archive, platform="linux/arm64")
    third = engine(tmp_path / "third")
    copied(third, archive, "store:", platform="linux/arm64")
    assert third.images.resolve("named:1").architecture == "arm64"
    with pytest.raises(NotFoundError, match="not for linux/s390x"):
        copied(store, "store:mine:1", archive, platform="linux/s390x")


def test_without_an_image_for_this_machine_a_platform_must_be_said(registry, store):
    arm = Made([{"a": b"arm"}], arch="arm64")
    arm.put(registry, "app")
    entries = [descriptor(OCI_MANIFEST, arm.raw, platform=ARM)]
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    registry.put_manifest("app", raw, OCI_INDEX, "v1")
    with pytest.raises(NoPlatformError):
        copied(store, f"{registry.address}/app:v1", "store:mine:1")
    assert not len(store.images)
    assert copied(store, f"{registry.address}/app:v1", "store:mine:1", platform="linux/arm64") == digest_of(arm.raw)


def test_a_layer_that_is_here_only_plain(registry, store, tmp_path):
    made = Made([{"a": b"1"}, {"b": b"2"}])
    made.put(registry, "app", "v1")
    with transfers(store) as moving:
        record = moving.pull(f"{registry.address}/app:v1").record
    gone = Digest(digest_of(made.blobs[0]))
    with store.db.write() as connection:
        connection.execute("DELETE FROM blobs WHERE digest = ?", (gone,))
    os.unlink(store.content.path(gone))
    for place in (f"oci:{tmp_path}/layout:x", f"oci-archive:{tmp_path}/a.tar:x"):
        copied(store, f"store:{registry.address}/app:v1", place)
        fresh = engine(tmp_path / place[:5])
        copied(fresh, place, "store:back:1")
        assert fresh.images.resolve("back:1").id == record.id


def test_what_is_damaged_on_the_way_is_not_entered(registry, store):
    made = Everything(registry)
    registry.blob_hook = lambda request, data: data[:-1] + b"x" if b"signature" in data or len(data) < 300 else data
    with pytest.raises(Exception, match="sha256:"):
        copied(store, f"{registry.address}/app:v1", "store:mine:1")
    with pytest.raises(NotFoundError):
        store.images.resolve("mine:1")
    assert not any(Digest(digest) in store.content for digest in made.signatures)


def test_images_that_have_no_name_yet_are_not_pruned_in_the_middle_of_a_copy(tmp_path, monkeypatch):
    store = engine(tmp_path / "store")
    with FakeRegistry() as registry:
        amd, arm = Made([{"a": b"amd"}]), Made([{"a": b"arm"}], arch="arm64")
        index(registry, "app", "v1", [(amd, AMD), (arm, ARM)])
        copied(store, f"docker://{registry.address}/app:v1", f"oci:{tmp_path}/layout:v1")
    take, takes = shelf.take_one, []

    def beside(*args):
        takes.append(prune_images(store.images, store.content, None, lambda _: []).removed)
        take(*args)

    monkeypatch.setattr(shelf, "take_one", beside)
    copied(store, f"oci:{tmp_path}/layout:v1", "store:whole:1")
    assert takes == [[], []]
    assert store.images.resolve("whole:1")
