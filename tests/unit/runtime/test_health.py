# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.runtime import health
from scow.runtime.health import Check, Result

SECOND = 10**9


@pytest.mark.parametrize("config", [{}, {"Healthcheck": {"Test": ["NONE"]}}, {"Healthcheck": {"Test": ["CMD"]}}])
def test_no_check(config):
    assert health.read_check(config) is None


def test_a_shell_command_and_its_times():
    given = {
        "Test": ["CMD-SHELL", "x"],
        "Interval": SECOND,
        "Timeout": SECOND // 2,
        "StartPeriod": 2 * SECOND,
        "Retries": 5,
    }
    assert health.read_check({"Healthcheck": given}) == Check(("/bin/sh", "-c", "x"), 1.0, 0.5, 2.0, 5.0, 5)


def test_the_images_shell_is_used():
    config = {"Healthcheck": {"Test": ["CMD-SHELL", "x"]}, "Shell": ["/bin/bash", "-ec"]}
    assert health.read_check(config).command == ("/bin/bash", "-ec", "x")


def see(codes, *, check=None, running_for=100.0):
    check = check or Check(("x",), retries=2)
    state = health.begin()
    for code in codes:
        state = health.after(state, check, Result("s", "e", code, "out"), running_for=running_for)
    return state


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([], "starting", 0),
        ([0], "healthy", 0),
        ([1], "starting", 1),
        ([1, 1], "unhealthy", 2),
        ([0, 1], "healthy", 1),
        ([0, 1, 1], "unhealthy", 2),
        ([1, 1, 0], "healthy", 0),
        ([-1, -1], "unhealthy", 2),
    ],
)
def test_failures_in_a_row_make_unhealthy(codes, status, streak):
    state = see(codes)
    assert (state["Status"], state["FailingStreak"]) == (status, streak)


def test_failures_while_starting_do_not_count():
    check = Check(("x",), start_period=60.0, retries=1)
    assert see([1, 1, 1], check=check, running_for=5.0)["Status"] == "starting"
    assert see([0, 1], check=check, running_for=5.0)["Status"] == "unhealthy"
    assert see([1], check=check, running_for=61.0)["Status"] == "unhealthy"


def test_only_the_last_results_are_kept_and_long_output_is_cut():
    state = health.begin()
    for number in range(9):
        result = Result("s", "e", number, "o" * 5000)
        state = health.after(state, Check(("x",)), result, running_for=1.0)
    assert [entry["ExitCode"] for entry in state["Log"]] == [4, 5, 6, 7, 8]
    assert len(state["Log"][0]["Output"]) == 4099


def test_looks_are_closer_together_while_starting():
    check = Check(("x",), interval=30.0, start_interval=2.0, start_period=60.0)
    assert health.pause(health.begin(), check, running_for=1.0) == 2.0
    assert health.pause({"Status": "healthy"}, check, running_for=1.0) == 30.0
    assert health.pause(health.begin(), check, running_for=61.0) == 30.0
