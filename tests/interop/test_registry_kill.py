# SPDX-License-Identifier: Apache-2.0
"""``kill -9`` at random points of a pull and of a push: repeated, only the rest is moved, and the result is the same.

``SCOW_KILLS`` sets how many points; a failing seed is part of the test's message.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from fakes.busybox import until
from fakes.imaging import Made, digest_of, engine, transfers
from fakes.registry import FakeRegistry
from scow.oci.reference import Reference

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SCOW_KILLS", "50"))
RATE = 2_500_000
SIZES = (1_500_000, 700_000, 900_000)
SCOW = os.path.join(os.path.dirname(sys.executable), "scow")


def start(root, *argv):
    env = {**os.environ, "SCOW_ROOT": str(root), "SCOW_SNAPSHOTTER": "erofs", "DOCKER_CONFIG": str(root) + "-cfg"}
    return subprocess.Popen([SCOW, *argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def made(seed):
    randbytes = random.Random(seed).randbytes
    return Made([*({"a": randbytes(size)} for size in SIZES), {"d": b"small"}])


def kill_at(process, chance, moved):
    """Kill while it starts, or when so many bytes were moved; whether it was still running.

    Args:
        process: The process.
        chance: Random numbers.
        moved: Tells how many bytes the registry has sent, or received.
    """
    goal = chance.random() * sum(SIZES) * 0.6
    if chance.random() < 0.2:
        time.sleep(chance.random() * 0.2)
    else:
        assert until(lambda: moved() >= goal or process.poll() is not None)
        time.sleep(chance.random() * 0.02)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return running


def partial(root):
    """How many bytes of each blob the killed process has left."""
    folder = os.path.join(root, "ingest")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {name.replace("-", ":", 1): os.path.getsize(os.path.join(folder, name)) for name in names}


def check_store(root, image):
    store = engine(root)
    record = store.images.resolve(image)
    for layer in store.images.manifest(record.id).value.layers:
        with store.content.open(layer) as file:
            assert "sha256:" + hashlib.sha256(file.read()).hexdigest() == layer.digest
    assert store.snapshots.exists(record.chain)
    assert [problem for problem in store.snapshots.check() if problem.kind not in {"orphan", "unfinished"}] == []
    return record


def test_pulls(tmp_path):
    image = made(1)
    killed = resumed = 0
    with FakeRegistry() as registry:
        digest = image.put(registry, "app", "v1")
        name = f"{registry.address}/app:v1"
        for seed in range(KILLS):
            chance = random.Random(seed)
            root = tmp_path / f"s{seed}"
            registry.rate = RATE
            registry.clear()
            killed += kill_at(start(root, "pull", "-q", name), chance, registry.blob_bytes_out)
            left = partial(root)
            stored = {info.digest for info in engine(root).content} if (root / "scow.db").exists() else set()
            registry.rate = None
            registry.drain()
            registry.clear()
            again = start(root, "pull", "-q", name)
            out, _ = again.communicate()
            assert again.returncode == 0, (seed, out)
            for request in registry.requests("GET", "blob"):
                reached = left.get(request.ref, 0)
                want = f"bytes={reached}-" if reached else None
                assert request.headers.get("Range") == want, (seed, request)
                resumed += bool(reached)
            assert not stored & {request.ref for request in registry.requests("GET", "blob")}, seed
            record = check_store(root, name)
            assert record.id == digest_of(image.raw_config), seed
            assert record.manifest == digest, seed
            subprocess.run(["rm", "-rf", str(root)], check=True)
    assert killed >= KILLS // 2
    assert resumed >= KILLS // 4


def test_pushes(tmp_path):
    image = made(2)
    killed = resumed = 0
    with FakeRegistry() as registry:
        digest = image.put(registry, "seed", "v1")
        store = engine(tmp_path / "store")
        with transfers(store) as moving:
            record = moving.pull(f"{registry.address}/seed:v1").record
        registry.mount = False
        for seed in range(KILLS):
            chance = random.Random(1000 + seed)
            name = f"{registry.address}/to/n{seed}:v1"
            store.images.tag(Reference.parse(name), record.id)
            registry.rate = RATE
            registry.clear()
            killed += kill_at(start(tmp_path / "store", "push", name), chance, registry.upload_bytes_in)
            # what the kernel has taken from the killed process arrives, but for every other time
            registry.rate, registry.lost = None, seed % 2 == 0
            registry.drain()
            registry.lost = False
            before = registry.upload_bytes_in()
            again = start(tmp_path / "store", "push", name)
            out, _ = again.communicate()
            assert again.returncode == 0, (seed, out)
            # no byte arrives twice, however often the push was begun
            assert registry.upload_bytes_in() == sum(map(len, image.blobs)) + len(image.raw_config), seed
            resumed += 0 < before < sum(map(len, image.blobs))
            assert registry.tags[f"to/n{seed}"]["v1"] == digest, seed
            assert json.loads(registry.manifests[f"to/n{seed}", digest][1]) == json.loads(image.raw)
    assert killed >= KILLS // 2
    assert resumed >= KILLS // 4


def test_ctrl_c_ends_a_pull_that_waits_for_a_silent_registry(tmp_path):
    image = made(3)
    with FakeRegistry() as registry:
        image.put(registry, "app", "v1")
        registry.rate = 1_000
        process = start(tmp_path / "s", "pull", f"{registry.address}/app:v1")
        assert until(lambda: registry.requests("GET", "blob"))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
        assert process.returncode == 130


def test_two_pulls_at_once_fetch_each_blob_once(tmp_path):
    image = made(4)
    with FakeRegistry() as registry:
        image.put(registry, "app", "v1")
        registry.rate = RATE
        name = f"{registry.address}/app:v1"
        both = [start(tmp_path / "s", "pull", "-q", name) for _ in range(2)]
        for process in both:
            out, _ = process.communicate(timeout=200)
            assert process.returncode == 0, out
        asked = [request.ref for request in registry.requests("GET", "blob")]
        config = digest_of(image.raw_config)  # small, and each needs it before it knows what to wait for
        assert asked.count(config) <= 2
        layers = [ref for ref in asked if ref != config]
        assert sorted(layers) == sorted({digest_of(blob) for blob in image.blobs})
        check_store(tmp_path / "s", name)
