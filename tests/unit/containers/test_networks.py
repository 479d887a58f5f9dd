# SPDX-License-Identifier: Apache-2.0
"""Networks as rows: names, addresses and ports are given once."""

from __future__ import annotations

import threading

import pytest

from scow.base.database import Database
from scow.base.leases import Leases
from scow.containers import networks_verbs
from scow.containers.networks import Network, NetworkInUseError, NetworkNotFoundError, Networks
from scow.containers.service import Containers
from scow.errors import ConflictError, DeniedError, InvalidArgumentError, UnavailableError
from scow.runtime.network.addresses import Subnet, to_text


@pytest.fixture
def networks(tmp_path):
    return Networks(Database(str(tmp_path / "scow.db")))


def _wish(name="n", subnet="10.5.0.0/24", gateway="10.5.0.1", part="", **extra):
    return Network("", name, 0.0, "bridge", subnet, gateway, part, 1, 0, extra)


def _free(*_):
    return True


def test_every_store_has_three(networks):
    assert [(n.name, n.driver) for n in networks.all()] == [("bridge", "bridge"), ("host", "host"), ("none", "null")]
    with pytest.raises(DeniedError, match="pre-defined"):
        networks.remove(networks.find("host"))


def test_found_by_name_id_and_the_begin_of_it(networks):
    made = networks.create(_wish())
    assert networks.find("n") == networks.find(made.id) == networks.find(made.id[:12]) == made
    with pytest.raises(NetworkNotFoundError, match="network nope not found"):
        networks.find("nope")


def test_names_and_subnets_are_given_once(networks):
    networks.create(_wish())
    with pytest.raises(ConflictError, match="network with name n already exists"):
        networks.create(_wish(subnet="10.6.0.0/24", gateway="10.6.0.1"))
    with pytest.raises(DeniedError, match="Pool overlaps"):
        networks.create(_wish("m", "10.5.0.128/25", "10.5.0.129"))


def test_addresses_are_given_lowest_first_and_come_back(networks):
    made = networks.create(_wish(AuxAddress={"router": "10.5.0.2"}))
    assert [to_text(networks.reserve(made, c).address) for c in ("a", "b", "c")] == ["10.5.0.3", "10.5.0.4", "10.5.0.5"]
    assert networks.release("b") == []
    assert to_text(networks.reserve(made, "d").address) == "10.5.0.4"
    with pytest.raises(NetworkInUseError):
        networks.remove(made)
    for name in "acd":
        empty = networks.release(name)
    assert empty == [made.id]
    networks.remove(made)


def test_wishes_are_kept_or_refused(networks):
    made = networks.create(_wish())
    assert to_text(networks.reserve(made, "a", address="10.5.0.77", mac="02:00:00:00:00:01").address) == "10.5.0.77"
    for taken in ("10.5.0.77", "10.5.0.1", "10.5.0.255"):
        with pytest.raises(ConflictError, match="Address already in use"):
            networks.reserve(made, "b", address=taken)
    with pytest.raises(InvalidArgumentError, match="no configured subnet"):
        networks.reserve(made, "b", address="10.6.0.1")


def test_a_range_runs_out(networks):
    made = networks.create(_wish(part="10.5.0.8/30"))
    for name in "abcd":
        networks.reserve(made, name)
    with pytest.raises(UnavailableError, match="no available IPv4 addresses"):
        networks.reserve(made, "e")


def test_threads_never_get_the_same_address(networks):
    made = networks.create(_wish())
    found = []

    def work(at):
        found.append(networks.reserve(made, f"c{at}").address)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 20


def test_the_default_subnet_avoids_what_the_host_uses(networks):
    bridge = networks.find("bridge")
    chosen = networks.settle_subnet(bridge, lambda: [Subnet.parse("172.17.0.0/16"), Subnet.parse("172.18.4.0/24")])
    assert (chosen.subnet, chosen.gateway) == ("172.19.0.0/16", "172.19.0.1")
    # another program took it meanwhile: nobody is on the network, so it moves
    assert networks.settle_subnet(chosen, lambda: [Subnet.parse(chosen.subnet)]).subnet == "172.17.0.0/16"
    fixed = networks.create(_wish())
    with pytest.raises(UnavailableError, match=r"10\.5\.0\.0/24"):
        networks.settle_subnet(fixed, lambda: [Subnet.parse("10.0.0.0/8")])


def test_ports_are_given_once(networks):
    assert networks.take_port("a", "tcp", "127.0.0.1", [80], _free) == 80
    assert networks.take_port("b", "tcp", "127.0.0.2", [80], _free) == 80
    assert networks.take_port("c", "udp", "0.0.0.0", [80], _free) == 80
    with pytest.raises(UnavailableError, match=r"Bind for 0\.0\.0\.0:80 failed: port is already allocated"):
        networks.take_port("d", "tcp", "0.0.0.0", [80], _free)
    assert networks.take_port("d", "tcp", "0.0.0.0", [80, 81], _free) == 81
    with pytest.raises(UnavailableError, match="already allocated"):
        networks.take_port("e", "tcp", "127.0.0.1", [81], _free)
    with pytest.raises(UnavailableError, match="address already in use"):
        networks.take_port("e", "tcp", "127.0.0.1", [82], lambda *_: False)
    networks.release("d")
    assert networks.take_port("e", "tcp", "127.0.0.1", [81], _free) == 81


def test_nobody_gets_a_place_on_a_network_that_was_removed_meanwhile(networks):
    made = networks.create(_wish())
    networks.remove(made)
    with pytest.raises(NetworkNotFoundError, match="network n not found"):
        networks.reserve(made, "a")
    assert networks.endpoints() == []


def test_two_that_change_the_networks_of_a_container_lose_nothing(networks, tmp_path, make):
    """Both have looked the container up before the first of them changed it."""
    service = Containers(str(tmp_path), str(tmp_path / "run"), networks.db, Leases(networks.db), None, None, None)
    container = make(network={"Endpoints": {}})
    service.store.insert(container)
    one = networks.create(_wish("one"))
    two = networks.create(_wish("two", "10.6.0.0/24", "10.6.0.1"))
    networks_verbs.connect(service, one, container, {})
    networks_verbs.connect(service, two, container, {"Aliases": ["x"]})
    assert list(service.still(container).network["Networks"]) == ["bridge", "one", "two"]
    stale = service.still(container)
    networks_verbs.disconnect(service, one, stale)
    networks_verbs.disconnect(service, two, stale)
    assert list(service.still(container).network["Networks"]) == ["bridge"]
