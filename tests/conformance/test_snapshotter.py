# SPDX-License-Identifier: Apache-2.0
"""The suite of ``snapshotter.py`` against every way of keeping layers, and what only one of them has."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from conformance.snapshotter import BASE, Entry, SnapshotterSuite, Store, directory, hard, layer, link, names, problems
from scow.errors import ScowError
from scow.snapshot.choose import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.base.leases import Lease

pytestmark = pytest.mark.root


@pytest.fixture(params=["erofs", "overlay", "copying"])
def store(request: pytest.FixtureRequest, tmp_path) -> Store:  # type: ignore[no-untyped-def]
    kind = request.param
    if kind == "erofs":
        choice = choose(str(tmp_path))
        if choice.kind != "erofs":
            pytest.skip(choice.reason)
    return Store(str(tmp_path / "store"), kind)


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    with store.leases.hold("test") as held:
        yield held


class TestSnapshotter(SnapshotterSuite):
    """Every kind."""


@pytest.fixture
def indexes(tmp_path) -> Store:  # type: ignore[no-untyped-def]
    choice = choose(str(tmp_path))
    if choice.kind != "erofs":
        pytest.skip(choice.reason)
    return Store(str(tmp_path / "store"), "erofs")


def test_a_damaged_index_is_found_and_written_again(indexes: Store) -> None:
    with indexes.leases.hold("test") as lease:
        indexes.add("base", BASE, None, lease)
        indexes.add("top", layer(Entry("x", b"x")), "base", lease)
        before = indexes.tree("top", lease)
        record = indexes.snapshots.records.get("top")
        path = f"{indexes.snapshots.records.directory(record.id)}/index"
        with open(path, "r+b") as file:
            file.seek(1100)
            file.write(b"damage")
        os.truncate(f"{indexes.snapshots.records.directory(record.id)}/table", 20)
        assert problems(indexes) == [("corrupt", "top")]
        assert problems(indexes, repair=True) == [("corrupt", "top")]
        assert problems(indexes) == []
        assert indexes.tree("top", lease) == before


def test_a_layer_whose_tar_is_gone(indexes: Store) -> None:
    with indexes.leases.hold("test") as lease:
        indexes.add("base", BASE, None, lease)
        indexes.snapshots.ready("base")
        indexes.content.delete(indexes.snapshots.stat("base").diff_id)  # type: ignore[arg-type]
        assert problems(indexes, repair=True) == [("missing", "base")]


def test_an_image_is_one_mount_and_a_small_layer_on_it_another(indexes: Store) -> None:
    with indexes.leases.hold("test") as lease:
        parent = None
        for number in range(20):
            files = [Entry(f"d/{number}-{item}") for item in range(50)]
            indexes.add(f"l{number}", layer(directory("d"), *files), parent, lease)
            parent = f"l{number}"
        records = indexes.snapshots.records
        indexes.snapshots.ready("l19")
        assert [records.get(f"l{number}").stack for number in range(19)] == [""] * 19
        assert len(records.get("l19").devices.split()) == 20
        indexes.add("small", layer(directory("d"), Entry("d/extra", b"e")), "l19", lease)
        indexes.snapshots.ready("small")
        assert len(records.get("small").stack.split()) == 2
        assert len(indexes.tree("small", lease)) == 1002


def test_unpacked_layers_are_written_to_the_disk_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    store = Store(str(tmp_path / "store"), "overlay")
    calls: list[int] = []
    monkeypatch.setattr("scow.linux.kernel.syncfs", calls.append)
    with store.leases.hold("test") as lease:
        store.add("base", BASE, None, lease)
        store.add("top", layer(Entry("x")), "base", lease)
        assert calls == []
        for name in ("top", "top", "base"):
            store.snapshots.ready(name)
    assert len(calls) == 1


def test_an_opaque_root_hides_all_below(indexes: Store) -> None:
    with indexes.leases.hold("test") as lease:
        indexes.add("base", BASE, None, lease)
        indexes.snapshots.ready("base")
        indexes.add("top", layer(Entry(".wh..wh..opq"), Entry("only", b"x")), "base", lease)
        assert names(indexes.tree("top", lease)) == ["only"]


@pytest.mark.parametrize("seed", range(60))
def test_both_kinds_show_the_same(tmp_path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Random stacks, made ready at random heights and merged more or less eagerly, look the same however kept."""
    monkeypatch.setattr("scow.snapshot.erofs._GROWTH", (0, 0, 1, 2)[seed % 4])
    if choose(str(tmp_path)).kind != "erofs":
        pytest.skip("no EROFS here")
    dice = random.Random(seed)
    stores = [Store(str(tmp_path / kind), kind) for kind in ("erofs", "overlay")]
    tars = [_random_layer(dice) for _ in range(12)]
    ready = [dice.random() < 0.4 for _ in tars]
    shown: list[list[object]] = []
    for store in stores:
        seen: list[object] = []
        with store.leases.hold("test") as lease:
            parent = None
            for number, tar in enumerate(tars):
                name = f"l{number}"
                try:
                    store.add(name, tar, parent, lease)
                    if ready[number] or store.kind == "overlay":
                        store.snapshots.ready(name)
                    seen.append(store.tree(name, lease) if ready[number] else None)
                except ScowError as error:
                    seen.append(type(error).__name__)
                    if store.snapshots.exists(name):
                        store.snapshots.remove(name, force=True)
                    continue
                parent = name
            if parent is not None:
                seen.append(store.tree(parent, lease))
        assert problems(store) == []
        shown.append(seen)
    assert shown[0] == shown[1]


def _random_layer(dice: random.Random) -> bytes:
    """Every construct that depends on what is below, without those both kinds refuse at different moments."""
    parts = ["a", "b", "c", "d"]
    entries: list[Entry] = []
    for _ in range(dice.randrange(1, 8)):
        path = "/".join(dice.choice(parts) for _ in range(dice.randrange(1, 4)))
        match dice.randrange(6):
            case 0 | 1:
                entries.append(Entry(f"{path}/f{dice.randrange(3)}", b"%d" % dice.randrange(99), mode=0o640))
            case 2 | 3:
                entries.append(directory(path, dice.choice([0o755, 0o700, 0o1777]), dice.randrange(3)))
            case 4:
                above, slash, base = path.rpartition("/")
                entries.append(Entry(f"{above}{slash}.wh.{base}"))
            case _:
                entries.append(Entry(f"{path}/.wh..wh..opq"))
    return layer(*entries)


def test_links_in_the_way_are_followed_alike(tmp_path) -> None:  # type: ignore[no-untyped-def]
    if choose(str(tmp_path)).kind != "erofs":
        pytest.skip("no EROFS here")
    tars = [
        layer(directory("run", 0o711), directory("var"), link("var/run", "/run"), Entry("run/pid", b"1")),
        layer(Entry("var/run/lock/a", b"a")),
        layer(hard("var/run/again", "var/run/pid"), Entry("var/run/lock/.wh.a")),
    ]
    trees = []
    for kind in ("erofs", "overlay"):
        store = Store(str(tmp_path / kind), kind)
        with store.leases.hold("test") as lease:
            for number, tar in enumerate(tars):
                store.add(f"l{number}", tar, f"l{number - 1}" if number else None, lease)
            trees.append(store.tree("l2", lease))
    assert trees[0] == trees[1]
    assert trees[0]["run"][0] == "0o40711"
    assert names(trees[0]) == ["run", "run/again", "run/lock", "run/pid", "var", "var/run"]
