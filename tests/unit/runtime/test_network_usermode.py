# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.errors import UnsupportedError
from scow.runtime.network import usermode


def test_a_network_that_cannot_be_made_keeps_nobody_from_ending_the_next(tmp_path, monkeypatch):
    def refuse(_directory):
        raise UnsupportedError("neither slirp4netns nor pasta is installed")

    monkeypatch.setattr(usermode, "_start", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UnsupportedError):
        usermode.open_uplink(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before
