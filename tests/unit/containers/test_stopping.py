# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal

import pytest

from scow.containers.settling import should_restart
from scow.containers.stopping import signal_number
from scow.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("9", 9),
        ("RTMIN+3", int(signal.SIGRTMIN) + 3),
        ("RTMAX-1", int(signal.SIGRTMAX) - 1),
    ],
)
def test_signals(text, number):
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["NOSUCH", "0", "999", "-1", "", "RTMIN+x"])
def test_no_signals(text):
    with pytest.raises(InvalidArgumentError, match=r"Invalid signal|does not support signal"):
        signal_number(text)


@pytest.mark.parametrize(
    ("policy", "code", "restarts", "stopped", "expected"),
    [
        ({}, 1, 0, 0, False),
        ({"Name": "no"}, 1, 0, 0, False),
        ({"Name": "always"}, 0, 99, 0, True),
        ({"Name": "always"}, 0, 0, 1, False),
        ({"Name": "unless-stopped"}, 0, 0, 0, True),
        ({"Name": "on-failure"}, 0, 0, 0, False),
        ({"Name": "on-failure"}, 1, 99, 0, True),
        ({"Name": "on-failure", "MaximumRetryCount": 2}, 1, 1, 0, True),
        ({"Name": "on-failure", "MaximumRetryCount": 2}, 1, 2, 0, False),
    ],
)
def test_restart_policies(make, policy, code, restarts, stopped, expected):
    container = make(host={"RestartPolicy": policy}, exit_code=code, restarts=restarts, stopped=stopped)
    assert should_restart(container) is expected
