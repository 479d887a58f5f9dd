# SPDX-License-Identifier: Apache-2.0
"""Images through one registry between scow, docker, podman and skopeo: same digests, same IDs, run on each side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from fakes.docker_registry import DockerRegistry, need
from fakes.imaging import Made, engine, transfers
from fakes.peers import Docker, Podman, Scow, run
from fakes.registry import FakeRegistry

pytestmark = [pytest.mark.interop, pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    busybox = shutil.which("busybox")
    if busybox is None or subprocess.run(["ldd", busybox], capture_output=True).returncode == 0:
        pytest.skip("a static busybox is needed")
    with DockerRegistry(folder / "registry") as registry, FakeRegistry() as fake:
        with open(busybox, "rb") as file:
            made = Made([{"bin/busybox": file.read()}, {"etc/motd": b"hello\n"}], labels={"a": "b"})
        made.put(fake, "app", "v1")
        with transfers(engine(folder / "seed")) as moving:
            from scow.oci.reference import Reference

            record = moving.pull(f"{fake.address}/app:v1").record
            moving.push_record(record, Reference.parse(f"{registry.address}/seed:v1"))
        peers = [Scow(folder)]
        for kind in (Docker, Podman):
            try:
                peers.append(kind(folder))
            except pytest.skip.Exception as why:
                print(f"{kind.name} is left out: {why}")
        yield registry, {peer.name: peer for peer in peers}, record.id
        for peer in peers:
            if isinstance(peer, (Docker, Podman)):
                peer.stop()


def digest(registry, name):
    need("skopeo")
    ref = f"docker://{registry.address}/{name}"
    return json.loads(run(["skopeo", "inspect", "--tls-verify=false", ref], dict(os.environ)))["Digest"]


@pytest.mark.parametrize("sender", ["scow", "docker", "podman"])
@pytest.mark.parametrize("receiver", ["scow", "docker", "podman"])
def test_what_one_pushes_the_other_pulls_and_runs(world, sender, receiver):
    registry, peers, identity = world
    if sender not in peers or receiver not in peers:
        pytest.skip("the peer is absent")
    seed, name = f"{registry.address}/seed:v1", f"from/{sender}:to-{receiver}"
    ref = f"{registry.address}/{name}"
    peers[sender].pull(seed)
    assert peers[sender].identity(seed) == identity
    peers[sender]("tag", seed, ref)
    peers[sender].push(ref)
    peers[receiver].pull(ref)
    assert peers[receiver].identity(ref) == identity
    assert peers[receiver].run(ref) == "it runs"


def test_what_scow_pulled_it_pushes_with_the_same_digest(world, tmp_path):
    registry, _, _ = world
    scow = Scow(tmp_path)
    seed, ref = f"{registry.address}/seed:v1", f"{registry.address}/again/and:again"
    scow.pull(seed)
    scow("tag", seed, ref)
    scow.push(ref)
    assert digest(registry, "again/and:again") == digest(registry, "seed:v1")


def test_skopeo_copies_what_scow_pushed_and_scow_pulls_what_skopeo_copied(world, tmp_path):
    need("skopeo")
    registry, peers, identity = world
    seed = f"{registry.address}/seed:v1"
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    copied = f"{registry.address}/by/skopeo:v1"
    run(["skopeo", "copy", "-q", *flags, f"docker://{seed}", f"oci:{tmp_path}/layout:x"], dict(os.environ))
    run(["skopeo", "copy", "-q", *flags, f"oci:{tmp_path}/layout:x", f"docker://{copied}"], dict(os.environ))
    scow = peers["scow"]
    scow.pull(copied)
    assert scow.identity(copied) == identity
    scow("copy", f"oci:{tmp_path}/layout:x", f"{registry.address}/by/scow:v1")
    assert digest(registry, "by/scow:v1") == digest(registry, "by/skopeo:v1")


def test_zstd_layers_reach_podman(world):
    registry, peers, identity = world
    if "podman" not in peers:
        pytest.skip("podman is absent")
    seed, ref = f"{registry.address}/seed:v1", f"{registry.address}/zstd:v1"
    peers["scow"].pull(seed)
    peers["scow"]("tag", seed, ref)
    peers["scow"]("push", "--compression", "zstd", ref)
    peers["podman"].pull(ref)
    assert peers["podman"].identity(ref) == identity
    assert peers["podman"].run(ref) == "it runs"
