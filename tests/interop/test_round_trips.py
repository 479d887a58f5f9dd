# SPDX-License-Identifier: Apache-2.0
"""Images through one registry between scow, docker, podman and skopeo: same digests, same IDs, run on each side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from fakes.docker_registry import DockerRegistry, need, short_folder
from fakes.dockerd import Dockerd
from fakes.imaging import Made, engine, transfers
from fakes.registry import FakeRegistry

pytestmark = [pytest.mark.interop, pytest.mark.root, pytest.mark.slow]


class Scow:
    name = "scow"

    def __init__(self, folder):
        self.env = {
            **os.environ,
            "SCOW_ROOT": f"{folder}/scow",
            "SCOW_RUN_ROOT": f"{folder}/scow-run",
            "DOCKER_CONFIG": f"{folder}/cfg",
        }

    def __call__(self, *argv):
        return run([os.path.join(os.path.dirname(sys.executable), "scow"), *argv], env=self.env)

    def push(self, ref):
        return self("push", ref)

    def pull(self, ref):
        return self("pull", "-q", ref)

    def identity(self, ref):
        return json.loads(self("inspect", ref))[0]["Id"]

    def run(self, ref):
        return self("run", "--rm", "--network", "none", ref, "/bin/busybox", "echo", "it runs")


class Docker(Scow):
    name = "docker"

    def __init__(self, folder):
        self.daemon = Dockerd(folder)
        self.env = self.daemon.env

    def __call__(self, *argv):
        return run(["docker", *argv], env=self.env)

    def stop(self):
        self.daemon.stop()


class Podman(Scow):
    name = "podman"

    def stop(self):
        # podman leaves its storage mounted on itself
        subprocess.run(["umount", f"{self.base[2]}/overlay"], capture_output=True)
        shutil.rmtree(self.short, ignore_errors=True)

    def __init__(self, folder):
        need("podman", "runc")
        conf = f"{folder}/containers.conf"
        with open(conf, "w") as file:
            file.write('[containers]\ndefault_ulimits = []\npids_limit = 0\n[engine]\ncgroup_manager = "cgroupfs"\n')
        self.env = {**os.environ, "CONTAINERS_CONF": conf}
        self.short = short_folder()
        self.base = ["podman", "--root", f"{folder}/podman", "--runroot", self.short, "--runtime", "runc"]

    def __call__(self, *argv):
        return run([*self.base, *argv], env=self.env)

    def push(self, ref):
        return self("push", "-q", "--tls-verify=false", ref)

    def pull(self, ref):
        return self("pull", "-q", "--tls-verify=false", ref)

    def identity(self, ref):
        return "sha256:" + json.loads(self("inspect", ref))[0]["Id"]


def run(argv, env):
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


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
