# SPDX-License-Identifier: Apache-2.0
"""Files that docker signed, damaged: each is refused in one way, or says what it said before."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.trust import golden
from scow.base.clock import parse_time
from scow.trust import tuf
from scow.trust.failures import TrustError
from scow.trust.metadata import TARGETS

NOW = parse_time("2026-11-24T00:00:00Z")
GUN = "localhost:5601/trustt/app"
ROLES = ("root", "timestamp", "snapshot", "targets")
GOOD = {role: golden("app-with-delegation", f"{role}.json") for role in ROLES}


def believed(files):
    found = tuf.Believed(GUN, tuf.first_root(files["root"], GUN, NOW), NOW)
    found.load_timestamp(files["timestamp"])
    found.load_snapshot(files["snapshot"])
    return found.load_targets(found.root.roles[TARGETS], files["targets"])


def test_undamaged_they_are_believed():
    assert "v1" in believed(GOOD).targets


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_noticed(role, data):
    raw = GOOD[role]
    at = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.integers(0, 3))
    new = data.draw(st.binary(max_size=4) | st.sampled_from([b"0", b'"', b"}", b"[" * 40, b"null", b"1e9", b"\\u0000"]))
    damaged = raw[:at] + new + raw[at + length :]
    try:
        found = believed({**GOOD, role: damaged})
    except TrustError:
        return
    assert json.loads(damaged)["signed"] == json.loads(raw)["signed"]
    assert found.targets == believed(GOOD).targets
