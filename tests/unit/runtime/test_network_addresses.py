# SPDX-License-Identifier: Apache-2.0
"""Addresses as numbers, held against the standard library."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import InvalidArgumentError
from scow.runtime.network.addresses import POOLS, Subnet, mac_bytes, mac_of, to_number, to_text

_NUMBERS = st.integers(0, 2**32 - 1)


@given(_NUMBERS)
def test_addresses_agree_with_the_standard_library(number):
    assert to_text(number) == str(ipaddress.IPv4Address(number))
    assert to_number(to_text(number)) == number


@given(_NUMBERS, st.integers(0, 32), _NUMBERS, st.integers(0, 32))
def test_subnets_agree_with_the_standard_library(first, prefix, second, length):
    mine, other = Subnet.parse(f"{to_text(first)}/{prefix}"), Subnet.parse(f"{to_text(second)}/{length}")
    theirs = ipaddress.ip_network(f"{to_text(first)}/{prefix}", strict=False)
    assert str(mine) == str(theirs)
    assert mine.last == int(theirs.broadcast_address)
    assert mine.holds(second) == (ipaddress.IPv4Address(second) in theirs)
    assert mine.overlaps(other) == theirs.overlaps(ipaddress.ip_network(str(other)))


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "a.b.c.d", "1.2.3.-4", "1.2.3.0004", "::1"])
def test_what_is_no_address(text):
    with pytest.raises(InvalidArgumentError):
        to_number(text)


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "/8"])
def test_what_is_no_subnet(text):
    with pytest.raises(InvalidArgumentError):
        Subnet.parse(text)


def test_hardware_addresses():
    assert mac_of(to_number("172.17.0.2")) == "02:42:ac:11:00:02"
    assert mac_bytes("02:42:ac:11:00:02") == bytes([2, 0x42, 172, 17, 0, 2])
    with pytest.raises(InvalidArgumentError):
        mac_bytes("02:42")


def test_pools_do_not_overlap():
    pools = [Subnet.parse(text) for text in POOLS]
    assert not [1 for at, one in enumerate(pools) for two in pools[at + 1 :] if one.overlaps(two)]
