# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.containers.store import ContainerNotFoundError, NameTakenError, check_name
from scow.errors import InvalidArgumentError


def test_what_is_inserted_is_found(store, make):
    container = make("web", config={"Cmd": ["a"]}, mounts=[{"Type": "bind"}], health={"Status": "healthy"})
    store.insert(container)
    assert store.get(container.id) == container
    for text in (container.id, "web", "/web", container.id[:5]):
        assert store.find(text) == container


def test_a_name_wins_over_the_begin_of_an_id(store, make):
    first, second = make("one"), make("01")
    store.insert(first)
    store.insert(second)
    assert store.find("01") == second


@pytest.mark.parametrize("text", ["none", "ff", "0" * 65, "web/", "%"])
def test_nothing_matches(store, make, text):
    store.insert(make("web"))
    with pytest.raises(ContainerNotFoundError, match="No such container: "):
        store.find(text)


@pytest.mark.parametrize("text", ["", " "])
def test_nothing_is_no_name(store, text):
    with pytest.raises(InvalidArgumentError, match="invalid container name or ID: value is empty"):
        store.find(text)


def test_several_match(store, make):
    store.insert(make("one", id="ab" * 32))
    store.insert(make("two", id="ac" * 32))
    with pytest.raises(InvalidArgumentError, match="Multiple IDs found with provided prefix: a"):
        store.find("a")


def test_a_name_is_taken_once(store, make):
    first = make("web")
    store.insert(first)
    with pytest.raises(NameTakenError, match=f'The container name "/web" is already in use by container "{first.id}"'):
        store.insert(make("web"))
    other = make("other")
    store.insert(other)
    with pytest.raises(NameTakenError):
        store.rename(other.id, "web")
    store.rename(other.id, "free")
    assert store.find("free").id == other.id


def test_changes_and_removal(store, make):
    container = make()
    store.insert(container)
    assert store.update(container.id, status="running", pid=7, stubs=["/etc/hosts"])
    found = store.get(container.id)
    assert (found.status, found.pid, found.stubs) == ("running", 7, ["/etc/hosts"])
    assert store.processes() == [(container.id, 7, 0, "")]
    assert store.delete(container.id)
    assert not store.delete(container.id)
    assert not store.update(container.id, pid=8)
    assert store.get(container.id) is None
    assert store.ids() == set()


def test_the_newest_comes_first(store, make):
    for name in ("old", "middle", "new"):
        store.insert(make(name))
    assert [container.name for container in store.all()] == ["new", "middle", "old"]


def test_made_up_names_are_free(store, make):
    store.insert(make("taken"))
    assert store.free_name(lambda attempt: "taken" if attempt < 3 else f"free{attempt}") == "free3"


def test_what_a_killed_run_left(store, make):
    store.insert(make("kept"))
    store.insert(make("left", auto_remove=1, monitor="run 1 2"))
    assert [mark for _, mark in store.unstarted()] == ["run 1 2"]


@pytest.mark.parametrize("name", ["web", "/web", "a1", "A.b-c_d"])
def test_names(name):
    assert check_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "a", "/", "-a", ".a", "a b", "a/b", "ä1", "a\n"])
def test_no_names(name):
    with pytest.raises(InvalidArgumentError, match="Invalid container name"):
        check_name(name)
