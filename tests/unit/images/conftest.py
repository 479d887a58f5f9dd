# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from fakes.registry import FakeRegistry
from fakes.stores import Store


@pytest.fixture(params=["overlay", "erofs"])
def any_store(request, tmp_path):
    return Store(tmp_path / "store", request.param)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def patient_disk(monkeypatch):
    """Waiting for the disk proves nothing here and takes most of the time."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _fd: None)
    monkeypatch.setattr("scow.linux.kernel.syncfs", lambda _fd: None)


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def other():
    """Another registry."""
    with FakeRegistry() as fake:
        yield fake
