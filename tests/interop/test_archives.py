# SPDX-License-Identifier: Apache-2.0
"""Archives between scow and dockerd, podman, skopeo and umoci: same image IDs, same DiffIDs, and the images run."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from fakes.docker_registry import need
from fakes.peers import Docker, Podman

pytestmark = [pytest.mark.interop, pytest.mark.root, pytest.mark.slow]

NAME = "localhost/interop/app:1"


def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, **options)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')}"
    return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return str(tmp_path_factory.mktemp("world"))


class Scow:
    """The command, over a store of its own."""

    def __init__(self, folder):
        self.env = {
            **os.environ,
            "SCOW_ROOT": f"{folder}/scow",
            "SCOW_RUN_ROOT": f"{folder}/scow-run",
            "DOCKER_CONFIG": f"{folder}/config",
        }

    def __call__(self, *argv, **options):
        return run([os.path.join(os.path.dirname(sys.executable), "scow"), *argv], env=self.env, **options)

    def facts(self, name):
        value = json.loads(self("inspect", name))[0]
        return value["Id"], value["RootFS"]["Layers"]


@pytest.fixture(scope="module")
def scow(world):
    """A store with an application of two layers: one gzip, one plain."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox-static is not installed")
    made = Scow(world)
    first, second = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=first, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(busybox, "bin/busybox")
        for applet in ("sh", "cat", "ls"):
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        for name, data in (("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), ("etc/gone", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with tarfile.open(fileobj=second, mode="w") as tar:
        for name, data in (("etc/.wh.gone", b""), ("hello", b"hello from a layer\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    archive = docker_archive(first.getvalue(), second.getvalue())
    made("load", input=archive)
    return made


def docker_archive(*layers):
    from scow.oci.digest import sha256_digest

    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-02T03:04:05Z",
        "config": {"Cmd": ["cat", "/hello"], "Env": ["PATH=/bin"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [sha256_digest(layer) for layer in layers]},
        "history": [{"created_by": f"step {number}"} for number in range(len(layers))],
    }
    raw = json.dumps(config).encode()
    files = {"config.json": raw}
    for number, layer in enumerate(layers):
        files[f"{number}/layer.tar"] = gzip.compress(layer, mtime=0) if number == 0 else layer
    names = [name for name in files if name.endswith(".tar")]
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [NAME], "Layers": names}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def facts(scow):
    return scow.facts(NAME)


@pytest.fixture
def fresh(tmp_path):
    """A scow with an empty store."""
    return Scow(str(tmp_path))


@pytest.fixture(scope="module")
def docker(world):
    peer = Docker(world)
    yield peer
    peer.stop()


@pytest.fixture(scope="module")
def podman(world):
    peer = Podman(world)
    yield peer
    peer.stop()


@pytest.fixture(scope="module", params=["docker", "oci"])
def archive(request, scow, world):
    path = f"{world}/{request.param}.tar"
    scow("save", "--format", request.param, "-o", path, NAME)
    return path


# ---------------------------------------------------------------------- what scow writes


def test_docker_loads_and_runs_it(scow, facts, docker, world):
    path = f"{world}/for-docker.tar"
    scow("save", "-o", path, NAME)
    assert f"Loaded image: {NAME}" in docker("load", "-i", path)
    value = json.loads(docker("inspect", NAME))[0]
    assert (value["Id"], value["RootFS"]["Layers"]) == facts
    assert docker("run", "--rm", "--network", "none", NAME) == "hello from a layer"
    assert docker("run", "--rm", "--network", "none", NAME, "ls", "/etc").split() == [
        "hostname", "hosts", "mtab", "passwd", "resolv.conf",
    ]  # fmt: skip


def test_podman_loads_and_runs_it(facts, podman, archive):
    podman("load", "-i", archive)
    value = json.loads(podman("inspect", NAME if archive.endswith("docker.tar") else facts[0][7:]))[0]
    assert ("sha256:" + value["Id"], value["RootFS"]["Layers"]) == facts
    assert podman("run", "--rm", "--network", "none", facts[0][7:]) == "hello from a layer"
    podman("rmi", "-f", facts[0][7:])


def test_skopeo_reads_it(facts, archive):
    need("skopeo")
    transports = ["docker-archive", "oci-archive"] if archive.endswith("docker.tar") else ["oci-archive"]
    for transport in transports:
        config = run(["skopeo", "inspect", "--config", "--raw", f"{transport}:{archive}"])
        assert json.loads(config)["rootfs"]["diff_ids"] == facts[1]


def test_umoci_unpacks_it(archive, tmp_path):
    need("umoci")
    layout = tmp_path / "layout"
    with tarfile.open(archive) as tar:
        tar.extractall(layout, filter="fully_trusted")
    run(["umoci", "unpack", "--image", f"{layout}:1", str(tmp_path / "bundle")])
    assert (tmp_path / "bundle/rootfs/hello").read_bytes() == b"hello from a layer\n"
    assert not (tmp_path / "bundle/rootfs/etc/gone").exists()


# ---------------------------------------------------------------------- what scow reads


def load_and_compare(fresh, facts, source, *, named=True, piped=False):
    if piped:
        with open(source, "rb") as file:
            cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            out = fresh("load", stdin=cat.stdout).decode()
    else:
        out = fresh("load", "-i", str(source)).decode()
    assert (f"Loaded image: {NAME}" if named else f"Loaded image ID: {facts[0]}") in out
    assert fresh.facts(facts[0]) == facts
    assert fresh("run", "--rm", "--network", "none", facts[0]) == b"hello from a layer\n"
    assert fresh("system", "fsck") == b"The store is clean\n"


@pytest.mark.parametrize("piped", [False, True])
def test_what_docker_saves(scow, facts, docker, fresh, world, tmp_path, piped):
    scow("save", "-o", f"{world}/for-docker.tar", NAME)
    docker("load", "-i", f"{world}/for-docker.tar")
    docker("save", "-o", str(tmp_path / "d.tar"), NAME)
    load_and_compare(fresh, facts, tmp_path / "d.tar", piped=piped)


@pytest.mark.parametrize(
    ("form", "piped"),
    [
        ("docker-archive", False),
        ("docker-archive", True),
        ("oci-archive", False),
        ("oci-archive", True),
        ("oci-dir", False),
    ],
)
def test_what_podman_saves(scow, facts, podman, fresh, world, tmp_path, form, piped):
    scow("save", "-o", f"{world}/for-podman.tar", NAME)
    podman("load", "-i", f"{world}/for-podman.tar")
    podman("save", "--format", form, "-o", str(tmp_path / "p"), NAME)
    load_and_compare(fresh, facts, tmp_path / "p", piped=piped, named=form != "oci-dir" or has_name(tmp_path / "p"))


def has_name(layout):
    index = json.loads((layout / "index.json").read_bytes())
    name = index["manifests"][0].get("annotations", {}).get("org.opencontainers.image.ref.name", "")
    return ":" in name


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("piped", [False, True])
def test_what_skopeo_copies(facts, fresh, scow, world, tmp_path, compression, piped):
    need("skopeo")
    scow("save", "--format", "oci", "-o", f"{world}/for-skopeo.tar", NAME)
    source = f"oci-archive:{world}/for-skopeo.tar"
    target = tmp_path / "s.tar"
    options = ["--dest-compress-format", compression, "--dest-compress"]
    run(["skopeo", "copy", "-q", *options, source, f"oci-archive:{target}:{NAME}"])
    load_and_compare(fresh, facts, target, piped=piped)


@pytest.mark.parametrize(("origin", "to"), [("docker-archive", "docker-archive"), ("oci-archive", "oci")])
def test_what_skopeo_copies_elsewhere(facts, fresh, scow, world, tmp_path, origin, to):
    """Between docker's and OCI's forms skopeo writes another config, and so another ID: each stays in its own."""
    need("skopeo")
    scow("save", "--format", origin.partition("-")[0], "-o", f"{world}/for-skopeo.tar", NAME)
    target = tmp_path / "s"
    run(["skopeo", "copy", "-q", f"{origin}:{world}/for-skopeo.tar", f"{to}:{target}:{NAME}"])
    load_and_compare(fresh, facts, target)


def test_what_skopeo_converts_keeps_its_layers(facts, fresh, scow, world, tmp_path):
    need("skopeo")
    scow("save", "-o", f"{world}/for-skopeo.tar", NAME)
    run(["skopeo", "copy", "-q", f"docker-archive:{world}/for-skopeo.tar", f"oci:{tmp_path}/s:{NAME}"])
    fresh("load", "-i", f"{tmp_path}/s")
    assert fresh.facts(NAME)[1] == facts[1]


@pytest.mark.parametrize("packed", [False, True])
def test_what_umoci_makes(fresh, tmp_path, packed):
    need("umoci")
    layout = tmp_path / "layout"
    run(["umoci", "init", "--layout", str(layout)])
    run(["umoci", "new", "--image", f"{layout}:1"])
    run(["umoci", "unpack", "--image", f"{layout}:1", str(tmp_path / "bundle")])
    shutil.copy(shutil.which("busybox"), tmp_path / "bundle/rootfs/busybox")
    run(["umoci", "repack", "--image", f"{layout}:1", str(tmp_path / "bundle")])
    run(["umoci", "config", "--image", f"{layout}:1", "--config.cmd", "/busybox", "--config.cmd", "true"])
    index = json.loads((layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"].replace(":", "/")
    manifest = json.loads((layout / "blobs" / digest).read_bytes())
    image = manifest["config"]["digest"]
    source = layout
    if packed:
        source = tmp_path / "layout.tar"
        run(["tar", "-C", str(layout), "-cf", str(source), "."])
    assert f"Loaded image ID: {image}" in fresh("load", "-i", str(source)).decode()
    fresh("run", "--rm", "--network", "none", image)
    assert json.loads(fresh("inspect", image))[0]["Descriptor"]["digest"] == index["manifests"][0]["digest"]
