# SPDX-License-Identifier: Apache-2.0
"""Ports of the host."""

from __future__ import annotations

import socket

import pytest

from scow.runtime.network.ports import is_free, listen, own_address, range_of_host


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_is_taken_by_one(protocol):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            other.listen()
        port = other.getsockname()[1]
        assert listen(protocol, "127.0.0.1", port) is None
        assert not is_free(protocol, "127.0.0.1", port)
    found = listen(protocol, "127.0.0.1", port)
    assert found is not None
    assert not is_free(protocol, "127.0.0.1", port)
    found.close()
    assert is_free(protocol, "127.0.0.1", port)


def test_a_taken_port_listens():
    found = listen("tcp", "127.0.0.1", 0)
    assert found is not None
    socket.create_connection(found.getsockname()).close()
    found.close()


def test_the_hosts_own_address_is_one_of_its_own():
    address = own_address()
    if address:
        with socket.socket() as probe:
            probe.bind((address, 0))


def test_the_range_is_one():
    low, high = range_of_host()
    assert 0 < low < high < 65536
