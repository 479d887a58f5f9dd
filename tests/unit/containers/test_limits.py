# SPDX-License-Identifier: Apache-2.0
"""Limits that nobody keeps."""

from __future__ import annotations

import pytest

from scow.containers import limits


@pytest.fixture
def without(monkeypatch):
    """A user without control groups."""
    monkeypatch.setattr(limits.cgroups, "home", lambda: "")
    monkeypatch.setattr(limits.cgroups, "controllers", frozenset)


def test_limits_are_taken_out_and_named(without):
    host = {"Memory": 1, "MemorySwap": 2, "NanoCpus": 3, "PidsLimit": 4, "ShmSize": 5, "CpusetCpus": ""}
    said = limits.discard(host)
    assert host == {"ShmSize": 5, "CpusetCpus": ""}
    assert [word for word in ("memory", "cpu", "pids") if any(f"({word})" in text for text in said)] == [
        "memory",
        "cpu",
        "pids",
    ]
    assert len(said) == 3


@pytest.mark.parametrize("host", [{}, {"Memory": 0}, {"MemorySwappiness": -1}, {"PidsLimit": -1}])
def test_what_means_no_limit_is_left_in_peace(without, host):
    before = dict(host)
    assert limits.discard(host) == []
    assert host == before


def test_a_delegated_group_keeps_limits(monkeypatch):
    monkeypatch.setattr(limits.cgroups, "home", lambda: "/mine")
    monkeypatch.setattr(limits.cgroups, "controllers", lambda: frozenset({"memory"}))
    host = {"Memory": 1, "PidsLimit": 9}
    assert limits.discard(host) == ["Limitation discarded (pids): no control group with it is delegated to this user"]
    assert host == {"Memory": 1}
