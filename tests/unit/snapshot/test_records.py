# SPDX-License-Identifier: Apache-2.0
"""Rows and directories of snapshots."""

from __future__ import annotations

import os

import pytest

from scow.base.database import Database
from scow.base.leases import Leases
from scow.errors import ConflictError
from scow.snapshot.records import Records, SnapshotNotFoundError


@pytest.fixture
def records(tmp_path) -> Records:
    db = Database(str(tmp_path / "scow.db"))
    return Records(str(tmp_path), db, Leases(db))


def committed(records: Records, name: str, parent: str | None = None, *, form: str = "upper") -> int:
    with records.db.write() as connection:
        record = records.add(name, "committed", form, parent=parent)
        stack = f"{record.own} {record.stack}".rstrip()
        records.update(connection, record.id, stack=stack, devices="sha256:aa sha256:bb" if form == "index" else "")
    return record.id


def test_a_new_row_has_a_directory_and_owns_its_parent(records: Records) -> None:
    number = committed(records, "base")
    with records.db.write():
        record = records.add("key", "active", "upper", parent="base")
    assert os.path.isdir(records.directory(record.id))
    assert record.stack == f"d{number}"
    assert records.leases.owners("snapshot", "base") == ["snapshot:key"]
    assert records.get("key") == record


def test_names_are_taken_once_and_parents_must_be_committed(records: Records) -> None:
    committed(records, "base")
    with records.db.write():
        records.add("key", "active", "upper")
    with pytest.raises(ConflictError, match="'base' already"):
        records.add("base", "active", "upper")
    with pytest.raises(SnapshotNotFoundError, match="no committed snapshot 'key'"):
        records.add("other", "active", "upper", parent="key")
    with pytest.raises(SnapshotNotFoundError, match="no active or view snapshot 'base'"):
        records.get("base", "active", "view")


def test_a_rolled_back_row_leaves_no_trace_that_matters(records: Records) -> None:
    with pytest.raises(RuntimeError), records.db.write():
        first = records.add("key", "active", "upper")
        os.mkdir(f"{records.directory(first.id)}/left")
        raise RuntimeError
    assert records.find("key") is None
    with records.db.write():
        second = records.add("key", "active", "upper")
    assert os.listdir(records.directory(second.id)) == []


def test_numbers_are_not_used_twice(records: Records) -> None:
    first = committed(records, "a")
    records.sweep([records.forget("a", force=True)])
    assert committed(records, "a") > first


def test_forgetting_asks_for_children_and_owners(records: Records) -> None:
    committed(records, "base")
    committed(records, "top", "base")
    with records.leases.hold("x") as lease:
        lease.add("snapshot", "top")
        with pytest.raises(ConflictError, match="'top' stands on it"):
            records.forget("base", force=True)
        with pytest.raises(ConflictError, match="in use by 'lease:"):
            records.forget("top", force=False)
    path = records.forget("top", force=False)
    assert path is not None
    assert os.path.isdir(path)
    records.sweep([path, None])
    assert not os.path.exists(path)
    assert records.forget("top", force=False) is None
    assert records.leases.owners("snapshot", "base") == []


def test_owners_of_a_key_go_with_it_but_images_go_on_wanting_their_chain(records: Records) -> None:
    committed(records, "chain")
    with records.db.write():
        records.add("key", "active", "upper")
    records.leases.link("image:x", "snapshot", "chain")
    records.leases.link("container:x", "snapshot", "key")
    records.forget("chain", force=True)
    records.forget("key", force=True)
    assert records.leases.owners("snapshot", "chain") == ["image:x"]
    assert records.leases.owners("snapshot", "key") == []


def test_devices_of_a_stack(records: Records) -> None:
    index = committed(records, "index", form="index")
    upper = committed(records, "upper", "index")
    assert records.get("upper").stack == f"d{upper} i{index}"
    assert records.devices(f"d{upper} i{index}") == {str(index): ["sha256:aa", "sha256:bb"]}
    assert records.devices(f"d{upper}") == {}


def test_lineage_goes_down(records: Records) -> None:
    for number in range(5):
        committed(records, f"{number}", f"{number - 1}" if number else None)
    assert [record.name for record in records.lineage("3")] == ["3", "2", "1", "0"]
    assert records.lineage("none") == []


def test_only_known_columns_can_be_changed(records: Records) -> None:
    number = committed(records, "a")
    with pytest.raises(KeyError), records.db.write() as connection:
        records.update(connection, number, id=7)
