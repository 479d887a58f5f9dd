# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import random

import pytest

from fakes.registry import FakeRegistry
from scow.distribution import spec
from scow.distribution.client import RegistryClient
from scow.distribution.pushing import push_blob
from scow.distribution.session import RetryPolicy
from scow.oci.digest import Digest, sha256_digest
from scow.oci.model import Descriptor
from scow.oci.reference import Reference

QUICK = RetryPolicy(attempts=4, first=0.001, longest=0.002, patience=1.0)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Memory(dict):
    def recall(self, repository, digest):
        return self.get((repository, digest), "")

    def remember(self, repository, digest, location):
        self[repository, digest] = location

    def forget(self, repository, digest):
        self.pop((repository, digest), None)


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def repo(registry, tmp_path):
    return RegistryClient(str(tmp_path), {}, retry=QUICK).repository(
        Reference.parse(f"{registry.address}/a/b"), push=True
    )


def content(size, seed=2):
    data = random.Random(seed).randbytes(size)
    return data, Descriptor(LAYER, sha256_digest(data), size)


def opener(data):
    def opened(at):
        stream = io.BytesIO(data)
        stream.seek(at)
        return stream

    return opened


@pytest.mark.parametrize("size", [0, 1, 2_000_000])
def test_a_blob_is_sent_once(registry, repo, size):
    data, desc = content(size)
    assert push_blob(repo, desc, opener(data)) == "pushed"
    assert registry.blobs[desc.digest] == data
    assert push_blob(repo, desc, opener(data)) == "exists"
    assert registry.upload_bytes_in() == size


def test_a_blob_is_taken_over_from_a_neighbour(registry, repo):
    data, desc = content(1000)
    registry.put_blob("other/repo", data)
    assert push_blob(repo, desc, opener(data), mounts=["no/such", "other/repo"]) == "mounted"
    assert desc.digest in registry.owners["a/b"]
    assert registry.upload_bytes_in() == 0


def test_a_refused_mount_becomes_an_upload(registry, repo):
    registry.mount = False
    data, desc = content(1000)
    registry.put_blob("other/repo", data)
    assert push_blob(repo, desc, opener(data), mounts=["other/repo"]) == "pushed"


def test_a_broken_upload_goes_on_where_it_broke_off(registry, repo):
    data, desc = content(3_000_000)
    registry.cut_upload_after = 800_000
    memory = Memory()
    assert push_blob(repo, desc, opener(data), memory=memory) == "pushed"
    assert registry.blobs[desc.digest] == data
    assert registry.upload_bytes_in() == len(data)
    assert not memory


def test_the_next_process_goes_on_where_the_killed_one_stopped(registry, repo, tmp_path):
    data, desc = content(1_000_000)
    memory = Memory()
    upload = repo.start_upload(desc)
    with repo.origin.request(
        "half", "PATCH", upload.location, headers={"Content-Range": "0-399999"}, body=data[:400_000], ok={202}
    ):
        pass
    memory.remember(f"{repo.origin.endpoint.host}/a/b", desc.digest, upload.location)
    registry.clear()
    fresh = RegistryClient(str(tmp_path), {}, retry=QUICK).repository(repo.reference, push=True)
    told = []
    assert push_blob(fresh, desc, opener(data), memory=memory, report=told.append) == "pushed"
    assert registry.upload_bytes_in() == 600_000
    assert registry.blobs[desc.digest] == data
    assert told[-1] == len(data)


def test_an_upload_that_the_registry_forgot_starts_again(registry, repo):
    data, desc = content(1000)
    memory = Memory()
    memory.remember(
        f"{repo.origin.endpoint.host}/a/b", desc.digest, f"http://{registry.address}/v2/a/b/blobs/uploads/x"
    )
    assert push_blob(repo, desc, opener(data), memory=memory) == "pushed"


@pytest.mark.parametrize("status", [405, 413, 501])
def test_a_registry_that_refuses_whole_uploads_gets_pieces(registry, repo, status):
    data, desc = content(40_000_000 if status == 413 else 2_000_000)

    def refuse(request):
        if request.method == "PUT" and request.route == "upload" and int(request.headers.get("Content-Length", 0)):
            return status, {}, b""
        return None

    registry.hook = refuse
    assert push_blob(repo, desc, opener(data)) == "pushed"
    assert registry.blobs[desc.digest] == data
    patches = registry.requests("PATCH", "upload")
    assert len(patches) == -(-len(data) // (16 << 20))


def test_a_registry_that_stores_something_else_is_found_out(registry, repo):
    data, desc = content(1000)

    def lie(request):
        if request.method == "PUT" and request.route == "upload":
            return 201, {"Location": "/x", "Docker-Content-Digest": "sha256:" + "0" * 64}, b""
        return None

    registry.hook = lie
    with pytest.raises(spec.BadAnswerError):
        push_blob(repo, desc, opener(data))


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_told_and_not_repeated(registry, repo, status):
    data, desc = content(1000)
    registry.hook = lambda r: (status, {}, b"") if r.route in {"upload", "uploads"} else None
    with pytest.raises(Exception) as caught:
        push_blob(repo, desc, opener(data))
    assert caught.value.http_status in {400, 401, 403}
    assert len([r for r in registry.log if r.route in {"upload", "uploads"}]) == 1


def test_a_digest_of_another_algorithm_is_a_digest_too(registry, repo):
    assert Digest("sha512:" + "0" * 128).algorithm == "sha512"
