# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.containers.booting import is_wanted


@pytest.mark.parametrize(
    ("policy", "values", "wanted"),
    [
        ("no", {}, False),
        ("always", {}, True),
        ("always", {"stopped": 1}, True),
        ("always", {"status": "created"}, False),
        ("always", {"status": "running"}, False),
        ("unless-stopped", {}, True),
        ("unless-stopped", {"stopped": 1}, False),
        ("on-failure", {"exit_code": 255}, True),
        ("on-failure", {"exit_code": 0}, False),
        ("on-failure", {"exit_code": 255, "stopped": 1}, False),
    ],
)
def test_what_runs_after_a_start(make, policy, values, wanted):
    container = make(**{"status": "exited", "host": {"RestartPolicy": {"Name": policy}}, **values})
    assert is_wanted(container) is wanted
