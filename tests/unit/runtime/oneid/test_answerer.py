# SPDX-License-Identifier: Apache-2.0
"""The process beside a container; what it answers is in tests/interop/test_single_id.py."""

from __future__ import annotations

import os

import pytest

from scow.runtime.oneid import answerer
from scow.runtime.oneid.calls import abis

pytestmark = pytest.mark.skipif(not abis(os.uname().machine), reason="not known on this processor")


def document():
    return {
        "process": {"user": {"uid": 5, "gid": 6}, "capabilities": {"bounding": []}},
        "linux": {},
    }


def test_it_may_have_ended_with_its_container_before_it_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(answerer.process, "spawn", lambda *_, **__: 0)  # so nobody holds the pipe's other end
    beside = answerer.Answerer(document(), str(tmp_path))
    beside.leave()
    beside.close()


def test_the_document_is_made_for_the_one_id_and_names_the_socket(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(answerer.process, "spawn", lambda words, **_: started.append(words) or 0)
    made = document()
    answerer.Answerer(made, str(tmp_path)).leave()
    assert made["process"]["user"] == {"uid": 0, "gid": 0}
    assert made["linux"]["seccomp"]["listenerPath"].startswith(str(tmp_path))
    assert '"uid":5' in started[0][-1].replace(" ", "")
