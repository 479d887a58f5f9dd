# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.linux import cpusets


@pytest.mark.parametrize(("text", "found"), [("0", {0}), ("0-2,5", {0, 1, 2, 5})])
def test_lists(text, found):
    assert cpusets.read(text) == found


@pytest.mark.parametrize("text", ["", "x", "2-1", "1-", "-1", "1,,2"])
def test_no_lists(text):
    with pytest.raises(InvalidArgumentError, match="invalid format"):
        cpusets.read(text)


def test_what_this_host_has(monkeypatch):
    monkeypatch.setattr(cpusets, "online", lambda what: "0-1" if what == "cpu" else "0")
    cpusets.check("0,1", "0")
    with pytest.raises(InvalidArgumentError, match="Requested CPUs are not available - requested 0-9, available: 0-1"):
        cpusets.check("0-9", "")
    with pytest.raises(InvalidArgumentError, match="Requested memory nodes are not available"):
        cpusets.check("", "5")
