# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def patient_disk(monkeypatch):
    """Waiting for the disk proves nothing here and takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
