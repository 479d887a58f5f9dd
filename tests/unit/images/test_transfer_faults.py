# SPDX-License-Identifier: Apache-2.0
"""Every fault at every request, and a cut at every position: a transfer succeeds or fails cleanly, never in between."""

from __future__ import annotations

import pytest

from fakes.imaging import Made, digest_of, engine, transfers
from fakes.proxy import CuttingProxy
from fakes.registry import Fault
from scow.errors import ScowError
from scow.oci.reference import Reference

PASSING = [429, 500, 503, "cut", "junk"]
LASTING = [401, 403, 404, "loop"]
"""A redirect to the same place is a loop when it never ends, and harmless when it comes once."""


def strike(fault, request):
    if fault == "cut":
        raise Fault
    if fault == "loop":
        return 307, {"Location": request.path}, b""
    if fault == "junk":
        return 502, {"Content-Type": "text/html"}, b"<html>\xff\x00"
    return fault, {}, b""


class Striker:
    """Lets the request with a number, or all from it on, meet a fault."""

    def __init__(self, number, fault, *, always):
        self.number, self.fault, self.always = number, fault, always
        self.count = -1

    def __call__(self, request):
        self.count += 1
        if self.count == self.number or (self.always and self.count > self.number):
            return strike(self.fault, request)
        return None


@pytest.fixture(scope="module")
def image():
    return Made([{"a": b"1" * 5000}, {"b": b"2"}])


def pulled(tmp_path, name, number=0):
    store = engine(tmp_path / f"s{number}")
    with transfers(store) as moving:
        return store, moving.pull(name).record


def requests_of_a_pull(registry, image, tmp_path):
    image.put(registry, "app", "v1")
    registry.clear()
    pulled(tmp_path, f"{registry.address}/app:v1", "count")
    count = len(registry.log)
    registry.clear()
    return count


@pytest.mark.parametrize("fault", PASSING + LASTING)
@pytest.mark.parametrize("always", [False, True])
def test_faults_of_a_pull(registry, image, tmp_path, fault, always):
    total = requests_of_a_pull(registry, image, tmp_path)
    assert total >= 5
    name = f"{registry.address}/app:v1"
    for number in range(total):
        registry.hook = Striker(number, fault, always=always)
        store = engine(tmp_path / f"s{number}")
        try:
            with transfers(store) as moving:
                record = moving.pull(name).record
            # the very first request only finds out whether the host speaks TLS: any HTTP answer will do
            assert not always, (number, fault)
            assert fault in PASSING or fault == "loop" or number == 0, (number, fault)
        except ScowError:
            assert always or fault in LASTING, (number, fault)
            assert not len(store.images)
        registry.hook = None
        store, record = pulled(tmp_path, name, number)
        assert record.id == digest_of(image.raw_config)
        assert store.snapshots.exists(record.chain)


@pytest.mark.parametrize("fault", PASSING + LASTING)
def test_faults_of_a_push(registry, image, tmp_path, fault):
    image.put(registry, "app", "v1")
    store, record = pulled(tmp_path, f"{registry.address}/app:v1")
    registry.mount = False
    registry.clear()
    with transfers(store) as moving:
        moving.push_record(record, Reference.parse(f"{registry.address}/to/count:v1"))
    total = len(registry.log)
    for number in range(total):
        registry.hook = Striker(number, fault, always=False)
        target = Reference.parse(f"{registry.address}/to/n{number}:v1")
        try:
            with transfers(store) as moving:
                moving.push_record(record, target)
            registry.hook = None
        except ScowError:
            registry.hook = None
            assert fault in LASTING, (number, fault)
            assert "v1" not in registry.tags.get(f"to/n{number}", {}), (number, fault)
            with transfers(store) as moving:
                moving.push_record(record, target)
        assert registry.tags[f"to/n{number}"]["v1"] == digest_of(image.raw), (number, fault)


@pytest.mark.parametrize("step", [61])
def test_a_cut_at_every_position_of_the_first_connection(registry, image, tmp_path, step):
    image.put(registry, "app", "v1")
    with CuttingProxy(registry.address) as proxy:
        pulled(tmp_path, f"{proxy.address}/app:v1", "count")
        total = proxy.downstream
    for position in range(0, total + step, step):
        with CuttingProxy(registry.address, [position, position + 40]) as proxy:
            store, record = pulled(tmp_path, f"{proxy.address}/app:v1", position)
            assert record.id == digest_of(image.raw_config), position
            assert store.snapshots.exists(record.chain)


def test_a_connection_that_always_breaks_fails_cleanly(registry, image, tmp_path):
    image.put(registry, "app", "v1")
    for position in (0, 1, 50, 200, 600):
        with CuttingProxy(registry.address, [position] * 200) as proxy:
            store = engine(tmp_path / f"s{position}")
            with pytest.raises(ScowError), transfers(store) as moving:
                moving.pull(f"{proxy.address}/app:v1")
            assert not len(store.images)


def test_uploads_cut_at_every_position(registry, image, tmp_path):
    image.put(registry, "app", "v1")
    store, record = pulled(tmp_path, f"{registry.address}/app:v1")
    registry.mount = False
    for position in range(0, 9000, 450):
        with (
            CuttingProxy(registry.address, upload_cuts=[position, position + 300]) as proxy,
            transfers(store) as moving,
        ):
            moving.push_record(record, Reference.parse(f"{proxy.address}/to/n{position}:v1"))
        assert registry.tags[f"to/n{position}"]["v1"] == digest_of(image.raw)
