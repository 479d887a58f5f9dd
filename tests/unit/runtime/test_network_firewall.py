# SPDX-License-Identifier: Apache-2.0
"""Rules as text, and netlink messages as bytes."""

from __future__ import annotations

import os
import subprocess

import pytest

from scow.runtime.network.firewall import Published, network_rules, port_rules
from scow.runtime.network.netlink import attribute, attributes, number, text


def _chain(rules: str, name: str) -> list[str]:
    body = rules.partition(f"chain {name} {{")[2].partition("}\n  chain")[0]
    return [line.strip() for line in body.splitlines()]


def test_an_internal_network_neither_hides_nor_lets_out():
    rules = network_rules("t", "br", "10.0.0.0/24", internal=True)
    assert 'oifname != "br" ip saddr 10.0.0.0/24 masquerade' not in rules
    assert 'iifname "br" oifname != "br" drop' in _chain(rules, "passing")


def test_the_last_word_on_the_way_in_is_no():
    passing = [line for line in _chain(network_rules("t", "br", "10.0.0.0/24"), "passing") if "oifname" in line]
    assert passing[-1] == 'oifname "br" drop'
    assert 'oifname "br" iifname "br" accept' in passing
    assert 'oifname "br" iifname "br" drop' in network_rules("t", "br", "10.0.0.0/24", talk=False)


def test_the_host_s_loopback_is_guarded():
    assert 'iifname "br" ip daddr 127.0.0.0/8 drop' in _chain(network_rules("t", "br", "10.0.0.0/24"), "guarding")


def test_ports_are_grouped_by_address_and_protocol():
    rules = port_rules(
        "t",
        [
            Published("tcp", "0.0.0.0", 8080, "10.0.0.2", 80),
            Published("tcp", "0.0.0.0", 8443, "10.0.0.2", 443),
            Published("udp", "127.0.0.1", 53, "10.0.0.2", 5353),
        ],
    )
    incoming = _chain(rules, "incoming")
    line = "fib daddr type local dnat ip to tcp dport map { 8080 : 10.0.0.2 . 80, 8443 : 10.0.0.2 . 443 }"
    assert line in incoming
    assert "ip daddr 127.0.0.1 dnat ip to udp dport map { 53 : 10.0.0.2 . 5353 }" in incoming


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/usr/sbin/nft"), reason="needs nftables")
def test_nft_takes_the_rules():
    ports = [Published(kind, "0.0.0.0", at, "10.0.0.2", at) for kind in ("tcp", "udp", "sctp") for at in range(1, 200)]
    rules = network_rules("scow-unit-a", "br", "10.0.0.0/24") + port_rules("scow-unit-b", ports)
    done = subprocess.run(["/usr/sbin/nft", "-c", "-f", "-"], input=rules, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_attributes_come_back():
    data = text(3, "eth0") + number(4, 1500) + attribute(7, b"")
    assert list(attributes(data)) == [(3, b"eth0\0"), (4, b"\xdc\x05\0\0"), (7, b"")]
    assert len(data) % 4 == 0
    assert list(attributes(data + b"\x01\0\0\0")) == list(attributes(data))
