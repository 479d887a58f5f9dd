# SPDX-License-Identifier: Apache-2.0
"""Control groups: which one is ours to make others in."""

from __future__ import annotations

import pytest

from scow.linux import cgroups
from scow.linux.process import wait_until


@pytest.fixture
def inside(monkeypatch):
    """As if in a user namespace."""
    monkeypatch.setattr(cgroups, "in_user_namespace", lambda: True)


def test_outside_of_user_namespaces_groups_have_a_home(monkeypatch):
    monkeypatch.setattr(cgroups, "in_user_namespace", lambda: False)
    assert cgroups.home() == "/scow"


def test_version_1_is_never_delegated(monkeypatch, inside):
    monkeypatch.setattr(cgroups, "is_unified", lambda: False)
    assert cgroups.home() == ""
    assert "systemd.unified_cgroup_hierarchy" in cgroups.remedy()


@pytest.mark.parametrize("writable", [True, False])
def test_a_group_is_ours_when_it_can_be_written_to(monkeypatch, inside, tmp_path, writable):
    monkeypatch.setattr(cgroups, "is_unified", lambda: True)
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    monkeypatch.setattr(cgroups, "_own_group", lambda: "/user.slice/x.scope")
    if writable:
        (tmp_path / "user.slice/x.scope").mkdir(parents=True)
        (tmp_path / "user.slice/x.scope/cgroup.procs").write_text("")
    assert cgroups.home() == ("/user.slice/x.scope" if writable else "")
    assert "Delegate=yes" in cgroups.remedy()


def test_no_group_has_nothing_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    (tmp_path / "memory").mkdir()
    assert cgroups.processes("") == []
    assert cgroups.remove("")
    assert not cgroups.out_of_memory("")
    assert (tmp_path / "memory").is_dir()


def test_limits_need_their_controllers(monkeypatch, inside, tmp_path):
    monkeypatch.setattr(cgroups, "is_unified", lambda: True)
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    monkeypatch.setattr(cgroups, "_own_group", lambda: "/mine/scow-commands")
    group = tmp_path / "mine"
    group.mkdir()
    (group / "cgroup.procs").write_text("")
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (group / "cgroup.subtree_control").write_text("cpu memory\n")
    assert cgroups.home() == "/mine", "a command that moved aside is still at home above"
    assert cgroups.controllers() == {"cpu", "memory"}
    monkeypatch.setattr(cgroups, "_own_group", lambda: "")
    assert cgroups.controllers() == frozenset()


def test_everything_can_be_limited_outside_of_user_namespaces(monkeypatch):
    monkeypatch.setattr(cgroups, "in_user_namespace", lambda: False)
    assert "memory" in cgroups.controllers()


@pytest.mark.parametrize("unified", [True, False])
@pytest.mark.parametrize(("own", "moved"), [("/a/b", True), ("", True), ("/../b", False), (None, False)])
def test_hastening_moves_this_process_to_where_it_is(monkeypatch, tmp_path, unified, own, moved):
    monkeypatch.setattr(cgroups, "in_user_namespace", lambda: False)
    monkeypatch.setattr(cgroups, "is_unified", lambda: unified)
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    monkeypatch.setattr(cgroups, "_own_group", lambda: own)
    place = tmp_path / ("" if unified else "unified")
    files = [place / group / "cgroup.procs" for group in (".", "a/b", "../b")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    cgroups.hasten()
    assert wait_until(lambda: any(file.read_text() for file in files) or not moved, 10)
    assert [file.read_text() for file in files] == ["0" * (own == ""), "0" * (own == "/a/b"), ""]


def test_hastening_does_without(monkeypatch, tmp_path, inside):
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    (tmp_path / "cgroup.procs").write_text("")
    cgroups.hasten()
    monkeypatch.setattr(cgroups, "in_user_namespace", lambda: False)
    monkeypatch.setattr(cgroups, "_own_group", lambda: "/gone")
    cgroups.hasten()
    assert (tmp_path / "cgroup.procs").read_text() == ""
