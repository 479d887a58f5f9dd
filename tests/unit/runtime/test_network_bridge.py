# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.runtime.network import bridge
from scow.runtime.network.addresses import Subnet


class Kernel:
    """A host's links and rules, as far as a bridge needs them."""

    def __init__(self, *, link, routes):
        self.index, self.known = link, routes
        self.done = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def has(self, _table):
        return True

    def drops_forwarded(self):
        return False

    def link(self, _name):
        return self.index

    def mtu(self, _link):
        return 1500

    def routes(self):
        return self.known

    def add_bridge(self, name, _mtu):
        self.done.append(f"make {name}")
        self.index = 7
        return 7

    def add_address(self, index, _address, prefix):
        self.done.append(f"address {index}/{prefix}")


@pytest.mark.parametrize(
    ("link", "routes", "done"),
    [
        (0, [], ["make br", "address 7/24"]),
        (7, [(0, 0, 2), (0x0A050000, 24, 7)], []),
        (7, [(0, 0, 2)], ["address 7/24"]),
    ],
)
def test_a_bridge_is_made_as_far_as_it_is_not_there(monkeypatch, link, routes, done):
    """The last one was left by who was killed before it had an address."""
    kernel = Kernel(link=link, routes=routes)
    monkeypatch.setattr(bridge, "Netlink", lambda: kernel)
    monkeypatch.setattr(bridge, "PacketFilter", lambda: kernel)
    monkeypatch.setattr(bridge, "_sysctl", lambda *_: None)
    assert bridge.bring_up(bridge.Bridge("br", "table", Subnet.parse("10.5.0.0/24"), 0x0A050001)) is None
    assert kernel.done == done
