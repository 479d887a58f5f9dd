# SPDX-License-Identifier: Apache-2.0
"""Counting what containers use."""

from __future__ import annotations

import os

from scow.runtime.stats import cpu_percent, sample


def test_without_a_control_group_the_process_itself_is_counted():
    before = sample("", os.getpid())
    sum(range(2_000_000))
    after = sample("", os.getpid())
    assert after.memory > 1 << 20
    assert after.limit == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert after.pids >= 1
    assert after.cpu >= before.cpu
    assert cpu_percent(before, after) >= 0


def test_a_process_that_is_gone_counts_nothing():
    found = sample("", 2**22)
    assert (found.cpu, found.memory, found.pids) == (0, 0, 0)
