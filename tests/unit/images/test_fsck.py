# SPDX-License-Identifier: Apache-2.0
"""Every kind of damage is found, and repaired without losing what works."""

from __future__ import annotations

import os

import pytest

from scow.images import fsck as fsck_module
from scow.images.fsck import fsck


def check(store, repair=False):
    return list(fsck(store.root, store.images, store.content, store.snapshots, repair=repair))


def execute(store, sql, *values):
    with store.db.write() as connection:
        connection.execute(sql, values)


@pytest.fixture
def good(store):
    base = store.image("good:1", "good:2", layers=({"a": b"1" * 100},))
    store.image("child", base=base, layers=({"c": b"2"},))
    return store


def test_a_good_store_is_clean(good):
    assert check(good) == []
    with good.content.ingest("unfinished") as ingest:
        ingest.write(b"abc")
    assert check(good) == []


def damage_blob(store, record):
    path = store.content.path(store.images.config(record.id).value.diff_ids[0])
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(600)
        file.write(b"X")


def shorten_blob(store, record):
    path = store.content.path(store.images.config(record.id).value.diff_ids[0])
    os.chmod(path, 0o600)
    os.truncate(path, 10)


def lose_blob(store, record):
    os.unlink(store.content.path(store.images.config(record.id).value.diff_ids[0]))


def lose_manifest(store, record):
    os.unlink(store.content.path(record.manifest))


def lose_config_row(store, record):
    execute(store, "DELETE FROM blobs WHERE digest = ?", record.id)
    os.unlink(store.content.path(record.id))


def lose_link(store, record):
    execute(store, "DELETE FROM links WHERE owner = ? AND kind = 'blob'", f"image:{record.id}")


def wrong_chain(store, record):
    execute(store, "UPDATE images SET chain = manifest WHERE id = ?", record.id)


def lost_name(store, _record):
    execute(store, "INSERT INTO names VALUES ('docker.io/library/x:1', 'sha256:' || ?, 0, '')", "0" * 64)


def wrong_count(store, record):
    execute(store, "UPDATE chains SET refs = 7 WHERE chain = ?", record.chain)


def wrong_size(store, record):
    execute(store, "UPDATE images SET size = size + 1 WHERE id = ?", record.id)


def stray_file(store, _record):
    path = store.content.path(store.image().id).rpartition("/")[0] + "/" + "a" * 64
    with open(path, "wb") as file:
        file.write(b"stray")


DAMAGES = [
    (damage_blob, "blob"),
    (shorten_blob, "blob"),
    (lose_blob, "blob"),
    (lose_manifest, "image"),
    (lose_config_row, "image"),
    (lose_link, "image"),
    (wrong_chain, "image"),
    (lost_name, "name"),
    (wrong_count, "counter"),
    (wrong_size, "counter"),
    (stray_file, "stray"),
]


@pytest.mark.parametrize(("damage", "kind"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_damage_is_found_and_repaired(good, damage, kind, monkeypatch):
    monkeypatch.setattr("scow.images.fsck._YOUNG_SECONDS", 0.0)
    record = good.images.resolve("good:1")
    survivor = good.image("survivor", layers=({"s": b"3"},))
    damage(good, record)
    found = check(good)
    assert kind in {finding.kind for finding in found}
    assert not any(finding.repaired for finding in found)
    assert {finding.kind for finding in check(good)} == {finding.kind for finding in found}
    repaired = check(good, repair=True)
    assert all(finding.repaired for finding in repaired)
    assert check(good) == []
    assert survivor.id in good.images
    assert good.content.read(survivor.manifest)


def test_an_unpacked_image_outlives_its_compressed_layer(good):
    record = good.images.resolve("good:1")
    lose_blob(good, record)
    check(good, repair=True)
    assert record.id in good.images
    assert good.snapshots.exists(record.chain)


def test_an_image_without_layers_at_all_goes(good):
    record = good.images.resolve("good:1")
    lose_blob(good, record)
    good.snapshots.infos.clear()
    for edge in good.leases.graph():
        if edge.owner.startswith("snapshot:"):
            good.leases.unlink(edge.owner)
    messages = [finding.message for finding in check(good, repair=True)]
    assert any("lacks its layer" in message for message in messages)
    assert len(good.images) == 0
    assert check(good) == []


def test_a_young_stray_may_be_a_commit_in_progress(good):
    stray_file(good, None)
    assert check(good) == []


def test_a_blob_that_comes_back_while_the_store_is_checked_stays(good, monkeypatch):
    """It was removed before it was read, and another process has fetched it again since."""
    record = good.images.resolve("good:1")
    digest = good.images.config(record.id).value.diff_ids[0]
    data = good.content.read(digest)
    fault = fsck_module._blob_fault

    def late(content, subject, size):
        if subject != digest:
            return fault(content, subject, size)
        good.content.delete(digest)
        found = fault(content, subject, size)
        with good.leases.hold("t") as lease:
            good.content.put(data, lease)
            good.leases.link(f"image:{record.id}", "blob", digest)
        return found

    monkeypatch.setattr(fsck_module, "_blob_fault", late)
    assert check(good, repair=True) == []
    assert good.content.read(digest) == data


def test_an_image_that_was_whole_again_in_the_end_stays(good, monkeypatch):
    record = good.images.resolve("good:1")
    fault, looks = fsck_module._image_fault, []

    def late(*args):
        looks.append(args)
        return "it lacks something" if len(looks) == 1 else fault(*args)

    monkeypatch.setattr(fsck_module, "_image_fault", late)
    assert check(good, repair=True) == []
    assert record.id in good.images
    assert len(looks) > 1
