# SPDX-License-Identifier: Apache-2.0
"""A registry's directory, its handlers, and a whole server in this process."""

from __future__ import annotations

import pytest

from fakes.private_registry import PrivateRegistry
from scow.registry.protocol import Request
from scow.registry.storage import RegistryStore


@pytest.fixture
def store(tmp_path):
    return RegistryStore(str(tmp_path / "registry"))


@pytest.fixture
def served(tmp_path):
    with PrivateRegistry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def request_of():
    def make(method="GET", path="/", query=None, **headers):
        return Request(method, path, query or {}, {name.replace("_", "-"): value for name, value in headers.items()})

    return make


@pytest.fixture
def push(store):
    """Make bytes a blob of a repository, without HTTP."""

    def make(name, data, now=None):
        with store.leases.hold("test") as lease:
            digest = store.content.put(data, lease)
            store.metadata.link_blob(name, digest, now or 1e9)
        return digest

    return make
