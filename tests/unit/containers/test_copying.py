# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import threading

import pytest

from scow.containers.copying import _through_pipe
from scow.errors import UnavailableError


def test_no_descriptor_is_left_where_no_thread_can_be_started(monkeypatch):
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no new thread")))
    with pytest.raises(UnavailableError, match="thread"):
        _through_pipe(lambda _: None, lambda _: 0)
    assert os.listdir("/proc/self/fd") == before
