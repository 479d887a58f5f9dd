# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

from scow.base.leases import Edge
from scow.images.prune import collect, mark, prune_images, reclaimable
from scow.images.remove import User
from scow.oci.digest import Digest


def nobody(_identity):
    return []


def test_mark_follows_what_is_alive():
    edges = [
        Edge("container:1", "snapshot", "top"),
        Edge("snapshot:top", "snapshot", "below"),
        Edge("snapshot:below", "blob", "tar"),
        Edge("snapshot:dead", "blob", "other"),
        Edge("image:i", "blob", "config"),
        Edge("image:gone", "blob", "lost"),
        Edge("lease:l", "image", "held"),
        Edge("image:held", "blob", "kept"),
        Edge("snapshot:below", "snapshot", "top"),  # a circle must not hang
    ]
    alive = mark(edges, ["i"])
    assert {key for kind, key in alive if kind == "blob"} == {"tar", "config", "kept"}
    assert {key for kind, key in alive if kind == "snapshot"} == {"top", "below"}


def test_collect_takes_only_what_nothing_needs(any_store):
    store = any_store
    kept, gone = store.image("kept"), store.image("gone", layers=({"g": b"other"},))
    assert collect(store.images, store.content, store.snapshots).blobs == 0
    before = len(list(store.content))
    store.images.remove(gone.id)
    freed = collect(store.images, store.content, store.snapshots)
    assert freed.snapshots == 1
    assert freed.blobs == 3
    assert freed.size > 0
    assert len(list(store.content)) == before - 3
    assert store.snapshots.exists(kept.chain)
    assert not store.snapshots.exists(gone.chain)
    for info in store.content:
        assert os.path.exists(store.content.path(info.digest))
    assert store.content.strays() == []


def test_collect_leaves_what_leases_and_containers_hold(store):
    image, other = store.image("a"), store.image("b", layers=({"b": b""},))
    store.leases.link("container:1", "snapshot", image.chain)
    for each in (image, other):
        store.images.remove(each.id)
    with store.leases.hold("t") as lease:
        lease.add("blob", other.manifest)
        collect(store.images, store.content, store.snapshots)
        assert other.manifest in store.content
        assert store.snapshots.exists(image.chain)
        assert not store.snapshots.exists(other.chain)
    store.leases.unlink("container:1")
    collect(store.images, store.content, store.snapshots)
    assert list(store.content) == []
    assert list(store.snapshots) == []


def test_shared_layers_stay(store):
    base = store.image("base")
    child = store.image("child", base=base, layers=({"c": b""},))
    store.images.remove(child.id)
    collect(store.images, store.content, store.snapshots)
    assert store.snapshots.exists(base.chain)
    assert store.images.config(base.id).value.diff_ids[0] in store.content


def test_stacks_are_swept_from_the_top(store):
    image = store.image("a", layers=tuple({"f": b"%d" % number} for number in range(6)))
    store.images.remove(image.id)
    assert collect(store.images, store.content, store.snapshots).snapshots == 6


def test_prune_takes_dangling_images_only(store):
    store.image("named")
    lost = store.image(layers=({"x": b""},))
    pruned = prune_images(store.images, store.content, store.snapshots, nobody)
    assert [each.what for each in pruned.removed] == [lost.id, lost.chain]
    assert pruned.freed.blobs == 3
    assert len(store.images) == 1


def test_prune_every_spares_used_images(store):
    used, free = store.image("used"), store.image("free:1", "free:2", layers=({"x": b""},))
    pruned = prune_images(
        store.images,
        store.content,
        store.snapshots,
        lambda identity: [User("c", False)] if identity == used.id else [],
        every=True,
    )
    assert [each.what for each in pruned.removed] == ["free:1", "free:2", free.id, free.chain]
    assert [record.id for record in store.images] == [used.id]


def test_prune_asks_which_are_wanted(store):
    store.image()
    assert prune_images(store.images, store.content, store.snapshots, nobody, wanted=lambda _r: False).removed == []


def test_parents_are_left_to_their_children(store):
    base = store.image()
    store.image("child", base=base)
    assert prune_images(store.images, store.content, store.snapshots, nobody).removed == []


def test_reclaimable(store):
    used, free = store.image("used"), store.image("free", layers=({"x": b"1234"},))
    store.images.measured({used.chain: 10, free.chain: 4})
    assert reclaimable(store.images, lambda identity: [User("c", True)] if identity == used.id else []) == (1, 4)


def test_stale_ingests_go_and_fresh_ones_stay(store):
    for key in ("old", "new"):
        with store.content.ingest(key) as ingest:
            ingest.write(b"abc")
    os.utime(os.path.join(store.root, "ingest", "old"), (0, 0))
    with store.content.ingest("busy") as busy:
        busy.write(b"x")
        os.utime(busy.path, (0, 0))
        collect(store.images, store.content, None)
        assert sorted(os.listdir(os.path.join(store.root, "ingest"))) == ["busy", "new"]


def test_collect_takes_what_killed_processes_left(store):
    record = store.image("kept")
    stray = store.content.path(Digest("sha256:" + "5" * 64))
    with open(stray, "xb") as file:
        file.write(b"no row names it")
    left = os.path.join(store.root, "tmp/copy-1-x")
    os.makedirs(left)
    collect(store.images, store.content, store.snapshots)
    assert not os.path.exists(stray)
    assert not os.path.exists(left)
    assert store.images.config(record.id)


def test_prune_spares_what_a_command_at_work_has_just_made(store):
    """An image without a name that is being written into an archive, or will get its name in a moment."""
    record = store.image()
    with store.leases.hold("build") as lease:
        lease.add("image", record.id)
        assert prune_images(store.images, store.content, store.snapshots, nobody).removed == []
        assert record.id in store.images
    assert prune_images(store.images, store.content, store.snapshots, nobody).removed
    assert record.id not in store.images
