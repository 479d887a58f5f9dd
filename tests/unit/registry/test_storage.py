# SPDX-License-Identifier: Apache-2.0
"""A registry's directory: durable before it is known, shared by processes, nobody else's."""

from __future__ import annotations

import os

import pytest

from scow.base.streams import BlobMismatchError
from scow.errors import DeniedError
from scow.oci.digest import sha256_digest
from scow.registry.metadata import NewManifest
from scow.registry.storage import RegistryStore


def test_a_committed_upload_is_a_blob_of_its_repository_and_held_by_nobody(store):
    ingest = store.content.ingest("k")
    ingest.write(b"abc")
    store.commit("r", ingest, sha256_digest(b"abc"))
    assert store.has("r", sha256_digest(b"abc"))
    assert not store.has("s", sha256_digest(b"abc"))
    assert store.leases.graph() == []
    # another process sees it at once
    assert RegistryStore(store.root).content.read(sha256_digest(b"abc")) == b"abc"


def test_wrong_bytes_leave_nothing(store):
    ingest = store.content.ingest("k")
    ingest.write(b"abc")
    with pytest.raises(BlobMismatchError):
        store.commit("r", ingest, sha256_digest(b"abd"))
    assert list(store.content) == []
    assert os.listdir(os.path.join(store.root, "ingest")) == []
    assert not store.metadata.exists("r")


def test_mounting(store, push):
    digest = push("from", b"abc")
    assert not store.mount("to", digest, "nobody")
    assert not store.mount("to", sha256_digest(b"x"), "from")
    assert store.mount("to", digest, "from")
    store.metadata.unlink_blob("from", digest)
    assert store.has("to", digest)


def test_asking_for_a_blob_makes_an_old_link_new(store, push):
    digest = push("r", b"abc", now=5.0)
    store.refresh("r", digest, 5.0)
    assert store.metadata.linked("r", digest) > 1e9
    now = store.metadata.linked("r", digest)
    store.refresh("r", digest, now)
    assert store.metadata.linked("r", digest) == now
    store.metadata.unlink_blob("r", digest)
    store.refresh("r", digest, 5.0)
    assert store.metadata.linked("r", digest) is None, "what was deleted meanwhile stays deleted"


def test_a_manifest_is_entered_with_all_its_parts_or_not_at_all(store, push):
    there, missing = push("r", b"abc"), sha256_digest(b"other")
    new = NewManifest(sha256_digest(b"raw"), "t", 3, [there, missing])
    assert store.store_manifest("r", b"raw", new, ["latest"], sparse=False) == [missing]
    assert store.metadata.manifest("r", "latest") is None
    assert store.store_manifest("r", b"raw", new, ["latest"], sparse=True) == []
    assert store.metadata.manifest("r", "latest").digest == new.digest
    parent = NewManifest(sha256_digest(b"index"), "t", 5, [new.digest])
    assert store.store_manifest("r", b"index", parent, [], sparse=False) == []
    assert store.store_manifest("s", b"index", parent, [], sparse=False) == [new.digest]
    assert store.leases.graph() == []


@pytest.mark.root
def test_a_directory_of_another_user_is_refused(tmp_path):
    (tmp_path / "r").mkdir()
    os.chown(tmp_path / "r", 12345, 12345)
    with pytest.raises(DeniedError):
        RegistryStore(str(tmp_path / "r"))
