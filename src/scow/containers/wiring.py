# SPDX-License-Identifier: Apache-2.0
"""Where bridges are made and how published ports get to containers: two ways, chosen by who owns the network.

Root has both on the host: bridges, and rules of the packet filter. A user's namespace cannot change the host's network:
her bridges are in a namespace of her own (``runtime.network.usermode``), which only a thread can visit, and a program
passes connections on from ports of the host (``runtime.network.forwarder``).
"""

from __future__ import annotations

from scow.linux.namespaces import owns
from scow.runtime.network import bridge, firewall
from scow.runtime.network.ports import is_free
from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from scow.containers.service import Containers
    from scow.runtime.network.addresses import Subnet
    from scow.runtime.network.firewall import Published

    T = TypeVar("T")


class Loading(Protocol):
    """Something at work that must be done before a container's command starts."""

    def wait(self) -> None:
        """Wait for it.

        Raises:
            UnavailableError: It failed.
        """


class Wiring(Protocol):
    """The network that containers are put on."""

    @property
    def server(self) -> str:
        """A name server inside that asks the host's, or ``""``."""

    @property
    def mtu(self) -> int:
        """Bytes of a packet on a network that does not say; 0 for those of the host's way out."""

    @property
    def hosts_address(self) -> str:
        """How containers reach the host, where that is not by their gateway; else ``""``."""

    def call(self, work: Callable[[], T], *, make: bool = False) -> T:
        """Call something where the bridges are.

        Args:
            work: What to call.
            make: Whether the place is made when it is not there; else ``work`` finds nothing.
        """

    def taken_beside(self, link: str) -> list[Subnet]:
        """Subnets that are in use where the bridges are, but for those of one link; within ``call``."""

    def taken_outside(self) -> list[Subnet]:
        """Subnets of the host that its own bridges, where they are elsewhere, must not hide; within ``call``."""

    def pending(self) -> list[Loading]:
        """What must be done before a container that was put on the network can use it."""

    def is_free(self, protocol: str, host: str, port: int) -> bool:
        """Whether a port of the host can be published; within ``call`` or not."""

    def publish(self, container: str, ports: Sequence[Published]) -> Loading:
        """Begin to pass a container's ports on, those that were asked about; within ``call``."""

    def unpublish(self, container: str) -> None:
        """Stop passing a container's ports on; none is fine."""

    def goes_with(self, container: str) -> bool:
        """Whether all of it goes when this container leaves, so that bridges need not be taken down one by one."""

    def keep(self) -> dict[int, int]:
        """Descriptors that must stay open as long as the container that was attached runs: number there -> here."""

    def left(self) -> None:
        """Somebody left: the place goes when it was the last one."""


def wiring(service: Containers) -> Wiring:
    """Choose the way for this process."""
    if owns("net"):
        return HostWiring()
    from scow.containers.wiring_user import UserWiring

    return UserWiring(service)


def ports_table(container: str) -> str:
    """Name of the table with the rules of a container's ports."""
    return f"scow-run-{container[:12]}"


class HostWiring:
    """Bridges on the host."""

    server = ""
    hosts_address = ""
    mtu = 0

    def call(self, work: Callable[[], T], *, make: bool = False) -> T:
        """Call it here."""
        del make
        return work()

    def taken_beside(self, link: str) -> list[Subnet]:
        """The host's own."""
        return bridge.taken_subnets(link)

    def taken_outside(self) -> list[Subnet]:
        """The bridges are where the host's links are."""
        return []

    def pending(self) -> list[Loading]:
        """Nothing but rules, which their makers wait for."""
        return []

    def is_free(self, protocol: str, host: str, port: int) -> bool:
        """Whether nobody listens there."""
        return is_free(protocol, host, port)

    def publish(self, container: str, ports: Sequence[Published]) -> Loading:
        """Load rules that translate addresses."""
        return firewall.Loading(firewall.port_rules(ports_table(container), ports))

    def unpublish(self, container: str) -> None:
        """Remove those rules."""
        bridge.drop_table(ports_table(container))

    def goes_with(self, container: str) -> bool:
        """The host stays."""
        del container
        return False

    def keep(self) -> dict[int, int]:
        """The kernel keeps rules by itself."""
        return {}

    def left(self) -> None:
        """Bridges go one by one."""
