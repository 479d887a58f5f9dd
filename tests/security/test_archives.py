# SPDX-License-Identifier: Apache-2.0
"""Hostile archives: they are refused in one sentence, write nothing outside, and take bounded time and memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile

import pytest

from fakes.stores import Store, tar_of
from scow.base.leases import Leases
from scow.engine import Engine
from scow.errors import CorruptError, LimitError, ScowError
from scow.images.archive import load
from scow.layer.changeset import Limits
from scow.oci.digest import sha256_digest

LAYER = tar_of({"a": b"1"})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def config_of(*tars, **more):
    diffs = [sha256_digest(data) for data in tars]
    value = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}} | more
    return json.dumps(value).encode()


def archive(config, layers, tags=("x:1",), names=None):
    files = {"config.json": config} | layers
    entry = {"Config": "config.json", "RepoTags": list(tags), "Layers": names or list(layers)}
    return tar_of(files | {"manifest.json": json.dumps([entry]).encode()})


def attempt(store, data, *, pipe=False, **options):
    before = store.state()
    path = os.path.join(os.path.dirname(store.root), "archive")
    with open(path, "wb") as file:
        file.write(data)
    if pipe:
        process = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        fd = os.dup(process.stdout.fileno())
    else:
        fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(ScowError) as caught:
            load(store.images, store.content, store.snapshots, fd, **options)
    finally:
        os.close(fd)
    assert store.state() == before
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1000
    return caught.value


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("name", ["/etc/passwd", "../../../../etc/passwd", "a/../../etc/passwd"])
def test_layers_named_outside_are_not_read(store, name, pipe):
    data = archive(config_of(LAYER), {}, names=[name])
    assert isinstance(attempt(store, data, pipe=pipe), CorruptError)


@pytest.mark.parametrize("pipe", [False, True])
def test_config_named_outside_is_not_read(store, pipe):
    data = tar_of({"manifest.json": json.dumps([{"Config": "/etc/hostname", "Layers": []}]).encode()})
    assert isinstance(attempt(store, data, pipe=pipe), CorruptError)


@pytest.mark.parametrize("pipe", [False, True])
def test_members_that_climb_out_write_nothing(store, tmp_path, pipe):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("../evil", "/" + str(tmp_path / "evil2"), "blobs/../../../evil3"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        info = tarfile.TarInfo("blobs")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(info)
    attempt(store, out.getvalue(), pipe=pipe)
    assert sorted(os.listdir(tmp_path)) == ["archive", "store"]


@pytest.mark.parametrize("pipe", [False, True])
def test_a_bomb_as_layer(store, pipe):
    bomb = gzip.compress(bytes(80 << 20), 9)
    data = archive(config_of(LAYER), {"l": bomb + os.urandom(0)}, names=["l"])
    error = attempt(store, data, pipe=pipe, limits=Limits(max_ratio=100))
    assert isinstance(error, LimitError)
    assert "SCOW_MAX_RATIO" in error.hint


def test_a_bomb_around_the_archive(store):
    error = attempt(store, gzip.compress(tar_of({"a": bytes(80 << 20)}), 9), limits=Limits(max_ratio=100))
    assert isinstance(error, LimitError)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_layer_beyond_the_limit(store, pipe):
    big = tar_of({"a": os.urandom(3 << 20)})
    for layer in (big, gzip.compress(big, 1)):
        error = attempt(store, archive(config_of(big), {"l": layer}), pipe=pipe, limits=Limits(max_size=2 << 20))
        assert isinstance(error, LimitError)
        assert "SCOW_MAX_LAYER_SIZE" in error.hint


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"rootfs":' * 5000 + b"1" + b"}" * 5000,
        b'{"rootfs": {"diff_ids": "x"}}',
        b'{"rootfs": {"diff_ids": [1]}}',
        b'{"rootfs": null}',
        b"\xff\xfe{}",
        b"",
        b'{"rootfs":{"diff_ids":["' + b"sha256:" + b"0" * 64 + b'"]},"config":{"Env":5}}',
    ],
)
@pytest.mark.parametrize("pipe", [False, True])
def test_hostile_configs(store, config, pipe):
    attempt(store, archive(config, {"l": LAYER}), pipe=pipe)


@pytest.mark.parametrize(
    "manifest",
    [
        [{"Config": 5, "Layers": []}],
        [{"Config": "config.json", "Layers": "l"}],
        [{"Config": "config.json", "Layers": [5]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": "x:1"}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["x"]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["x:1@sha256:" + "0" * 64]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["../../x:1"]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["x:1\nevil"]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["\u202ex:1"]}],
        [{"Config": "config.json", "Layers": ["l"], "RepoTags": ["x" * 5000 + ":1"]}],
        [5],
        5,
        {},
        [[]],
        [],
    ],
)
def test_hostile_manifests(store, manifest):
    if manifest == []:
        path = os.path.join(os.path.dirname(store.root), "archive")
        with open(path, "wb") as file:
            file.write(tar_of({"manifest.json": b"[]"}))
        with open(path, "rb") as file:
            assert load(store.images, store.content, store.snapshots, file.fileno()) == []
        return
    data = tar_of({"config.json": config_of(LAYER), "l": LAYER, "manifest.json": json.dumps(manifest).encode()})
    attempt(store, data)


def test_an_index_that_points_at_itself(store):
    """Digests cannot be circular, names can: every step must be verified and the depth bounded."""
    index = b'{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:%s","size":9}]}'
    data = tar_of({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index % (b"0" * 64),
                   "blobs/sha256/" + "0" * 64: index % (b"0" * 64)})  # fmt: skip
    assert isinstance(attempt(store, data), CorruptError)


def test_indexes_nested_too_deep(store):
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    raw = b'{"schemaVersion":2,"manifests":[]}'
    for _ in range(8):
        digest = sha256_digest(raw)
        files[f"blobs/sha256/{digest.encoded}"] = raw
        entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": len(raw)}
        raw = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    assert isinstance(attempt(store, tar_of(files | {"index.json": raw})), LimitError)


def test_old_archives_with_circular_parents(store):
    one, two = "a" * 64, "b" * 64
    files = {"repositories": json.dumps({"x": {"1": one}}).encode()}
    for name, parent in ((one, two), (two, one)):
        files[f"{name}/json"] = json.dumps({"id": name, "parent": parent}).encode()
        files[f"{name}/layer.tar"] = LAYER
    assert isinstance(attempt(store, tar_of(files)), LimitError)


@pytest.mark.parametrize("parent", ["../../etc", "x", 5, "A" * 64])
def test_old_archives_with_odd_parents(store, parent):
    one = "a" * 64
    files = {
        "repositories": json.dumps({"x": {"1": one}}).encode(),
        f"{one}/json": json.dumps({"id": one, "parent": parent}).encode(),
        f"{one}/layer.tar": LAYER,
    }
    attempt(store, tar_of(files))


def test_a_layout_directory_with_a_pipe_does_not_hang(store, tmp_path):
    top = tmp_path / "layout"
    (top / "blobs" / "sha256").mkdir(parents=True)
    (top / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 5}
    (top / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    os.mkfifo(top / "blobs" / "sha256" / ("0" * 64))
    with pytest.raises(ScowError):
        load(store.images, store.content, store.snapshots, str(top))


def test_many_names_take_bounded_memory(tmp_path):
    """100,000 members of one byte, through a pipe, in a process of its own."""
    data = tmp_path / "archive"
    with tarfile.open(data, "w") as tar:
        for number in range(100_000):
            info = tarfile.TarInfo(f"{number:0100d}")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    script = (
        "import sys; from scow.engine import Engine\n"
        "try: Engine(sys.argv[1]).load(0)\n"
        "except Exception as error: print(type(error).__name__)\n"
        # not getrusage: what the kernel calls a process's peak survives exec, and is then that of pytest
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])\n"
    )
    with open(data, "rb") as file:
        cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "root")], stdin=cat.stdout, capture_output=True, text=True
        )
    said, kilobytes = done.stdout.split()
    assert said == "ArchiveError", done.stderr
    assert int(kilobytes) < 200 * 1024


@pytest.mark.root
@pytest.mark.parametrize("kind", ["erofs", "overlay"])
@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../evil"},
        {"name": "a/../../evil"},
        {"name": "evil", "type": tarfile.LNKTYPE, "linkname": "../../../../etc/passwd"},
    ],
    ids=["parent", "inside", "hard link"],
)
def test_layers_that_climb_out(tmp_path, monkeypatch, kind, entry):
    """With the real snapshotters: nothing outside of the store is made, nothing in it is left."""
    monkeypatch.setenv("SCOW_SNAPSHOTTER", kind)
    engine = Engine(str(tmp_path / "root"))
    if kind == "erofs" and engine.info()["Driver"] != "erofs":
        pytest.skip("this host cannot mount EROFS files")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(entry["name"])
        info.type = entry.get("type", tarfile.REGTYPE)
        info.linkname = entry.get("linkname", "")
        tar.addfile(info)
    layer = out.getvalue()
    (tmp_path / "archive").write_bytes(archive(config_of(layer), {"l": layer}))
    with open(tmp_path / "archive", "rb") as file, pytest.raises(ScowError):
        engine.load(file.fileno())
    assert sorted(os.listdir(tmp_path)) == ["archive", "root"]
    assert len(engine.images) == 0
    assert list(engine.content) == []
    assert list(engine.snapshots) == []
    assert Leases(engine.db).graph() == []
