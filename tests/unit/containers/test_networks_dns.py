# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import pytest

from scow.containers.networks import Network, Networks
from scow.containers.networks_dns import Names
from scow.runtime.network import dnswire
from scow.runtime.network.addresses import to_number


@pytest.fixture
def names(db, store, make):
    """Two containers on a network; the first has links to the second."""
    networks = Networks(db)
    network = networks.create(Network("", "n", 0.0, "bridge", "10.5.0.0/24", "10.5.0.1", "", 1, 0, {}))
    first = make("web", network={"Networks": {"n": {"Links": ["db:sql", "db:Store", "gone:x"]}}})
    second = make("db")
    for container in (first, second):
        store.insert(container)
        networks.reserve(network, container.id, names=f"{container.name} {container.id[:12]}")
    found = Names(SimpleNamespace(networks=networks, store=store))
    return lambda container, name: found.lookup((first, second)[container].id, name, dnswire.A)


def address(text):
    return [to_number(text).to_bytes(4, "big")]


def test_containers_know_each_other(names):
    assert names(0, "db") == names(1, "db.n") == address("10.5.0.3")
    assert names(1, "web") == address("10.5.0.2")
    assert names(1, "zebra") is None


def test_a_link_is_a_name_for_one_container_only(names):
    assert names(0, "sql") == names(0, "store") == address("10.5.0.3")
    assert names(1, "sql") is None
    assert names(0, "x") is None
