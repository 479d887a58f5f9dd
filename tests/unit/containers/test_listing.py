# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import pytest

from scow.containers.listing import network_names, select
from scow.errors import InvalidArgumentError


@pytest.fixture
def service(store, make):
    """Three containers: one that runs, one that ended with 5, one that was only created."""
    rows = [
        make(
            "run",
            status="running",
            config={"Labels": {"t": "1"}, "ExposedPorts": {"80/tcp": {}}},
            network={"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}},
        ),
        make("end", status="exited", exit_code=5, config={"Labels": {"t": "2"}}, health={"Status": "unhealthy"}),
        make(
            "new",
            mounts=[{"Type": "volume", "Name": "v", "Destination": "/data", "Source": "/s"}],
            host={"NetworkMode": "none"},
        ),
    ]
    for row in rows:
        store.insert(row)
    return SimpleNamespace(store=store, all=store.all)


def names(service, *filters, **options):
    return sorted(container.name for container in select(service, filters, **options))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], ["end", "new", "run"]),
        ([("status", "exited"), ("status", "created")], ["end", "new"]),
        ([("exited", "5")], ["end"]),
        ([("exited", "0")], []),
        ([("name", "e")], ["end", "new"]),
        ([("name", "^/?r")], ["run"]),
        ([("name", "[")], []),
        ([("id", "01")], ["run"]),
        ([("label", "t")], ["end", "run"]),
        ([("label", "t"), ("label", "t=2")], ["end"]),
        ([("volume", "v")], ["new"]),
        ([("volume", "/data")], ["new"]),
        ([("before", "end")], ["run"]),
        ([("since", "end")], ["new"]),
        ([("health", "unhealthy")], ["end"]),
        ([("health", "none")], ["new", "run"]),
        ([("network", "none")], ["new"]),
        ([("expose", "80")], ["run"]),
        ([("expose", "70-90/tcp")], ["run"]),
        ([("expose", "80/udp")], []),
        ([("publish", "80")], []),
        ([("publish", "8080")], ["run"]),
        ([("is-task", "true")], []),
        ([("status", "running"), ("label", "t=2")], []),
    ],
)
def test_filters(service, filters, found):
    assert names(service, *filters, everything=True) == found


def test_without_all_only_those_that_run(service):
    assert names(service) == ["run"]
    assert names(service, ("exited", "5")) == []
    assert names(service, ("before", "end")) == ["run"]
    assert names(service, ("status", "exited")) == ["end"], "a state means all"


def test_the_last_ones(service):
    assert names(service, last=2) == ["end", "new"]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("zebra", "x"), "Invalid filter 'zebra'"),
        (("status", "zebra"), "Invalid filter 'status=zebra'"),
        (("is-task", "x"), "Invalid filter 'is-task=[x]'"),
        (
            ("publish", "99999"),
            'error while looking up for publish 99999: strconv.ParseUint: parsing "99999": value out of range',
        ),
        (("health", "zebra"), "Unrecognised filter value for health: zebra"),
        (("exited", "x"), 'strconv.Atoi: parsing "x": invalid syntax'),
        (("expose", "x"), 'error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax'),
    ],
)
def test_no_filters(service, pair, message):
    with pytest.raises(InvalidArgumentError) as caught:
        names(service, pair, everything=True)
    assert caught.value.message == message


def test_networks_a_container_is_on(make):
    assert network_names(make()) == ["bridge"]
    assert network_names(make(host={"NetworkMode": "host"})) == ["host"]
    assert network_names(make(network={"Networks": {"net1": {}}})) == ["net1"]
