# SPDX-License-Identifier: Apache-2.0
"""Every content store against the one suite."""

from __future__ import annotations

import pytest

from conformance.content_store import ContentStoreSuite
from scow.base.database import Database
from scow.base.leases import Leases
from scow.content.local import LocalContentStore
from scow.content.memory import MemoryContentStore


@pytest.fixture
def leases(tmp_path):
    return Leases(Database(str(tmp_path / "scow.db")))


@pytest.fixture
def lease(leases):
    with leases.hold("test") as lease:
        yield lease


class TestLocal(ContentStoreSuite):
    @pytest.fixture
    def store(self, tmp_path, leases):
        return LocalContentStore(str(tmp_path), leases.db, leases)


class TestMemory(ContentStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryContentStore()
