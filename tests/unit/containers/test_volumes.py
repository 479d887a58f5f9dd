# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.base.database import Database
from scow.containers.events import Events
from scow.containers.volumes import VolumeInUseError, VolumeNotFoundError, Volumes, inspect, select
from scow.errors import InvalidArgumentError


def test_a_volume_is_a_directory_with_a_name(volumes):
    made = volumes.create("data", labels={"a": "b"})
    assert os.path.isdir(made.path)
    assert made == volumes.get("data")
    assert volumes.create("data", labels={"other": "x"}) == made, "making it again changes nothing"
    document = inspect(made)
    assert (document["Name"], document["Labels"], document["Mountpoint"]) == ("data", {"a": "b"}, made.path)


def test_what_happens_to_a_volume_is_written_down(volumes, db):
    for _ in range(2):
        volumes.create("data")
    volumes.remove("data")
    found = [(event.kind, event.action, event.actor, event.attributes) for event in Events(db).since(0)]
    assert found == [("volume", action, "data", {"driver": "local"}) for action in ("create", "destroy")]


def test_one_without_a_name_is_anonymous(volumes):
    made = volumes.create()
    assert len(made.name) == 64
    assert made.anonymous


def test_removal_takes_the_content(volumes):
    made = volumes.create("data")
    with open(f"{made.path}/f", "w") as file:
        file.write("x")
    volumes.remove("data")
    assert not os.path.exists(made.path)
    with pytest.raises(VolumeNotFoundError, match="get data: no such volume"):
        volumes.get("data")
    with pytest.raises(VolumeNotFoundError):
        volumes.remove("data")


def test_one_in_use_stays(volumes, store, make):
    volumes.create("data")
    container = make(mounts=[{"Type": "volume", "Name": "data"}])
    store.insert(container)
    with pytest.raises(VolumeInUseError, match=rf"volume is in use - \[{container.id}\]"):
        volumes.remove("data")
    assert volumes.users() == {"data": [container.id]}


@pytest.mark.parametrize("name", ["../x", "a/b", "a", "-ab", "..", ".ab", "a b", "ab\n"])
def test_names_that_could_mean_a_path_are_refused(volumes, tmp_path, name):
    with pytest.raises(InvalidArgumentError):
        volumes.create(name)
    assert not (tmp_path / "volumes").exists()


def test_options_are_known(volumes):
    with pytest.raises(InvalidArgumentError, match='invalid option: "zebra"'):
        volumes.create("data", options={"zebra": "1"})


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["alpha", "beta", "gamma"]),
        ([("name", "a")], ["alpha", "beta", "gamma"]),
        ([("name", "et"), ("name", "mm")], ["beta", "gamma"]),
        ([("name", "^(al|ga)")], ["alpha", "gamma"]),
        ([("name", "a$")], ["alpha", "beta", "gamma"]),
        ([("name", "[")], []),
        ([("label", "k")], ["alpha", "beta"]),
        ([("label", "k=1")], ["alpha"]),
        ([("label!", "k=1")], ["beta", "gamma"]),
        ([("dangling", "true")], ["alpha", "gamma"]),
        ([("dangling", "0")], ["beta"]),
        ([("driver", "nfs")], []),
    ],
)
def test_filters(volumes, store, make, filters, names):
    volumes.create("alpha", labels={"k": "1"})
    volumes.create("beta", labels={"k": "2"})
    volumes.create("gamma")
    store.insert(make(mounts=[{"Type": "volume", "Name": "beta"}]))
    assert [volume.name for volume in select(volumes, filters)] == names


@pytest.mark.parametrize(
    ("options", "missing"),
    [({"type": "tmpfs"}, "device"), ({"device": "tmpfs"}, "type"), ({"o": "size=1m", "type": "tmpfs"}, "device")],
)
def test_options_that_need_another(volumes, options, missing):
    with pytest.raises(InvalidArgumentError, match=f'create half: missing required option: "{missing}"'):
        volumes.create("half", options=options)
    assert volumes.all() == []


@pytest.mark.parametrize(("key", "value"), [("zebra", "1"), ("dangling", "maybe")])
def test_no_filters(volumes, key, value):
    with pytest.raises(InvalidArgumentError, match="Invalid filter"):
        select(volumes, [(key, value)])


def test_one_that_is_made_anew_while_it_is_removed_keeps_its_directory(volumes, tmp_path, monkeypatch):
    """Another process makes it between the end of its row and that of its files, and writes into it."""
    made = volumes.create("data")
    other = Volumes(str(tmp_path), Database(str(tmp_path / "scow.db")))
    after = volumes.db.after_commit

    def late(call):
        def first():
            with open(f"{other.create('data').path}/new", "w"):
                pass
            call()

        after(first)

    monkeypatch.setattr(volumes.db, "after_commit", late)
    volumes.remove("data")
    assert os.path.exists(f"{made.path}/new")
    assert volumes.get("data").name == "data"


def test_a_sweep_spares_what_gets_a_row_meanwhile(volumes, tmp_path, monkeypatch):
    old = tmp_path / "volumes/data"
    (old / "_data").mkdir(parents=True)
    (tmp_path / "volumes/other/_data").mkdir(parents=True)
    for path in (old, tmp_path / "volumes/other"):
        os.utime(path, (1, 1))
    listed = volumes.all

    def late():
        found = listed()
        volumes.create("data")
        os.utime(old, (1, 1))
        return found

    monkeypatch.setattr(volumes, "all", late)
    volumes.sweep(60)
    assert os.listdir(tmp_path / "volumes") == ["data"]
    assert os.path.isdir(volumes.get("data").path)
