# SPDX-License-Identifier: Apache-2.0
"""A place on the default network for the length of one build step.

A step has no record; its place is kept by the process that builds, and any later command takes away what a killed one
left (``networks_attach.reap``).
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from scow.containers import networks_attach
from scow.linux import process
from scow.runtime.network import bridge
from scow.runtime.network.addresses import mac_bytes, to_text
from scow.runtime.step import StepPlace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.containers.networks import Endpoint, Network
    from scow.containers.service import Containers
    from scow.containers.wiring import Loading


@contextmanager
def step_place(service: Containers, identity: str) -> Iterator[StepPlace]:
    """Put one step on the default network.

    Args:
        service: The room.
        identity: The step's own id.

    Yields:
        Where it is; the namespace is there until the block ends.

    Raises:
        UnavailableError: All addresses are taken, or the kernel refused.
        UnsupportedError: nft is not installed.
    """
    wiring = service.wiring
    network, endpoint, namespace, loading = wiring.call(lambda: _place(service, identity), make=True)
    try:
        for each in [*loading, *wiring.pending()]:
            each.wait()
        yield StepPlace(
            f"/proc/{os.getpid()}/fd/{namespace}",
            to_text(endpoint.address),
            wiring.hosts_address or network.gateway,
            wiring.server,
        )
    finally:
        os.close(namespace)
        if wiring.goes_with(identity):
            service.networks.release(identity)
        else:
            wiring.call(lambda: networks_attach.detach_row(service, endpoint, None))
        wiring.left()


def _place(service: Containers, identity: str) -> tuple[Network, Endpoint, int, list[Loading]]:
    """A namespace that is on the default network, and rules being loaded."""
    network = service.networks.find("bridge")
    with bridge.locked():
        network = networks_attach.settled(service, network)
        endpoint = service.networks.reserve(network, identity, holder=process.self_mark())
        namespace = -1
        try:
            here = networks_attach.bridge_of(service, network)
            rules = bridge.bring_up(here)
            namespace = bridge.make_namespace()
            port = bridge.Port(endpoint.link, mac_bytes(endpoint.mac), endpoint.address, "eth0", gateway=True)
            bridge.plug_in(here, port, namespace)
        except BaseException:
            if namespace >= 0:
                os.close(namespace)
            service.networks.release(identity)
            raise
    return network, endpoint, namespace, [rules] if rules is not None else []
