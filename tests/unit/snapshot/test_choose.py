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

    monkeypatch.setattr(choosing, "may_mount", lambda: True)
    monkeypatch.setattr(choosing, "in_user_namespace", lambda: False)
    monkeypatch.setattr(choosing, "_try_erofs", fails)
    monkeypatch.setattr(choosing, "_try_overlay", lambda root: None)
    assert choosing.choose(str(tmp_path)) == ("overlay", "EROFS does not work here: the kernel is too old")
    assert opened(tmp_path, "").kind == "overlay"


def test_without_overlayfs_trees_are_copied_from_then_on(tmp_path, monkeypatch) -> None:
    def fails(root: str) -> None:
        raise UnsupportedError("not here")

    monkeypatch.setattr(choosing, "may_mount", lambda: True)
    monkeypatch.setattr("scow.snapshot.overlay.may_mount", lambda: True)
    monkeypatch.setattr(choosing, "in_user_namespace", lambda: False)
    monkeypatch.setattr(choosing, "_try_erofs", fails)
    monkeypatch.setattr(choosing, "_try_overlay", fails)
    assert not opened(tmp_path, "").copies
    found = choosing.choose(str(tmp_path))
    assert found == ("copying", "EROFS does not work here: not here; overlayfs neither: not here")
    assert opened(tmp_path, "").copies
    monkeypatch.setattr(choosing, "_try_overlay", lambda root: None)
    assert choosing.choose(str(tmp_path)).kind == "overlay"
    assert not opened(tmp_path, "").copies


@pytest.mark.parametrize(("uid", "kind"), [(0, "copying"), (1000, "tars")])
def test_without_mounts_root_copies_and_others_keep_tars(tmp_path, monkeypatch, uid, kind) -> None:
    monkeypatch.setattr(choosing, "may_mount", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert choosing.choose(str(tmp_path)).kind == kind


@pytest.mark.root
def test_trying_leaves_nothing_behind(tmp_path) -> None:
    found = choosing.choose(str(tmp_path))
    assert found.kind in choosing.KINDS
    assert found.reason
    assert list((tmp_path / "tmp").iterdir()) == []
