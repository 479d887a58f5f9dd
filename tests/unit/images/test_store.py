# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from scow.images.records import MismatchedImageError, NotAnImageError
from scow.images.store import ImageNotFoundError
from scow.oci.digest import Digest, sha256_digest
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import OCI_EMPTY, OCI_LAYER, OCI_MANIFEST_V1
from scow.oci.model import Descriptor, Manifest
from scow.oci.reference import InvalidReferenceError, Reference, ReservedNameError


def ref(text):
    return Reference.parse(text)


def test_resolve_every_way(store):
    record = store.image("foo:1", "localhost:5000/bar/baz")
    digest = sha256_digest(b"m")
    store.images.add_digest(ref(f"foo@{digest}"), record.id)
    for text in ("foo:1", "docker.io/library/foo:1", "localhost:5000/bar/baz", f"foo@{digest}", f"foo:1@{digest}"):
        assert store.images.resolve(text) == store.images.get(record.id), text
    for text in (record.id, record.id.encoded, record.id.encoded[:12], record.id[:20], record.id.encoded[:1]):
        assert store.images.resolve(text).id == record.id


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("none", "none:latest"),
        ("none:2", "none:2"),
        ("docker.io/library/none", "none:latest"),
        ("sha256:" + "0" * 64, "sha256:" + "0" * 64),
        ("0" * 64, "0" * 64),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_what_is_not_there(store, text, shown):
    with pytest.raises(ImageNotFoundError, match=f"No such image: {shown}$"):
        store.images.resolve(text)


def test_ambiguous_prefix_is_not_found(store):
    seen = {}
    for number in range(40):  # 16 possible first digits: two images share one
        record = store.image(layers=({"f": b"%d" % number},))
        first = record.id.encoded[0]
        if first in seen:
            break
        seen[first] = record
    with pytest.raises(ImageNotFoundError):
        store.images.resolve(first)


@pytest.mark.parametrize(("text", "kind"), [("scratch", ReservedNameError), ("UPPER", InvalidReferenceError)])
def test_what_cannot_be_a_name(store, text, kind):
    with pytest.raises(kind):
        store.images.resolve(text)


def test_a_name_wins_over_the_begin_of_an_id(store):
    first = store.image()
    short = first.id.encoded[:6]
    second = store.image(short, layers=({"g": b"2"},))
    assert store.images.resolve(short).id == second.id


def test_tags_move_and_leave_a_dangling_image(store):
    first, second = store.image("foo:1"), store.image("foo:2", layers=({"g": b""},))
    store.images.tag(ref("foo:1"), second.id)
    assert store.images.names(first.id) == []
    assert store.images.names(second.id) == [ref("foo:1"), ref("foo:2")]
    assert store.images.all_names() == {second.id: [ref("foo:1"), ref("foo:2")]}
    assert first.id in store.images
    assert store.images.untag(ref("foo:1"))
    assert not store.images.untag(ref("foo:1"))


def test_tag_refuses_digests_and_missing_images(store):
    record = store.image()
    with pytest.raises(InvalidReferenceError, match="digest reference"):
        store.images.tag(ref(f"foo@{record.id}"), record.id)
    with pytest.raises(ImageNotFoundError):
        store.images.tag(ref("foo"), Digest("sha256:" + "0" * 64))


def test_repo_digests(store):
    record = store.image("foo:1")
    digest = sha256_digest(b"m")
    store.images.add_digest(ref(f"foo@{digest}"), record.id)
    store.images.add_digest(ref(f"localhost:5000/x@{digest}"), record.id)
    assert [each.familiar for each in store.images.digests(record.id)] == [
        f"foo@{digest}",
        f"localhost:5000/x@{digest}",
    ]
    assert list(store.images.all_digests()) == [record.id]
    assert store.images.untag(ref(f"foo@{digest}"))
    with pytest.raises(InvalidReferenceError):
        store.images.add_digest(ref("foo:1"), record.id)


def test_sizes_are_counted_once_and_shared(store):
    one = store.image("one", layers=({"a": b"x" * 100},))
    store.images.measured({one.chain: 100})
    two = store.image("two", base=store.images.get(one.id), layers=({"b": b"y" * 50},))
    store.images.measured({two.chain: 50})
    assert store.images.get(one.id).size == 100
    assert store.images.get(two.id).size == 150
    assert store.images.shared_sizes() == {one.id: 100, two.id: 100}
    assert store.images.total_size() == 150
    assert [size for _, size in store.images.layer_sizes(two.id)] == [100, 50]
    assert store.images.remove(two.id) == [two.chain]
    assert store.images.shared_sizes() == {one.id: 0}
    assert store.images.remove(one.id) == [one.chain]
    assert store.images.total_size() == 0
    assert store.images.remove(one.id) == []


def test_adding_again_keeps_the_record_and_prefers_the_registrys_manifest(store):
    record = store.image("foo:1")
    original = store.images.manifest(record.id)
    other = encode_manifest(
        Manifest(OCI_MANIFEST_V1, original.value.config, original.value.layers, annotations={"from": "registry"})
    )
    with store.leases.hold("t") as lease:
        store.content.put(other.raw, lease)
        store.images.add(other.descriptor, lease)
        assert store.images.get(record.id).manifest == record.manifest
        store.images.add(other.descriptor, lease, repo_digests=[ref(f"foo@{other.descriptor.digest}")])
    assert store.images.get(record.id).manifest == other.descriptor.digest
    assert len(store.images) == 1
    assert store.images.shared_sizes() == {record.id: 0}
    owned = store.leases.owned(f"image:{record.id}", "blob")
    assert {("blob", record.manifest), ("blob", other.descriptor.digest)} <= set(owned)


def test_run_config_is_the_raw_member(store):
    record = store.image(labels={"a": "ü"})
    assert store.images.run_config(record.id) == {"Cmd": ["sh"], "Labels": {"a": "ü"}}
    assert json.loads(record.labels) == {"a": "ü"}
    with pytest.raises(ImageNotFoundError):
        store.images.run_config(Digest("sha256:" + "0" * 64))


def test_order_is_newest_first(store):
    old = store.image(created="2019-01-01T00:00:00Z")
    new = store.image(created="2021-01-01T00:00:00Z")
    undated = store.image(created=None)
    broken = store.image(created="yesterday")
    assert [record.id for record in store.images][:2] == [new.id, old.id]
    assert store.images.get(undated.id).created == store.images.get(broken.id).created == 0.0


def test_artifacts_are_not_images(store):
    with store.leases.hold("t") as lease:
        empty = Descriptor(OCI_EMPTY, store.content.put(b"{}", lease), 2)
        document = encode_manifest(Manifest(OCI_MANIFEST_V1, empty, (), artifact_type="text/plain"))
        store.content.put(document.raw, lease)
        with pytest.raises(NotAnImageError):
            store.images.add(document.descriptor, lease)


def test_layers_must_fit_the_config(store):
    record = store.image()
    good = store.images.manifest(record.id).value
    with store.leases.hold("t") as lease:
        more = (*good.layers, Descriptor(OCI_LAYER, sha256_digest(b"x"), 1))
        document = encode_manifest(Manifest(OCI_MANIFEST_V1, good.config, more))
        store.content.put(document.raw, lease)
        with pytest.raises(MismatchedImageError, match="2 layers in its manifest and 1 in its config"):
            store.images.add(document.descriptor, lease)


def test_parents_and_children(store):
    base = store.image("base")
    child = store.image("child", base=base)
    assert child.parent == base.id
    assert store.images.children(base.id) == [child.id]
    assert store.images.children(child.id) == []


def test_an_image_that_goes_as_soon_as_it_is_entered_was_entered_all_the_same(store):
    """Another process removes it right after the transaction."""
    record = store.image("x")
    manifest = store.images.manifest(record.id).descriptor
    with store.leases.hold("t") as lease:
        add = lease.add

        class Late:
            owner = lease.owner

            def add(self, kind, key):
                add(kind, key)
                store.db.after_commit(lambda: store.images.remove(record.id))

        assert store.images.add(manifest, Late()).id == record.id
    assert record.id not in store.images


def test_no_digest_is_remembered_of_an_image_that_is_gone(store):
    record = store.image("x")
    store.images.remove(record.id)
    store.images.add_digest(Reference.parse("r.example/a@sha256:" + "1" * 64), record.id)
    assert store.images.all_digests() == {}
