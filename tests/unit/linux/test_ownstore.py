# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import stat

import pytest

from scow.errors import DeniedError
from scow.linux.ownstore import own_store


def test_a_new_store_is_closed_to_others(tmp_path):
    root = tmp_path / "a" / "store"
    own_store(str(root))
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    own_store(str(root))


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(DeniedError, match="cannot be used") as caught:
        own_store(str(tmp_path / "store"))
    assert "SCOW_ROOT" in caught.value.hint


def test_somebody_elses_store_is_left_alone(tmp_path, monkeypatch):
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(DeniedError, match="belongs to user"):
        own_store(str(tmp_path))
