# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest

from fakes.imaging import AMD, ARM, GZIP, OCI_MANIFEST, Made, copied, descriptor, digest_of, engine, index, transfers
from fakes.registry import FakeRegistry
from scow.errors import CorruptError, InvalidArgumentError, LimitError, NotFoundError, ScowError
from scow.images import copying
from scow.images.indexes import Changes, Indexes, NoSuchIndexError
from scow.images.packing import parse_compression
from scow.images.places import Place, parse_place
from scow.images.prune import collect
from scow.images.pulling import NoPlatformError
from scow.images.remote import delete_remote, inspect_remote, list_tags, outdated, version_key
from scow.oci.reference import Reference


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


def signed(registry, name, subject):
    """Something that refers to a manifest."""
    made = Made([{"sig": b"signature of " + subject.encode()}])
    raw = registry.manifests[name, subject][1]
    made.extra = {"subject": descriptor(OCI_MANIFEST, raw), "artifactType": "application/x-signature"}
    made.put(registry, name)
    return digest_of(made.raw)


def both(registry):
    amd, arm = Made([{"base": b"b" * 1000}, {"a": b"amd"}]), Made([{"base": b"b" * 1000}, {"a": b"arm"}], arch="arm64")
    return index(registry, "app", "v1", [(amd, AMD), (arm, ARM)]), amd, arm


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("app", Place("docker", "", "docker.io/library/app:latest")),
        ("docker://r:5000/app:1", Place("docker", "", "r:5000/app:1")),
        ("localhost:5000/app", Place("docker", "", "localhost:5000/app:latest")),
        ("store:app:1", Place("store", "", "app:1")),
        ("oci:/a/b:name", Place("oci", "/a/b", "name")),
        ("oci:rel", Place("oci", "rel", "")),
        ("oci-archive:x.tar:v:1", Place("oci-archive", "x.tar", "v:1")),
        ("docker-archive:x.tar", Place("docker-archive", "x.tar", "")),
    ],
)
def test_places(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["oci:", "oci::name", "", "UPPER"])
def test_what_is_no_place(text):
    with pytest.raises(InvalidArgumentError):
        parse_place(text)


@pytest.mark.parametrize("referrers_api", [True, False])
def test_all_platforms_and_all_that_refers_to_them(registry, store, referrers_api):
    digest, amd, arm = both(registry)
    signature = signed(registry, "app", digest)
    counter = signed(registry, "app", digest_of(arm.raw))
    with FakeRegistry(referrers=referrers_api) as other:
        done = copied(store, f"{registry.address}/app:v1", f"{other.address}/copy:v2")
        assert done == digest
        assert other.tags["copy"]["v2"] == digest
        assert {digest, digest_of(amd.raw), digest_of(arm.raw), signature, counter} <= {d for _, d in other.manifests}
        for made in (amd, arm):
            assert all(digest_of(blob) in other.blobs for blob in made.blobs)
        # again from the copy: what refers to it is found there too, by either way
        with FakeRegistry() as third:
            copied(store, f"{other.address}/copy:v2", f"{third.address}/x:y")
            assert {signature, counter} <= {d for _, d in third.manifests}
        other.clear()
        assert copied(store, f"{registry.address}/app:v1", f"{other.address}/copy:v2") == digest
        assert other.upload_bytes_in() == 0


def test_one_platform_only(registry, other, store):
    _, _, arm = both(registry)
    done = copied(store, f"{registry.address}/app:v1", f"{other.address}/copy:v2", platform="linux/arm64")
    assert done == digest_of(arm.raw)
    assert len(other.manifests) == 1
    with pytest.raises(NoPlatformError, match="is for linux/arm64, not for linux/amd64"):
        copied(store, f"{other.address}/copy:v2", f"{other.address}/no:1", platform="linux/amd64")
    assert "no" not in other.tags


def test_within_a_registry_blobs_are_mounted(registry, store):
    digest, *_ = both(registry)
    registry.clear()
    copied(store, f"{registry.address}/app:v1", f"{registry.address}/team/app:v1")
    assert registry.upload_bytes_in() == 0
    assert registry.blob_bytes_out() == 0
    assert registry.tags["team/app"]["v1"] == digest


def test_through_layouts_and_archives_and_back(registry, other, store, tmp_path):
    digest, *_ = both(registry)
    signature = signed(registry, "app", digest)
    copied(store, f"{registry.address}/app:v1", f"oci:{tmp_path}/layout:one")
    copied(store, f"oci:{tmp_path}/layout:one", f"oci-archive:{tmp_path}/a.tar:two")
    copied(store, f"oci-archive:{tmp_path}/a.tar:two", f"{other.address}/app:v1")
    assert other.tags["app"]["v1"] == digest
    assert ("app", signature) in other.manifests
    assert not os.listdir(os.path.join(store.settings.root, "tmp"))
    first = (tmp_path / "a.tar").read_bytes()
    copied(store, f"oci:{tmp_path}/layout:one", f"oci-archive:{tmp_path}/a.tar:two")
    assert (tmp_path / "a.tar").read_bytes() == first


def test_into_the_store_and_out_again(registry, other, store, tmp_path):
    both(registry)
    copied(store, f"{registry.address}/app:v1", "store:mine:1")
    record = store.images.resolve("mine:1")
    assert record.architecture == "amd64"
    assert {image.architecture for image in store.images} == {"amd64", "arm64"}
    # the name stands for all platforms; so does another name for it
    store.tag("mine:1", f"{other.address}/all:1")
    with transfers(store) as moving:
        assert moving.push(f"{other.address}/all:1").digest == registry.tags["app"]["v1"]
        arm = moving.push(f"{other.address}/all:1", platform="linux/arm64").digest
    assert other.tags["all"]["1"] == arm != registry.tags["app"]["v1"]
    assert copied(store, "store:mine:1", f"{other.address}/copied:1") == registry.tags["app"]["v1"]
    assert {path for path, _ in other.manifests} == {"all", "copied"}
    collect(store.images, store.content, store.snapshots)
    assert copied(store, "store:mine:1", f"{other.address}/again:1") == registry.tags["app"]["v1"]
    # by its ID, and once it is tagged anew, it is the one image
    store.images.tag(Reference.parse("mine:1"), record.id)
    assert copied(store, "store:mine:1", f"{other.address}/out:v1") == record.manifest
    assert other.tags["out"]["v1"] == record.manifest
    copied(store, "store:mine:1", f"docker-archive:{tmp_path}/d.tar:named:2")
    assert [ref.familiar for ref in store.images.names(record.id) if "named" in ref.familiar] == []
    fresh = engine(tmp_path / "fresh")
    copied(fresh, f"docker-archive:{tmp_path}/d.tar", "store:back:3")
    assert fresh.images.resolve("back:3").id == record.id
    assert fresh.images.resolve("named:2").id == record.id
    copied(store, "store:mine:1", f"oci:{tmp_path}/lay:x")
    copied(fresh, f"oci:{tmp_path}/lay:x", "store:third:1")
    assert fresh.images.resolve("third:1").id == record.id
    copied(store, "store:mine:1", "store:other:9")
    assert store.images.resolve("other:9").id == record.id


def test_copies_that_cannot_be(registry, other, store, tmp_path):
    both(registry)
    with pytest.raises(NotFoundError):
        copied(store, f"{registry.address}/app:v9", f"{other.address}/x:1")
    with pytest.raises(NotFoundError):
        copied(store, f"oci-archive:{tmp_path}/absent.tar", f"{other.address}/x:1")
    (tmp_path / "junk.tar").write_bytes(b"junk" * 1000)
    with pytest.raises(ScowError):
        copied(store, f"oci-archive:{tmp_path}/junk.tar", f"{other.address}/x:1")
    assert not other.tags


def test_a_spoilt_blob_leaves_the_target_without_a_name(registry, other, store, tmp_path):
    _, amd, _ = both(registry)
    bad = digest_of(amd.blobs[1])
    registry.blob_hook = lambda r, d: d[:-1] + b"!" if r.ref == bad else d
    with pytest.raises(ScowError):
        copied(store, f"{registry.address}/app:v1", f"{other.address}/x:1")
    assert not other.tags
    with pytest.raises(CorruptError):
        copied(store, f"{registry.address}/app:v1", f"oci:{tmp_path}/l:1")
    assert json.loads((tmp_path / "l" / "index.json").read_text())["manifests"] == []


# ------------------------------------------------------------------------------------------------------- indexes


def test_an_index_is_put_together_annotated_and_pushed(registry, other, store):
    amd, arm = Made([{"a": b"1"}]), Made([{"a": b"2"}])
    amd.put(registry, "one", "amd")
    arm.put(registry, "two", "arm")
    name = f"{registry.address}/all:v1"
    with transfers(store) as moving:
        indexes = Indexes(store.db, moving)
        indexes.create(name, [f"{registry.address}/one:amd"])
        with pytest.raises(ScowError, match="no --amend flag"):
            indexes.create(name, [f"{registry.address}/two:arm"])
        indexes.append(name, [f"{registry.address}/two:arm", f"{registry.address}/two:arm"])
        indexes.annotate(name, f"{registry.address}/two:arm", Changes(architecture="arm64", variant="v8"))
        with pytest.raises(InvalidArgumentError, match="unsupported os/arch combination: linux/bogus"):
            indexes.annotate(name, f"{registry.address}/two:arm", Changes(architecture="bogus"))
        registry.clear()
        with pytest.raises(NotFoundError, match="two:nope does not exist in"):
            indexes.annotate(name, f"{registry.address}/two:nope", Changes(variant="v8"))
        assert not registry.log  # what is in the index is known here
        indexes.annotate(name, "", Changes(annotations={"a": "b"}))
        with pytest.raises(NotFoundError, match="does not exist in"):
            indexes.annotate(name, "sha256:" + "0" * 64, Changes())
        registry.clear()
        done = indexes.push(name)
        assert registry.upload_bytes_in() == 0
        document = json.loads(registry.manifests["all", done.descriptor.digest][1])
        assert [entry["platform"] for entry in document["manifests"]] == [
            {"architecture": "amd64", "os": "linux"},
            {"architecture": "arm64", "os": "linux", "variant": "v8"},
        ]
        assert document["annotations"] == {"a": "b"}
        elsewhere = f"{other.address}/all:v1"
        indexes.create(elsewhere, [name])
        assert indexes.push(elsewhere, purge=True).moved > 0
        assert len(other.manifests) == 3
        assert indexes.names() == [name]
        with pytest.raises(NoSuchIndexError):
            indexes.get(elsewhere)
        indexes.remove(name)
        with pytest.raises(NoSuchIndexError, match="No such manifest"):
            indexes.remove(name)
        with pytest.raises(NotFoundError, match="manifest for image one:amd does not exist in"):
            indexes.annotate(name, "one:amd", Changes())
        with pytest.raises(NotFoundError, match=f"no such manifest: {registry.address}/one:nope"):
            indexes.create(name, [f"{registry.address}/one:nope"])


# -------------------------------------------------------------------------------------------------------- remote


def test_inspecting_without_pulling(registry, store):
    _, amd, arm = both(registry)
    registry.clear()
    with transfers(store) as moving:
        found = inspect_remote(moving, f"{registry.address}/app:v1", "linux/arm64")
    assert (found["Id"], found["Architecture"]) == (digest_of(arm.raw_config), "arm64")
    assert found["Platforms"] == ["linux/amd64", "linux/arm64"]
    assert found["Config"]["Cmd"] == ["/x"]
    assert not {r.ref for r in registry.requests("GET", "blob")} & set(map(digest_of, amd.blobs + arm.blobs))
    assert not len(store.images)


def test_tags_by_name_version_and_date(registry, store):
    for day, tag in enumerate(("1.9", "1.10", "1.10-rc.2", "1.10-rc.10", "v2.0.0", "latest"), 1):
        made = Made([{"a": tag.encode()}])
        made.config["created"] = f"2024-01-{7 - day:02}T00:00:00Z"
        made.put(registry, "app", tag)
    name = f"{registry.address}/app"
    with transfers(store) as moving:
        assert [info.name for info in list_tags(moving, name, sort="version")] == [
            "v2.0.0",
            "1.10",
            "1.10-rc.10",
            "1.10-rc.2",
            "1.9",
            "latest",
        ]
        assert next(info.name for info in list_tags(moving, name, sort="date")) == "1.9"
        found = list_tags(moving, name, match="1.1*", details=True)
        assert [info.name for info in found] == ["1.10", "1.10-rc.10", "1.10-rc.2"]
        assert all(info.digest and info.size and info.created for info in found)
        with pytest.raises(NotFoundError):
            list_tags(moving, f"{registry.address}/nothing")


def test_versions_are_compared_as_versions():
    ordered = ["latest", "1", "1.0-alpha", "1.0-alpha.1", "1.0-beta", "1.0", "1.0.1", "v1.2", "1.10", "2"]
    assert sorted(ordered, key=version_key) == ordered


def test_deleting_tags_and_images(registry, store):
    digest = Made([{"a": b"1"}]).put(registry, "app", "v1")
    registry.tags["app"]["v2"] = digest
    with transfers(store) as moving:
        delete_remote(moving, f"{registry.address}/app:v1")
        assert registry.tags["app"] == {"v2": digest}
        delete_remote(moving, f"{registry.address}/app@{digest}")
        assert registry.tags["app"] == {}
        with pytest.raises(NotFoundError):
            delete_remote(moving, f"{registry.address}/app:v1")


def test_what_is_outdated(registry, store):
    base = Made([{"base": b"1"}])
    old_base = base.put(registry, "base", "1")
    made = Made([{"base": b"1"}, {"a": b"1"}])
    made.extra = {
        "annotations": {
            "org.opencontainers.image.base.name": f"{registry.address}/base:1",
            "org.opencontainers.image.base.digest": old_base,
        }
    }
    made.put(registry, "app", "v1")
    name = f"{registry.address}/app:v1"
    with transfers(store) as moving:
        moving.pull(name)
        assert [(s.kind, s.status) for s in outdated(moving)] == [("image", "current"), ("base", "current")]
        Made([{"base": b"2"}]).put(registry, "base", "1")
        assert [(s.kind, s.status) for s in outdated(moving)] == [("image", "current"), ("base", "outdated")]
        Made([{"a": b"2"}]).put(registry, "app", "v1")
        del registry.tags["base"]["1"]
        assert [(s.kind, s.status) for s in outdated(moving, [name])] == [("image", "outdated"), ("base", "gone")]
        assert [layer["mediaType"] for layer in json.loads(made.raw)["layers"]] == [GZIP, GZIP]


def test_an_image_known_by_two_digests_is_current_by_either(registry, store):
    made = Made([{"a": b"1" * 3000}])
    first = made.put(registry, "app", "v1")
    name = f"{registry.address}/app:v1"
    with transfers(store) as moving:
        record = moving.pull(name).record
        second = moving.push(name, compression=parse_compression("zstd")).digest
        assert second != first
        moving.images.tag(Reference.parse(name), record.id)
        for digest in (first, second):
            registry.tags["app"]["v1"] = digest
            (found,) = outdated(moving)
            assert (found.status, found.here, found.there) == ("current", digest, digest)


# ---------------------------------------------------------------------------------------------- docker's archives


def old_archive(path, made, *, tags=("app:1",), compress=False):
    """What docker wrote before version 25: no manifest, plain layers."""
    files = {"config.json": made.raw_config}
    for number, tar in enumerate(made.plain):
        files[f"{number}/layer.tar"] = gzip.compress(tar) if compress else tar
    listed = {
        "Config": "config.json",
        "RepoTags": list(tags),
        "Layers": [f"{n}/layer.tar" for n in range(len(made.plain))],
    }
    files["manifest.json"] = json.dumps([listed]).encode()
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("compress", [False, True])
def test_old_docker_archives_go_straight_to_a_registry(registry, store, tmp_path, compress):
    made = Made([{"a": b"1" * 5000}, {"b": b"2"}])
    old_archive(tmp_path / "old.tar", made, compress=compress)
    copied(store, f"docker-archive:{tmp_path}/old.tar:app:1", f"{registry.address}/new:1")
    digest = registry.tags["new"]["1"]
    manifest = json.loads(registry.manifests["new", digest][1])
    assert manifest["config"]["digest"] == digest_of(made.raw_config)
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert not len(store.images)
    with transfers(store) as moving:
        assert moving.pull(f"{registry.address}/new:1").record.id == digest_of(made.raw_config)
    copied(store, f"docker-archive:{tmp_path}/old.tar", f"oci:{tmp_path}/layout:x")
    copied(store, f"oci:{tmp_path}/layout:x", f"{registry.address}/again:1")
    assert registry.tags["again"]["1"] == digest


def test_one_platform_goes_into_docker_archives_and_keeps_its_digest(registry, store, tmp_path):
    _, amd, arm = both(registry)
    signed(registry, "app", digest_of(amd.raw))
    source, archive = f"{registry.address}/app:v1", f"docker-archive:{tmp_path}/new.tar"
    copied(store, source, f"{archive}:team/app:2")
    copied(store, archive, f"{registry.address}/back:1")
    assert registry.tags["back"]["1"] == digest_of(amd.raw)
    with tarfile.open(tmp_path / "new.tar") as tar:
        listed = json.loads(tar.extractfile("manifest.json").read())
    assert listed[0]["RepoTags"] == ["team/app:2"]
    copied(store, source, archive, platform="linux/arm64")
    copied(store, archive, f"docker-archive:{tmp_path}/third.tar:x:1")
    copied(store, f"docker-archive:{tmp_path}/third.tar", f"{registry.address}/back:2")
    assert registry.tags["back"]["2"] == digest_of(arm.raw)
    assert not len(store.images)
    assert not os.listdir(os.path.join(store.settings.root, "tmp"))


def test_docker_archives_that_cannot_be_copied(registry, store, tmp_path):
    made = Made([{"a": b"1"}])
    old_archive(tmp_path / "old.tar", made)
    with pytest.raises(NotFoundError, match="has no such image"):
        copied(store, f"docker-archive:{tmp_path}/old.tar:app:9", f"{registry.address}/x:1")
    made.config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    old_archive(tmp_path / "lie.tar", made)
    with pytest.raises(CorruptError, match="has the digest"):
        copied(store, f"docker-archive:{tmp_path}/lie.tar", f"{registry.address}/x:1")
    with pytest.raises(NotFoundError, match="cannot open"):
        copied(store, f"docker-archive:{tmp_path}/absent.tar", f"{registry.address}/x:1")
    assert not registry.tags


def test_manifests_that_would_fill_the_memory_are_not_read(tmp_path, monkeypatch):
    with FakeRegistry() as registry:
        both(registry)
        size = len(registry.manifests["app", registry.tags["app"]["v1"]][1])
        monkeypatch.setattr(copying, "_MAX_MANIFESTS", size + 10, raising=False)
        with pytest.raises(LimitError, match="manifests of more than"):
            copied(engine(tmp_path / "store"), f"docker://{registry.address}/app:v1", f"oci:{tmp_path}/out")
