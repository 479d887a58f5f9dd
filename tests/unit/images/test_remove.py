# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.images.remove import User, remove_image
from scow.images.store import ImageInUseError, ImageNotFoundError
from scow.oci.digest import sha256_digest
from scow.oci.reference import Reference


def nobody(_identity):
    return []


def lines(removed):
    return [f"{each.kind}: {each.what}" for each in removed]


def remove(store, text, users=nobody, **options):
    return lines(remove_image(store.images, text, users, **options))


def test_last_name_takes_the_image_along(store):
    record = store.image("foo:1")
    assert remove(store, "foo:1") == ["Untagged: foo:1", f"Deleted: {record.id}", f"Deleted: {record.chain}"]
    assert len(store.images) == 0


def test_one_of_two_names(store):
    record = store.image("foo:1", "bar:1")
    assert remove(store, "foo:1") == ["Untagged: foo:1"]
    assert record.id in store.images


def test_by_id_with_one_name(store):
    record = store.image("foo:1")
    assert remove(store, record.id.encoded[:12])[:2] == ["Untagged: foo:1", f"Deleted: {record.id}"]


def test_by_id_with_several_repositories(store):
    record = store.image("foo:1", "bar:1")
    with pytest.raises(ImageInUseError, match=r"\(must be forced\) - image is referenced in multiple repositories"):
        remove(store, record.id)
    assert len(store.images.names(record.id)) == 2
    assert remove(store, record.id, force=True)[:3] == ["Untagged: bar:1", "Untagged: foo:1", f"Deleted: {record.id}"]


def test_by_id_with_two_tags_of_one_repository_must_be_forced_too(store):
    record = store.image("foo:1", "foo:2")
    with pytest.raises(ImageInUseError, match="multiple repositories"):
        remove(store, record.id)


def test_last_tag_takes_the_digests_of_its_repository_along(store):
    record = store.image("foo:1")
    digest = sha256_digest(b"m")
    store.images.add_digest(Reference.parse(f"foo@{digest}"), record.id)
    assert remove(store, "foo:1")[:3] == ["Untagged: foo:1", f"Untagged: foo@{digest}", f"Deleted: {record.id}"]


def test_by_digest_only_the_digest_goes(store):
    record = store.image("foo:1")
    digest = sha256_digest(b"m")
    store.images.add_digest(Reference.parse(f"foo@{digest}"), record.id)
    assert remove(store, f"foo@{digest}") == [f"Untagged: foo@{digest}"]
    assert store.images.names(record.id)


@pytest.mark.parametrize("running", [True, False])
def test_a_container_keeps_the_last_name(store, running):
    record = store.image("foo:1")

    def users(_identity):
        return [User("c" * 64, running)]

    with pytest.raises(ImageInUseError) as caught:
        remove(store, "foo:1", users)
    assert caught.value.message == (
        'conflict: unable to remove repository reference "foo:1" (must force) - container cccccccccccc is using its '
        f"referenced image {record.id[7:19]}"
    )
    removed = remove(store, "foo:1", users, force=True)
    assert removed[0] == "Untagged: foo:1"
    assert (record.id in store.images) == running


def test_a_running_container_keeps_the_image_even_from_force(store):
    record = store.image("foo:1")
    with pytest.raises(ImageInUseError, match=r"\(cannot be forced\) - image is being used by running container"):
        remove(store, record.id, lambda _id: [User("c" * 64, True)], force=True)
    assert store.images.names(record.id)


def test_a_stopped_container_yields_to_force(store):
    record = store.image()

    def users(_identity):
        return [User("c" * 64, False)]

    with pytest.raises(ImageInUseError, match=r"\(must be forced\) - image is being used by stopped container"):
        remove(store, record.id, users)
    assert remove(store, record.id, users, force=True)[0] == f"Deleted: {record.id}"


def test_children_protect_their_parent(store):
    base = store.image()
    store.image("child", base=base)
    with pytest.raises(ImageInUseError, match="image has dependent child images"):
        remove(store, base.id, force=True)


def test_nameless_parents_go_with_the_last_child(store):
    base = store.image()
    child = store.image("child", base=base)
    assert remove(store, "child") == [
        "Untagged: child:latest",
        f"Deleted: {child.id}",
        f"Deleted: {child.chain}",
        f"Deleted: {base.id}",
        f"Deleted: {base.chain}",
    ]


def test_named_or_used_parents_and_no_prune_stay(store):
    base = store.image("base")
    store.image("child", base=base)
    remove(store, "child")
    assert base.id in store.images
    plain = store.image(layers=({"x": b""},))
    store.image("child", base=plain)
    remove(store, "child", prune_parents=False)
    assert plain.id in store.images
    store.image("child", base=plain)
    remove(store, "child", lambda identity: [User("c", False)] if identity == plain.id else [])
    assert plain.id in store.images


def test_what_is_not_there(store):
    with pytest.raises(ImageNotFoundError):
        remove(store, "none")
