# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from scow.images.history import MISSING, history
from scow.images.inspect import inspect
from scow.oci.digest import sha256_digest
from scow.oci.reference import Reference


def test_inspect_has_dockers_members(store):
    record = store.image("foo:1", labels={"a": "b"})
    digest = sha256_digest(b"m")
    store.images.add_digest(Reference.parse(f"foo@{digest}"), record.id)
    value = inspect(store.images, store.content, store.snapshots, store.images.get(record.id))
    assert value["Id"] == record.id
    assert value["RepoTags"] == ["foo:1"]
    assert value["RepoDigests"] == [f"foo@{digest}"]
    assert value["Created"] == "2020-01-02T03:04:05Z"
    assert value["Config"]["Cmd"] == ["sh"]
    assert value["Config"]["Labels"] == {"a": "b"}
    assert value["Config"]["Entrypoint"] is None
    assert value["RootFS"] == {"Type": "layers", "Layers": list(store.images.config(record.id).value.diff_ids)}
    assert value["GraphDriver"]["Name"] == "overlay"
    assert value["Size"] == value["VirtualSize"] == record.size
    assert value["Metadata"]["LastTagTime"].startswith("20")
    assert value["Descriptor"]["digest"] == record.manifest
    assert (value["Parent"], value["Comment"], value["Author"], value["Os"]) == ("", "", "", "linux")


def test_inspect_of_a_nameless_image_that_is_not_unpacked(store):
    record = store.image()
    store.snapshots.infos.clear()
    value = inspect(store.images, store.content, store.snapshots, record)
    assert value["RepoTags"] == []
    assert value["Metadata"]["LastTagTime"] == "0001-01-01T00:00:00Z"
    assert value["GraphDriver"] == {"Data": None, "Name": "none"}


def test_history_newest_first_with_sizes(store):
    record = store.image("foo:1", layers=({"a": b"1"}, {"b": b"22"}), history=("first", "second"))
    chains = [chain for chain, _ in store.images.layer_sizes(record.id)]
    store.images.measured(dict(zip(chains, (1, 2), strict=True)))
    steps = history(store.images, record)
    assert [(step.id, step.created_by, step.size, step.tags) for step in steps] == [
        (record.id, "second", 2, ("foo:1",)),
        (MISSING, "first", 1, ()),
    ]


def test_history_shorter_than_the_layers(store):
    record = store.image(layers=({"a": b"1"}, {"b": b"22"}))
    assert [(step.id, step.created_by, step.created) for step in history(store.images, record)] == [
        (record.id, "", None),
        (MISSING, "", None),
    ]


def test_history_names_local_parents(store):
    base = store.image("base", history=("from base",))
    child = store.image("child", base=base, layers=({"c": b""},), history=("from base", "from child"))
    assert [(step.id, step.tags) for step in history(store.images, child)] == [
        (child.id, ("child:latest",)),
        (base.id, ("base:latest",)),
    ]
