# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.imaging import OCI_MANIFEST, Made, descriptor, digest_of, engine, transfers
from fakes.registry import FakeRegistry
from scow.errors import NotFoundError, ScowError
from scow.images.attached import Attached
from scow.oci.digest import Digest
from scow.oci.model import Descriptor
from scow.oci.reference import Reference


@pytest.fixture
def world(tmp_path):
    """A store with an image, two signatures of it in a registry, and the repository there."""
    store = engine(tmp_path / "store")
    with FakeRegistry() as registry:
        made = Made([{"a": b"1"}])
        made.put(registry, "app", "v1")
        signatures = []
        for kind in ("x", "y"):
            signature = Made([{"sig": kind.encode() * 100}])
            subject = descriptor(OCI_MANIFEST, made.raw)
            signature.extra = {"subject": subject, "artifactType": f"application/{kind}"}
            signatures.append(Digest(signature.put(registry, "app")))
        with transfers(store) as moving:
            record = moving.pull(f"{registry.address}/app:v1").record
            repository = moving.client.repository(Reference.parse(f"{registry.address}/app"))
            yield store, record, repository, signatures, registry


def take(world):
    store, record, repository, _, _ = world
    attached = Attached(store.content, store.leases)
    subject = attached.resolve(record.manifest)
    attached.take(repository, list(repository.referrers(subject)), record.id, referrers=True)
    return attached, subject


def test_what_refers_to_an_image_is_found_by_kind(world):
    attached, subject = take(world)
    assert {desc.digest for desc in attached.referrers(subject)} == set(world[3])
    assert [desc.digest for desc in attached.referrers(subject, "application/y")] == [world[3][1]]
    assert not list(attached.referrers(next(attached.referrers(subject))))
    assert [desc.digest for desc in attached.parts(subject)] == [subject.digest]
    assert attached.is_whole(subject)
    with attached.fetch(subject, offset=1) as stream:
        assert stream.read(15) == b'"schemaVersion"'


def test_taking_it_again_changes_nothing(world):
    attached, subject = take(world)
    world[4].clear()
    before = sorted(world[0].leases.owned(f"image:{world[1].id}"))
    attached, _ = take(world)
    assert world[4].blob_bytes_out() == 0
    assert sorted(world[0].leases.owned(f"image:{world[1].id}")) == before
    assert len(list(attached.referrers(subject))) == 2


def test_wrong_bytes_are_not_kept(world):
    world[4].blob_hook = lambda _request, data: data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ScowError):
        take(world)
    attached = Attached(world[0].content, world[0].leases)
    assert not list(attached.referrers(attached.resolve(world[1].manifest)))
    assert not any(digest in world[0].content for digest in world[3])


def test_what_was_collected_is_not_offered(world):
    store = world[0]
    attached, subject = take(world)
    with store.db.write() as connection:
        connection.execute("DELETE FROM blobs WHERE digest = ?", (world[3][0],))
    store.content.remove_files([world[3][0]])
    assert [desc.digest for desc in attached.referrers(subject)] == [world[3][1]]
    with pytest.raises(NotFoundError):
        attached.resolve(world[3][0])
    assert not attached.is_whole(Descriptor(OCI_MANIFEST, Digest(digest_of(b"nowhere")), 7))
