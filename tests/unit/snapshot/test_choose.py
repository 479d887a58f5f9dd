# SPDX-License-Identifier: Apache-2.0
"""Choosing how layers are kept."""

from __future__ import annotations

import pytest

from scow.base.database import Database
from scow.base.leases import Leases
from scow.content.local import LocalContentStore
from scow.errors import InvalidArgumentError, UnsupportedError
from scow.snapshot import choose as choosing


def opened(tmp_path, kind: str):
    db = Database(str(tmp_path / "scow.db"))
    leases = Leases(db)
    return choosing.open_snapshotter(str(tmp_path), db, LocalContentStore(str(tmp_path), db, leases), leases, kind)


def test_a_kind_can_be_forced(tmp_path) -> None:
    assert opened(tmp_path, "overlay").kind == "overlay"
    assert opened(tmp_path, "erofs").kind == "erofs"
    assert choosing.describe(str(tmp_path), "overlay") == ("overlay", "SCOW_SNAPSHOTTER says so")
    with pytest.raises(InvalidArgumentError, match="no snapshotter 'zfs'"):
        opened(tmp_path, "zfs")


def test_without_erofs_layers_are_unpacked_and_the_reason_is_told(tmp_path, monkeypatch) -> None:
    def fails(root: str) -> None:
        raise UnsupportedError("the kernel is too old")

    monkeypatch.setattr(choosing, "_try_erofs", fails)
    monkeypatch.setattr("scow.linux.features.has_filesystem", lambda name: True)
    assert choosing.choose(str(tmp_path)) == ("overlay", "EROFS does not work here: the kernel is too old")
    assert opened(tmp_path, "").kind == "overlay"


def test_without_overlayfs_nothing_works(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("scow.linux.features.has_filesystem", lambda name: False)
    with pytest.raises(UnsupportedError, match="no overlay"):
        choosing.choose(str(tmp_path))


@pytest.mark.root
def test_trying_leaves_nothing_behind(tmp_path) -> None:
    found = choosing.choose(str(tmp_path))
    assert found.kind in choosing.KINDS
    assert found.reason
    assert list((tmp_path / "tmp").iterdir()) == []
