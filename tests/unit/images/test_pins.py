# SPDX-License-Identifier: Apache-2.0
"""Pulls for which somebody else than the registry says what tags mean."""

from __future__ import annotations

import pytest

from fakes.imaging import Made, engine, transfers
from scow.base.progress import Event
from scow.errors import NotFoundError, UntrustedError


class Pins:
    """Says that a tag means a digest."""

    def __init__(self, **tags):
        self.pinned = tags
        self.asked = []

    def resolve(self, reference):
        self.asked.append(reference.familiar)
        if reference.tag not in self.pinned:
            raise UntrustedError(f"No valid trust data for {reference.tag}")
        return self.pinned[reference.tag]

    def tags(self, reference):
        return dict(self.pinned)

    def vouches(self, reference):
        return reference.digest in self.pinned.values()


@pytest.fixture
def store(tmp_path):
    return engine(tmp_path / "store")


@pytest.fixture
def signed(registry):
    """A repository whose tag v1 was signed as the first image and now means the second."""
    first = Made([{"a": b"1"}]).put(registry, "app", "v1")
    Made([{"a": b"2"}]).put(registry, "app", "v1")
    return first


def moving(store, pins, said=None):
    made = transfers(store, progress=said.append) if said is not None else transfers(store)
    made.pins = pins
    return made


def test_a_tag_is_fetched_by_the_digest_it_must_have(registry, store, signed):
    said = []
    name = f"{registry.address}/app:v1"
    with moving(store, Pins(v1=signed), said) as pulling:
        pulled = pulling.pull(name)
    assert pulled.digest == signed
    assert pulled.tagged.familiar == name
    assert pulled.reference.familiar == f"{registry.address}/app@{signed}"
    assert store.images.resolve(name).id == pulled.record.id
    assert said[0] == Event("", f"Pull (1 of 1): {name}@{signed}")
    assert not [request for request in registry.requests(route="manifest") if request.ref == "v1"]


def test_a_tag_that_is_not_signed_is_not_fetched(registry, store, signed):
    with moving(store, Pins()) as pulling, pytest.raises(UntrustedError):
        pulling.pull(f"{registry.address}/app:v1")
    assert registry.requests(route="manifest") == []
    assert list(store.images) == []


def test_a_digest_speaks_for_itself(registry, store, signed):
    pins = Pins()
    with moving(store, pins) as pulling:
        assert pulling.pull(f"{registry.address}/app@{signed}").tagged is None
    assert pins.asked == []


def test_all_tags_are_all_signed_tags(registry, store, signed):
    Made([{"a": b"3"}]).put(registry, "app", "v2")
    done = []
    with moving(store, Pins(v1=signed)) as pulling:
        pulling.pull_all(f"{registry.address}/app", each=done.append)
    assert [pulled.tagged.tag for pulled in done] == ["v1"]


def test_a_plan_is_made_for_what_is_signed(registry, store, signed):
    with moving(store, Pins(v1=signed)) as pulling:
        assert pulling.plan(f"{registry.address}/app:v1").top.digest == signed


def test_what_has_the_name_here_is_not_taken_for_it(registry, store, signed):
    name = f"{registry.address}/app:v1"
    with transfers(store) as pulling:
        unsigned = pulling.pull(name).record
    with moving(store, Pins(v1=signed)) as pulling:
        with pytest.raises(NotFoundError):
            pulling.ensure(name, "never")
        assert pulling.ensure(name).id != unsigned.id
        assert pulling.ensure(name, "never").id == store.images.resolve(name).id


def test_a_name_pinned(registry, store, signed):
    name = f"{registry.address}/app"
    with transfers(store) as plain:
        assert plain.pinned(name) == name
    with moving(store, Pins(latest=signed)) as pulling:
        assert pulling.pinned(name) == f"{name}@{signed}"
        assert pulling.pinned(f"{name}@{signed}") == f"{name}@{signed}"
        with pytest.raises(UntrustedError):
            pulling.pinned(f"{name}:v9")


def test_an_id_counts_when_a_signed_tag_means_it_today(registry, store, signed):
    name = f"{registry.address}/app:v1"
    with moving(store, Pins(v1=signed)) as pulling:
        record = pulling.pull(name).record
        for text in (record.id, record.id[7:], record.id[7:19], record.id[:19]):
            assert pulling.pinned(text) == text
    with moving(store, Pins(v1="sha256:" + "0" * 64)) as pulling:
        for text in (record.id, record.id[7:19]):
            with pytest.raises(UntrustedError, match=f"No valid trust data for {text}"):
                pulling.pinned(text)


def test_what_looks_like_an_id_and_is_none(store):
    with moving(store, Pins(latest="sha256:" + "0" * 64)) as pulling:
        assert pulling.pinned("cafe") == f"cafe@sha256:{'0' * 64}"
        for text in ("sha256:cafe", "c" * 64):
            with pytest.raises(NotFoundError):
                pulling.pinned(text)
