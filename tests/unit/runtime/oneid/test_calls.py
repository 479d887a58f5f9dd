# SPDX-License-Identifier: Apache-2.0
"""Which calls ask, and what becomes of a container's seccomp profile."""

from __future__ import annotations

import pytest

from scow.linux.seccomp import default_profile
from scow.runtime.oneid.calls import CONDITIONS, abis, asking


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_every_call_has_one_number(machine):
    for abi in abis(machine):
        assert len(set(abi.calls.values())) == len(abi.calls)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_about_owners_ask_and_are_allowed_in_no_other_rule(machine):
    profile = asking(default_profile(("CAP_CHOWN",), machine), machine, "/run/x")
    assert profile is not None
    assert profile["listenerPath"] == "/run/x"
    asked = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_NOTIFY" for name in rule["names"]}
    assert {"fchownat", "mknodat", "setuid", "getuid", "statx", "openat", "utimensat"} <= asked
    others = [(name, rule) for rule in profile["syscalls"] for name in rule["names"] if name in asked]
    for name, rule in others:
        if rule["action"] != "SCMP_ACT_NOTIFY":
            assert name in CONDITIONS, (name, rule)
            assert rule["args"], (name, rule)
    assert "write" not in asked


def test_other_calls_stay_as_they_were():
    before = default_profile((), "x86_64")
    after = asking(before, "x86_64", "/run/x")
    assert after is not None
    assert (after["defaultAction"], after["architectures"]) == (before["defaultAction"], before["architectures"])
    allowed = {name for rule in after["syscalls"] for name in rule["names"]}
    assert {name for rule in before["syscalls"] for name in rule["names"]} <= allowed


def test_a_container_without_a_profile_gets_one_that_only_asks():
    profile = asking(None, "x86_64", "/run/x")
    assert profile is not None
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"


def test_an_unknown_processor_asks_nothing():
    before = default_profile((), "s390x")
    assert asking(before, "s390x", "/run/x") is before
