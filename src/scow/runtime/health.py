# SPDX-License-Identifier: Apache-2.0
"""When a container counts as healthy: the state machine behind HEALTHCHECK. Pure.

Source: Dockerfile reference, "HEALTHCHECK"; Engine API v1.50, ``Health``.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SECOND = 10**9
_KEPT_RESULTS = 5
_MAX_OUTPUT = 4096
_CUT = "..."


class Check(NamedTuple):
    """How to look, times in seconds.

    Args:
        command: What to run.
        interval: Between two looks.
        timeout: After which a look has failed.
        start_period: How long failures do not count after the start.
        start_interval: Between two looks in that time.
        retries: Failures in a row that make it unhealthy.
    """

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3


class Result(NamedTuple):
    """What one look found.

    Args:
        start: RFC 3339.
        end: RFC 3339.
        exit_code: 0 for healthy; -1 when the time was over.
        output: What the command said.
    """

    start: str
    end: str
    exit_code: int
    output: str


def read_check(config: Mapping[str, Any]) -> Check | None:
    """Read docker's ``Config.Healthcheck``; ``None`` when there is none, or it was switched off.

    Args:
        config: Docker's ``Config``.
    """
    given = config.get("Healthcheck") or {}
    test = given.get("Test") or ["NONE"]
    if test[0] == "NONE" or len(test) < 2:
        return None
    shell = config.get("Shell") or ("/bin/sh", "-c")
    command = (*shell, test[1]) if test[0] == "CMD-SHELL" else tuple(test[1:])
    usual = Check(command)
    return Check(
        command,
        interval=_seconds(given, "Interval", usual.interval),
        timeout=_seconds(given, "Timeout", usual.timeout),
        start_period=_seconds(given, "StartPeriod", usual.start_period),
        start_interval=_seconds(given, "StartInterval", usual.start_interval),
        retries=int(given.get("Retries") or usual.retries),
    )


def _seconds(given: Mapping[str, Any], name: str, usual: float) -> float:
    return float(given[name]) / _SECOND if given.get(name) else usual


def begin() -> dict[str, Any]:
    """Docker's ``State.Health`` of a container that has just been started."""
    return {"Status": "starting", "FailingStreak": 0, "Log": []}


def after(health: Mapping[str, Any], check: Check, result: Result, *, running_for: float) -> dict[str, Any]:
    """The state after one more look.

    Args:
        health: Docker's ``State.Health`` before.
        check: How it was looked.
        result: What was found.
        running_for: Seconds since the container's start, when the look began.
    """
    status, streak = health["Status"], health["FailingStreak"]
    if result.exit_code == 0:
        status, streak = "healthy", 0
    elif not (status == "starting" and running_for < check.start_period):
        streak += 1
        if streak >= check.retries:
            status = "unhealthy"
    output = result.output
    if len(output) > _MAX_OUTPUT:
        output = output[:_MAX_OUTPUT] + _CUT
    entry = {"Start": result.start, "End": result.end, "ExitCode": result.exit_code, "Output": output}
    return {"Status": status, "FailingStreak": streak, "Log": [*health["Log"], entry][-_KEPT_RESULTS:]}


def pause(health: Mapping[str, Any], check: Check, *, running_for: float) -> float:
    """Seconds until the next look.

    Args:
        health: Docker's ``State.Health``.
        check: How to look.
        running_for: Seconds since the container's start.
    """
    if health["Status"] == "starting" and running_for < check.start_period:
        return min(check.start_interval, check.interval)
    return check.interval
