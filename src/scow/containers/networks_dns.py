# SPDX-License-Identifier: Apache-2.0
"""The name server of the containers on user-defined networks: who starts it, what it knows, when it ends.

One process for all containers of a store (``scow.cli.names``). It is started by the first container that needs it,
gets the sockets of every further one, and ends after the last; a lock file says whether one lives. When it was killed,
the next command that looks at containers starts another and gives it new sockets. Meanwhile the names are still in
each container's ``/etc/hosts``.
"""

from __future__ import annotations

import fcntl
import os
import sys

from scow.errors import ScowError, UnavailableError
from scow.linux import process
from scow.runtime import netfiles
from scow.runtime.network import dnswire, firewall, nameserver
from scow.runtime.network.addresses import to_number
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.containers.networks import Endpoint, Network
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.runtime.network.firewall import Loading
    from scow.runtime.network.nameserver import Sockets

_HAND_OVER_SECONDS = 30.0


def serve(service: Containers, container: str, namespace: int) -> Loading:
    """Give a container a name server.

    Args:
        service: The room.
        container: Its id.
        namespace: Descriptor of its network namespace.

    Returns:
        The rule that leads port 53 there, being loaded.

    Raises:
        UnavailableError: The kernel refused.
    """
    try:
        sockets = nameserver.open_sockets(namespace)
    except OSError as error:
        raise UnavailableError(f"cannot make the container's name server: {error.strerror}") from error
    try:
        _hand_over(service, container, sockets)
        return firewall.load_inside(namespace, firewall.name_rules(nameserver.ADDRESS, *sockets.ports))
    finally:
        os.close(sockets.udp)
        os.close(sockets.tcp)


def begin(service: Containers, container: Container, namespace: int) -> None:
    """Give a running container, which was only on networks without names so far, a name server.

    Args:
        service: The room.
        container: The container; its ``/etc/resolv.conf`` is rewritten in place.
        namespace: Descriptor of its network namespace.

    Raises:
        UnavailableError: The kernel refused.
    """
    path = os.path.join(service.directory(container.id), "resolv.conf")
    host = container.host
    text = netfiles.resolv_conf(
        netfiles.read_host("/etc/resolv.conf"),
        servers=(nameserver.ADDRESS,),
        search=host.get("DnsSearch") or (),
        options=host.get("DnsOptions") or (),
        names=True,
    )
    try:
        with open(path, "r+", encoding="utf-8", errors="surrogateescape") as file:
            if file.read() == text:
                return
            file.seek(0)
            file.truncate()
            file.write(text)
    except OSError:
        return  # the container mounts a file of its own there
    serve(service, container.id, namespace).wait()


def _hand_over(service: Containers, container: str, sockets: Sockets) -> None:
    """Give the sockets to the process that answers, or to a new one."""
    descriptors = (sockets.udp, sockets.tcp)
    if nameserver.Door(service.run_root).send("serve", container, descriptors):
        return
    words = [sys.executable, "-I", "-m", "scow.cli.names", container, service.wiring.server]
    environment = {"SCOW_ROOT": service.root, "SCOW_RUN_ROOT": service.run_root, "PATH": os.defpath}
    keep = dict(zip((3, 4), descriptors, strict=True))
    process.leave_behind(words, name="scow-names", env=environment, keep=keep)


def gone(service: Containers, container: str) -> None:
    """Tell the name server that a container has ended; none is fine."""
    door = nameserver.Door(service.run_root)
    if os.path.exists(door.path):
        door.send("gone", container)


def answer(service: Containers, container: str, relay: str, sockets: tuple[int, int]) -> None:
    """Be the process that answers, or give the sockets to the one that is; for a process of its own.

    Args:
        service: The room.
        container: The first container.
        relay: A server that stands for the host's, or ``""``.
        sockets: The container's, UDP and TCP, as descriptors.
    """
    door = nameserver.Door(service.run_root)
    lock = _lock(service.run_root)

    def close() -> None:
        os.unlink(door.path)

    found = process.wait_until(lambda: _take(lock) or door.send("serve", container, sockets), _HAND_OVER_SECONDS)
    if not found or not _take(lock):
        return
    server = nameserver.NameServer(Names(service, relay), door.open(), close)
    server.add(container, *sockets)
    server.run()


def _lock(run_root: str) -> int:
    os.makedirs(run_root, mode=0o711, exist_ok=True)
    return os.open(os.path.join(run_root, "names.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def heal(service: Containers) -> None:
    """Start another name server when containers need one and theirs was killed."""
    rows = service.networks.endpoints()
    resolving = {network.id for network in service.networks.all() if network.resolves} if rows else set()
    needed = {row.container for row in rows if row.network in resolving}
    if not needed:
        return
    lock = _lock(service.run_root)
    try:
        if not _take(lock):
            return
    finally:
        os.close(lock)
    service.wiring.call(lambda: _serve_again(service, sorted(needed)))


def _serve_again(service: Containers, identities: list[str]) -> None:
    for identity in identities:
        container = service.store.get(identity)
        if container is None or not process.is_alive(container.pid, container.pid_start):
            continue
        try:
            namespace = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            serve(service, identity, namespace).wait()
        except ScowError:
            continue
        finally:
            os.close(namespace)


class Names:
    """What the containers of the store's networks are called.

    Args:
        service: The room.
        relay: A server that stands for the host's, or ``""``.
    """

    def __init__(self, service: Containers, relay: str = "") -> None:
        self._service = service
        self._relay = relay

    def lookup(self, container: str, name: str, kind: int) -> list[bytes] | None:
        """Data of the records of a name, as a container sees it.

        Returns:
            Addresses in no particular order, or names; empty for a container that has no record of that type; ``None``
            for names that are not of this store.
        """
        rows, networks = self._around(container)
        if kind == dnswire.PTR:
            return _names_of_address(rows, networks, dnswire.reversed_address(name))
        linked = self._linked(container, name)
        found = [
            row.address
            for row in rows
            if row.container == linked or _is_called(row, networks[row.network].name.lower(), name)
        ]
        if not found:
            return None
        if kind != dnswire.A:
            return []
        # whoever takes the first one takes a different one each time
        return sorted((address.to_bytes(4, "big") for address in found), key=lambda _: os.urandom(2))

    def _linked(self, container: str, name: str) -> str:
        """Id of the container that ``--link`` lets another know by this name, or ``""``."""
        found = self._service.store.get(container)
        networks = (found.network.get("Networks") or {}).values() if found else ()
        for link in [link for settings in networks for link in settings.get("Links") or ()]:
            other, _, alias = link.partition(":")
            if (alias or other).lower() == name:
                try:
                    return self._service.store.find(other).id
                except ScowError:
                    return ""
        return ""

    def _around(self, container: str) -> tuple[list[Endpoint], dict[str, Network]]:
        """Who is on the networks of a container, and these networks."""
        store = self._service.networks
        rows = store.endpoints()
        own = {row.network for row in rows if row.container == container}
        networks = {network.id: network for network in store.all() if network.id in own and network.resolves}
        return [row for row in rows if row.network in networks], networks

    def upstream(self, container: str) -> list[str]:
        """The servers of ``--dns``, else those of the host; none when no network of the container leads out."""
        store = self._service.networks
        own = {row.network for row in store.endpoints(container=container)}
        if all(network.internal for network in store.all() if network.id in own):
            return []
        found = self._service.store.get(container)
        return list((found.host.get("Dns") if found else None) or ()) or (
            [self._relay] if self._relay else _host_servers()
        )

    def is_there(self, container: str) -> bool:
        """Whether a container is on a network and has a process, or is about to have one."""
        rows = self._service.networks.endpoints(container=container)
        found = self._service.store.get(container)
        if not rows or found is None:
            return False
        return process.is_alive(found.pid, found.pid_start) or any(process.mark_lives(row.holder) for row in rows)


def _is_called(row: Endpoint, network: str, name: str) -> bool:
    names = row.names.lower().split()
    return name in names or name.removesuffix(f".{network}") in names


def _names_of_address(rows: Iterable[Endpoint], networks: dict[str, Network], address: str) -> list[bytes] | None:
    try:
        number = to_number(address)
    except ScowError:
        return None
    for row in rows:
        if row.address == number and row.names:
            return [dnswire.encode_name(f"{row.names.split()[0]}.{networks[row.network].name}")]
    return None


def _host_servers() -> list[str]:
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file.read(1 << 16).splitlines()]
    except OSError:
        return []
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"][:3]
