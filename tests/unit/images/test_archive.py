# SPDX-License-Identifier: Apache-2.0
"""Saving and loading: what goes out comes back, from files, pipes, directories, compressed or not."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading

import pytest

from fakes.stores import Store, tar_of
from scow.base.streams import BlobMismatchError
from scow.errors import CorruptError
from scow.images.archive import load
from scow.images.members import ArchiveError
from scow.images.saving import save
from scow.images.store import ImageNotFoundError
from scow.layer.compression import CompressWriter
from scow.oci.digest import sha256_digest
from scow.oci.reference import Reference, ReservedNameError


def saved(store, *names, form="docker"):
    out = io.BytesIO()
    save(store.images, store.content, names, out, form=form)
    return out.getvalue()


def loaded(store, data, how="file", **options):
    if how == "directory":
        path = os.path.join(store.root, "unpacked")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(path, filter="fully_trusted")
        return load(store.images, store.content, store.snapshots, path, **options)
    if how == "pipe":
        read, write = os.pipe()

        def feed():
            with open(write, "wb") as file:
                try:
                    file.write(data)
                except BrokenPipeError:
                    pass

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            return load(store.images, store.content, store.snapshots, read, **options)
        finally:
            os.close(read)
            thread.join()
    path = os.path.join(store.root, "archive")
    with open(path, "wb") as file:
        file.write(compressed(data, how))
    fd = os.open(path, os.O_RDONLY)
    try:
        return load(store.images, store.content, store.snapshots, fd, **options)
    finally:
        os.close(fd)


def compressed(data, how):
    if how == "gzip":
        return gzip.compress(data)
    if how == "zstd":
        out = io.BytesIO()
        with CompressWriter(out, "zstd") as writer:
            writer.write(data)
        return out.getvalue()
    if how in ("xz", "bz2"):
        return __import__("lzma" if how == "xz" else "bz2").compress(data)
    return data


WAYS = ["file", "pipe", "directory", "gzip", "zstd", "xz", "bz2"]


@pytest.fixture
def other(tmp_path):
    return Store(tmp_path / "other")


@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("how", WAYS)
def test_round_trip(any_store, other, how, form):
    record = any_store.image("foo:1", "foo:2", layers=({"a": b"1" * 3000}, {"b": b"2"}))
    found = loaded(other, saved(any_store, "foo:1", "foo:2", form=form), how)
    assert [(image.record.id, [name.familiar for name in image.names]) for image in found] == [
        (record.id, ["foo:1", "foo:2"])
    ]
    again = other.images.get(record.id)
    assert again.manifest == record.manifest
    assert again.chain == record.chain
    assert again.size == 3001
    assert other.snapshots.exists(record.chain)
    assert [info.kind for info in other.snapshots] == ["committed", "committed"]
    assert other.leases.owners("blob", record.manifest) == [f"image:{record.id}"]
    assert saved(other, "foo", form=form) == saved(any_store, "foo", form=form)


def test_the_same_images_give_the_same_bytes(store):
    store.image("a")
    store.image("b", layers=({"x": b""},))
    assert saved(store, "a", "b") == saved(store, "a", "b")


def test_names_come_in_the_order_they_were_asked_for(store):
    store.image("z:1", "z:2")
    with tarfile.open(fileobj=io.BytesIO(saved(store, "z:2", "z:1"))) as tar:
        assert json.load(tar.extractfile("manifest.json"))[0]["RepoTags"] == ["z:2", "z:1"]


def test_repositories_ids_and_order(store):
    first, second = store.image("z:1", "z:2"), store.image("a:1", layers=({"x": b""},))
    with tarfile.open(fileobj=io.BytesIO(saved(store, "z", second.id))) as tar:
        entries = json.load(tar.extractfile("manifest.json"))
        assert [entry["RepoTags"] for entry in entries] == [["z:1", "z:2"], None]
        assert entries[0]["Config"] == f"blobs/sha256/{first.id.encoded}"
        assert json.load(tar.extractfile("repositories")) == {
            "z": {tag: entries[0]["Layers"][-1].rpartition("/")[2] for tag in ("1", "2")}
        }
        assert tar.getnames()[:4] == ["oci-layout", "index.json", "manifest.json", "repositories"]
        assert {member.mtime for member in tar} == {0}
        index = json.load(tar.extractfile("index.json"))
        assert [entry.get("annotations", {}) for entry in index["manifests"]] == [
            {"io.containerd.image.name": "docker.io/library/z:1", "org.opencontainers.image.ref.name": "1"},
            {"io.containerd.image.name": "docker.io/library/z:2", "org.opencontainers.image.ref.name": "2"},
            {},
        ]


def test_shared_layers_are_written_once(store):
    base = store.image("base")
    store.image("child", base=base, layers=({"c": b""},))
    with tarfile.open(fileobj=io.BytesIO(saved(store, "base", "child"))) as tar:
        assert len(tar.getnames()) == len(set(tar.getnames()))
        layers = [entry["Layers"] for entry in json.load(tar.extractfile("manifest.json"))]
        assert layers[1][0] == layers[0][0]


def test_saving_what_is_not_there_writes_nothing(store):
    store.image("a")
    out = io.BytesIO()
    with pytest.raises(ImageNotFoundError):
        save(store.images, store.content, ["a", "b"], out)
    assert out.getvalue() == b""


def test_saving_a_damaged_blob_fails(store):
    record = store.image("a")
    path = store.content.path(store.images.config(record.id).value.diff_ids[0])
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.write(b"X")
    with pytest.raises(BlobMismatchError):
        saved(store, "a")


def with_compression(store, compression):
    """An image as a pull leaves it: its layer is compressed."""
    from scow.oci.encode import encode_config, encode_manifest
    from scow.oci.mediatype import OCI_CONFIG_V1, OCI_MANIFEST_V1, layer_type
    from scow.oci.model import Descriptor, ImageConfig, Manifest, Platform

    tar = tar_of({"f": b"layer" * 1000})
    out = io.BytesIO()
    with CompressWriter(out, compression) as writer:
        writer.write(tar)
    with store.leases.hold("t") as lease:
        digest = store.content.put(out.getvalue(), lease)
        config = encode_config(ImageConfig(Platform(), (sha256_digest(tar),)))
        store.content.put(config.raw, lease)
        manifest = encode_manifest(
            Manifest(
                OCI_MANIFEST_V1,
                Descriptor(OCI_CONFIG_V1, config.descriptor.digest, len(config.raw)),
                (Descriptor(layer_type(compression), digest, len(out.getvalue())),),
            )
        )
        store.content.put(manifest.raw, lease)
        return store.images.add(manifest.descriptor, lease, [Reference.parse("c:1")])


@pytest.mark.parametrize("how", ["file", "pipe"])
def test_gzip_layers_keep_their_bytes(store, other, how):
    record = with_compression(store, "gzip")
    loaded(other, saved(store, "c:1"), how)
    assert other.images.get(record.id).manifest == record.manifest
    assert saved(other, "c:1") == saved(store, "c:1")


@pytest.mark.parametrize("how", ["file", "pipe"])
def test_zstd_layers_become_plain_for_docker_only(store, other, how):
    record = with_compression(store, "zstd")
    assert loaded(other, saved(store, "c:1", form="oci"), how)[0].record.manifest == record.manifest
    third = Store(os.path.join(other.root, "third"))
    found = loaded(third, saved(store, "c:1"), how)[0].record
    assert found.id == record.id
    assert found.manifest != record.manifest
    layer = third.images.manifest(found.id).value.layers[0]
    assert layer.digest == third.images.config(found.id).value.diff_ids[0]


def test_loading_again_changes_nothing_but_names(any_store):
    record = any_store.image("foo:1")
    data = saved(any_store, "foo:1")
    any_store.images.untag(Reference.parse("foo:1"))
    before = [info.digest for info in any_store.content], any_store.snapshots.reads
    for how in ("file", "directory"):
        assert loaded(any_store, data, how)[0].record.id == record.id
    assert ([info.digest for info in any_store.content], any_store.snapshots.reads) == before
    loaded(any_store, data, "pipe")
    assert [info.digest for info in any_store.content] == before[0]
    assert len(list(any_store.snapshots)) == 1


def test_a_name_that_moves_is_told(store, other):
    old = other.image("foo:1", layers=({"old": b""},))
    store.image("foo:1")
    found = loaded(other, saved(store, "foo:1"))[0]
    assert found.replaced == {Reference.parse("foo:1"): old.id}
    assert other.images.names(old.id) == []


def test_one_layer_at_two_places(store, other):
    """The same diff on different parents needs two snapshots of one blob."""
    one = store.image("one", layers=({"a": b""}, {"same": b"s"}))
    two = store.image("two", layers=({"b": b""}, {"same": b"s"}))
    for how in ("file", "pipe"):
        target = Store(os.path.join(other.root, how))
        loaded(target, saved(store, "one", "two"), how)
        assert target.snapshots.exists(one.chain)
        assert target.snapshots.exists(two.chain)
        assert len(list(target.snapshots)) == 4


def docker_archive(config, layers, tags=("old:1",), **links):
    """An archive as docker and podman wrote it for years."""
    out = io.BytesIO()
    raw = json.dumps(config).encode()
    with tarfile.open(fileobj=out, mode="w") as tar:
        files = {f"{sha256_digest(raw).encoded}.json": raw} | layers
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        names = list(layers)
        for name, target in links.get("links", {}).items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            tar.addfile(info)
            names.append(name)
        entry = {"Config": next(iter(files)), "RepoTags": list(tags), "Layers": links.get("order", names)}
        data = json.dumps([entry]).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue(), sha256_digest(raw)


def config_of(*tars):
    diffs = [sha256_digest(data) for data in tars]
    return {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}


@pytest.mark.parametrize("how", ["file", "pipe", "directory"])
def test_docker_archive_without_layout(store, how):
    first, second = tar_of({"a": b"1"}), tar_of({"b": b"2" * (2 << 20)})  # the second is too big for memory
    data, image = docker_archive(config_of(first, second), {"x/layer.tar": first, "y/layer.tar": second})
    found = loaded(store, data, how)[0]
    assert found.record.id == image
    assert [name.familiar for name in found.names] == ["old:1"]
    assert store.snapshots.exists(found.record.chain)


@pytest.mark.parametrize("how", ["file", "pipe", "directory"])
def test_layers_may_be_links_inside_the_archive(store, how):
    layer = tar_of({"a": b"1"})
    data, image = docker_archive(
        config_of(layer, layer), {"x/layer.tar": layer}, links={"y/layer.tar": "../x/layer.tar"}
    )
    assert loaded(store, data, how)[0].record.id == image


@pytest.mark.parametrize("how", ["file", "pipe"])
def test_compressed_layers_in_a_docker_archive(store, how):
    layer = tar_of({"a": b"1"})
    data, image = docker_archive(config_of(layer), {"x/layer.tar": gzip.compress(layer)})
    record = loaded(store, data, how)[0].record
    assert record.id == image
    assert store.images.manifest(image).value.layers[0].media_type.endswith("tar+gzip")


def test_the_oldest_archives(store):
    """No config in the archive: the image ID is that of the config docker makes of the layers' descriptions."""
    first, second = tar_of({"a": b"1"}), tar_of({"b": b"2"})
    ids = ["a" * 64, "b" * 64]
    descriptions = [
        {"id": ids[0], "created": "2014-01-01T00:00:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", "a & b"]}},
        {"id": ids[1], "parent": ids[0], "created": "2014-01-02T00:00:00Z", "os": "linux", "architecture": "amd64",
         "author": "me <m@x>", "config": {"Cmd": ["sh"]}, "Size": 5, "throwaway": True},
    ]  # fmt: skip
    files = {"repositories": json.dumps({"old": {"1": ids[1], "2": ids[1]}}).encode()}
    for identity, tar, value in zip(ids, (first, second), descriptions, strict=True):
        files[f"{identity}/VERSION"] = b"1.0"
        files[f"{identity}/json"] = json.dumps(value).encode()
        files[f"{identity}/layer.tar"] = tar
    expected = (
        '{"architecture":"amd64","author":"me \\u003cm@x\\u003e","config":{"Cmd":["sh"]},"created":"2014-01-02T00:00:00Z",'
        '"history":[{"created":"2014-01-01T00:00:00Z","created_by":"/bin/sh -c a \\u0026 b"},'
        '{"author":"me \\u003cm@x\\u003e","created":"2014-01-02T00:00:00Z"}],"os":"linux","rootfs":{"diff_ids":'
        f'["{sha256_digest(first)}","{sha256_digest(second)}"],"type":"layers"}}}}'
    )
    for how in ("file", "pipe", "directory"):
        target = Store(os.path.join(store.root, f"t-{how}"))
        found = loaded(target, tar_of(files), how)[0]
        assert found.record.id == sha256_digest(expected.encode())
        assert [name.familiar for name in found.names] == ["old:1", "old:2"]


def test_index_with_several_platforms(store, other):
    from scow.oci.encode import encode_index
    from scow.oci.mediatype import OCI_INDEX_V1
    from scow.oci.model import Index, Platform

    amd, arm = store.image("amd"), store.image("arm", layers=({"arm": b""},))
    entries = []
    for record, architecture in ((amd, "amd64"), (arm, "arm64")):
        from scow.record import replace

        entries.append(replace(store.images.manifest(record.id).descriptor, platform=Platform("linux", architecture)))
    inner = encode_index(Index(OCI_INDEX_V1, tuple(entries)))
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    for info in store.content:
        files[f"blobs/sha256/{info.digest.encoded}"] = store.content.read(info.digest)
    files[f"blobs/sha256/{inner.descriptor.digest.encoded}"] = inner.raw
    notes = {"org.opencontainers.image.ref.name": "example.com/multi:1"}
    files["index.json"] = encode_index(Index(OCI_INDEX_V1, (replace(inner.descriptor, annotations=notes),))).raw
    for platform, expected in ((Platform("linux", "amd64"), amd), (Platform("linux", "arm64"), arm)):
        found = loaded(other, tar_of(files), "file", platform=platform)
        assert [image.record.id for image in found] == [expected.id]
        assert [name.familiar for name in found[0].names] == ["example.com/multi:1"]
    assert inner.descriptor.digest in other.content


@pytest.mark.parametrize("ref_name", ["latest", "", "not a name:"])
def test_a_bare_tag_names_nothing(store, other, ref_name):
    record = store.image("foo:1")
    with tarfile.open(fileobj=io.BytesIO(saved(store, "foo:1", form="oci"))) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    index = json.loads(files["index.json"])
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": ref_name}
    files["index.json"] = json.dumps(index).encode()
    found = loaded(other, tar_of(files))[0]
    assert (found.record.id, found.names) == (record.id, ())


# ---------------------------------------------------------------------- what fails leaves the store as it was


def broken(kind):
    layer, other = tar_of({"a": b"1" * 10_000}), tar_of({"b": b"2"})
    config = config_of(layer, other)
    good = {"x/layer.tar": layer, "y/layer.tar": other}
    if kind == "cut":
        return docker_archive(config, good)[0][:8000]
    if kind == "cut at the end":
        data = docker_archive(config, good)[0]
        return data[: data.rindex(b"manifest.json") + 100]
    if kind == "flipped":
        data = bytearray(docker_archive(config, good)[0])
        data[data.index(b"1" * 1000) + 500] ^= 1
        return bytes(data)
    if kind == "other layer":
        return docker_archive(config, {"x/layer.tar": layer, "y/layer.tar": tar_of({"c": b"3"})})[0]
    if kind == "missing layer":
        return docker_archive(config, {"x/layer.tar": layer}, order=["x/layer.tar", "y/layer.tar"])[0]
    if kind == "too few layers":
        return docker_archive(config, {"x/layer.tar": layer})[0]
    if kind == "layer is no tar":
        return docker_archive(config_of(layer, b"no tar" * 100), {"x/layer.tar": layer, "y/l": b"no tar" * 100})[0]
    if kind == "bad name":
        return docker_archive(config, good, ["UPPER:1"])[0]
    if kind == "bad config":
        return docker_archive({"rootfs": {"diff_ids": ["sha256:x"]}}, good)[0]
    if kind == "manifest is no list":
        return tar_of({"manifest.json": b"{}"})
    if kind == "manifest is no json":
        return tar_of({"manifest.json": b"[{"})
    if kind == "empty":
        return tar_of({})
    return b"this is not a tar archive\n"


KINDS = [
    "cut", "cut at the end", "flipped", "other layer", "missing layer", "too few layers", "layer is no tar", "bad name",
    "bad config", "manifest is no list", "manifest is no json", "empty", "garbage",
]  # fmt: skip


@pytest.mark.parametrize("how", ["file", "pipe", "gzip"])
@pytest.mark.parametrize("kind", KINDS)
def test_broken_archives_leave_the_store_unchanged(any_store, kind, how):
    any_store.image("there:1")
    before = any_store.state()
    expected = ValueError if kind == "never" else Exception
    with pytest.raises(expected) as caught:
        loaded(any_store, broken(kind), how)
    assert isinstance(caught.value, CorruptError) or kind == "bad name", caught.value
    assert "\n" not in str(caught.value)
    assert any_store.state() == before
    assert any_store.content.strays() == []


def test_scratch_cannot_be_loaded(store):
    layer = tar_of({"a": b"1"})
    data, _ = docker_archive(config_of(layer), {"x/layer.tar": layer}, ["scratch:latest"])
    before = store.state()
    with pytest.raises(ReservedNameError, match="'scratch' is a reserved name"):
        loaded(store, data)
    assert store.state() == before


def test_a_tarball_of_a_file_system_is_for_import(store):
    with pytest.raises(ArchiveError) as caught:
        loaded(store, tar_of({"etc/passwd": b"", "bin/sh": b""}))
    assert "import" in caught.value.hint


def test_an_oci_blob_that_lies_about_its_digest(store, other):
    store.image("foo:1")
    with tarfile.open(fileobj=io.BytesIO(saved(store, "foo:1", form="oci"))) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"].replace("sha256:", "blobs/sha256/")
    for change in (files[manifest] + b" ", files[manifest].replace(b"layers", b"layerz")):
        before = other.state()
        with pytest.raises(BlobMismatchError):
            loaded(other, tar_of(files | {manifest: change}))
        assert other.state() == before
