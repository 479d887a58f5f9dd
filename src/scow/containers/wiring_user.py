# SPDX-License-Identifier: Apache-2.0
"""Networks of a user who cannot change the host's: see :mod:`scow.containers.wiring`."""

from __future__ import annotations

import fcntl
import os
import signal
from _thread import _local

from scow.errors import DeniedError, UnavailableError, UnsupportedError
from scow.linux import process
from scow.linux.namespaces import run_in, run_new
from scow.runtime.network import bridge, usermode
from scow.runtime.network.ports import listen, own_address
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from scow.containers.service import Containers
    from scow.containers.wiring import Loading
    from scow.linux.namespaces import Home
    from scow.runtime.network.addresses import Subnet
    from scow.runtime.network.firewall import Published

    T = TypeVar("T")

_LIFELINE, _HOLD = 33, 32
_FIRST_SOCKET = 40
_SECONDS = 30.0


class _Started:
    """A forwarder: its sockets listen already, so nothing is to be waited for."""

    def wait(self) -> None:
        """Not at all."""


class _Visit(_local):
    """What belongs to one thread's dealings with the network."""

    home: Home | None = None
    uplink: usermode.Uplink | None = None
    lifeline = -1

    def __init__(self) -> None:
        super().__init__()
        self.sockets: dict[tuple[str, str, int], _socket.socket] = {}


class UserWiring:
    """Bridges in a namespace of the user's own.

    Args:
        service: The room.
    """

    def __init__(self, service: Containers) -> None:
        self._service = service
        self.mtu = usermode.MTU
        self._visit = _Visit()
        self._hold = -1

    @property
    def server(self) -> str:
        """The carrier's."""
        return self._visit.uplink.server if self._visit.uplink else ""

    @property
    def hosts_address(self) -> str:
        """The address the host has on its way out."""
        return own_address()

    def call(self, work: Callable[[], T], *, make: bool = False) -> T:
        """Call it in a thread that goes there."""
        caller = self._visit.__dict__

        def there(home: Home) -> T:
            # A thread of its own goes on with what its caller has begun.
            self._visit.__dict__.update(caller, home=home)
            try:
                return work()
            finally:
                caller.update(self._visit.__dict__, home=None)

        if make:
            uplink = self._visit.uplink = usermode.open_uplink(self._service.run_root, self._hold)
            self._hold = uplink.hold
            try:
                return run_in(uplink.namespace, "net", there)
            finally:
                uplink.arrived()
        namespace = usermode.find_namespace(self._service.run_root)
        if namespace < 0:
            # Nothing is left of it, and that is what is found in an empty one.
            namespace = run_new("net", lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        try:
            return run_in(namespace, "net", there)
        finally:
            os.close(namespace)

    def taken_beside(self, link: str) -> list[Subnet]:
        """Other bridges', and the carrier's, whose link may still be without its final address."""
        return [*bridge.taken_subnets(link, usermode.LINK), *usermode.carrier_subnets()]

    def taken_outside(self) -> list[Subnet]:
        """Those the host has ways to."""
        return self._at_home(bridge.taken_subnets)

    def _at_home(self, request: Callable[[], T]) -> T:
        home = self._visit.home
        return request() if home is None else home(request)

    def pending(self) -> list[Loading]:
        """Packets must be carried out."""
        return [self._visit.uplink] if self._visit.uplink else []

    def is_free(self, protocol: str, host: str, port: int) -> bool:
        """Take the port for good; it is given back when this process ends, or when the container does."""
        if protocol not in {"tcp", "udp"}:
            raise UnsupportedError(
                f"{protocol} ports cannot be published without root", hint="Run scow as root, or use --network host."
            )
        return self._at_home(lambda: self._take(protocol, host, port))

    def _take(self, protocol: str, host: str, port: int) -> bool:
        try:
            found = listen(protocol, host, port)
        except PermissionError:
            raise DeniedError(
                f"port {port} cannot be published by an ordinary user",
                hint=f"Choose one above 1023, or as root: sysctl net.ipv4.ip_unprivileged_port_start={port}",
            ) from None
        if found is not None:
            self._visit.sockets[protocol, host, port] = found
        return found is not None

    def publish(self, container: str, ports: Sequence[Published]) -> Loading:
        """Start a forwarder; it is born where the bridges are."""
        from scow.runtime.network.forwarder import command_line

        reader, writer = os.pipe2(os.O_CLOEXEC)
        sockets = self._visit.sockets
        try:
            keep = {}
            listed = []
            for number, port in enumerate(ports, _FIRST_SOCKET):
                keep[number] = sockets[port.protocol, port.host, port.port].fileno()
                listed.append((number, port.protocol, port.inside))
            pid = process.spawn(command_line(ports[0].address, listed), stdin=reader, keep=keep, session=True)
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
            for socket in sockets.values():
                socket.close()
            sockets.clear()
        self._visit.lifeline = writer
        with open(self._note(container), "w", encoding="ascii") as file:
            file.write(f"{pid} {process.start_time(pid)}")
        return _Started()

    def _note(self, container: str) -> str:
        return os.path.join(self._service.run_root, "network", f"ports-{container[:12]}")

    def unpublish(self, container: str) -> None:
        """End the forwarder, so that its ports are free."""
        try:
            with open(self._note(container), encoding="ascii") as file:
                pid, _, started = file.read(64).partition(" ")
            os.unlink(self._note(container))
        except OSError:
            return
        if pid.isdigit() and started.isdigit() and process.is_alive(int(pid), int(started)):
            os.kill(int(pid), signal.SIGKILL)
            if not process.wait_gone(int(pid), int(started), _SECONDS):
                raise UnavailableError(f"the program that passes ports on to {container[:12]} does not end")

    def goes_with(self, container: str) -> bool:
        """The namespace goes with the last one that is on a network."""
        return all(place.container == container for place in self._service.networks.endpoints())

    def keep(self) -> dict[int, int]:
        """The carrier ends when nobody has the one, the forwarder when nobody has the other."""
        visit, found = self._visit, {}
        if visit.uplink is not None:
            found[_HOLD] = fcntl.fcntl(visit.uplink.hold, fcntl.F_DUPFD_CLOEXEC, _FIRST_SOCKET)
        if visit.lifeline >= 0:
            found[_LIFELINE], visit.lifeline = visit.lifeline, -1
        return found

    def left(self) -> None:
        """End the carrier with the last one."""
        usermode.end_unused(self._service.run_root, lambda: not self._service.networks.endpoints())
