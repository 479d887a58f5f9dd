# SPDX-License-Identifier: Apache-2.0
"""Networks as rows: what exists, who is on it with which address, and which ports of the host are given away.

``bridge``, ``host`` and ``none`` exist in every store. A row of ``endpoints`` means that a container is on a network
now, or is being put there by the process that ``holder`` names; rows come before what they stand for in the kernel and
go after it, so that whoever finds a row without a living container knows what to take away.
"""

from __future__ import annotations

import os
import time

from scow import jsontext
from scow.errors import ConflictError, DeniedError, InvalidArgumentError, NotFoundError, UnavailableError
from scow.runtime.network.addresses import POOLS, Subnet, mac_of, to_number, to_text
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from typing import Any

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE networks (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL, driver TEXT NOT NULL,
  subnet TEXT NOT NULL DEFAULT '', gateway TEXT NOT NULL DEFAULT '', ip_range TEXT NOT NULL DEFAULT '',
  fixed INTEGER NOT NULL DEFAULT 0, internal INTEGER NOT NULL DEFAULT 0, extra TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE endpoints (
  network TEXT NOT NULL, container TEXT NOT NULL, id TEXT NOT NULL, address INTEGER NOT NULL, mac TEXT NOT NULL,
  names TEXT NOT NULL DEFAULT '', holder TEXT NOT NULL DEFAULT '', PRIMARY KEY (network, container),
  UNIQUE (network, address)
) WITHOUT ROWID;
CREATE TABLE ports (
  protocol TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, container TEXT NOT NULL,
  PRIMARY KEY (protocol, port, host)
) WITHOUT ROWID;
INSERT INTO networks (id, name, created, driver) VALUES
  (lower(hex(randomblob(32))), 'bridge', CAST(strftime('%s', 'now') AS REAL), 'bridge'),
  (lower(hex(randomblob(32))), 'host', CAST(strftime('%s', 'now') AS REAL), 'host'),
  (lower(hex(randomblob(32))), 'none', CAST(strftime('%s', 'now') AS REAL), 'null');
"""
BUILT_IN = frozenset({"bridge", "host", "none"})
_OPTION = "com.docker.network."
_COLUMNS = "id, name, created, driver, subnet, gateway, ip_range, fixed, internal, extra"
_SELECT = f"SELECT {_COLUMNS} FROM networks "  # noqa: S608
_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_REST = _NAME_START | frozenset("_.-")
_HEX = frozenset("0123456789abcdef")


class NetworkNotFoundError(NotFoundError):
    """No network has this name or id."""

    code = "network-not-found"


class NetworkInUseError(DeniedError):
    """Containers are on the network."""

    code = "network-in-use"


class Network(NamedTuple):
    """One network.

    Args:
        id: 64 hexadecimal digits.
        name: Its name.
        created: Seconds since the epoch.
        driver: ``bridge``, ``host`` or ``null``.
        subnet: Its addresses, ``""`` while none were needed.
        gateway: The host's address on it.
        ip_range: The part of it that addresses are taken from, or ``""``.
        fixed: Whether the user chose the subnet.
        internal: Whether nothing leaves it.
        extra: What docker's document has besides: Labels, Options, IPAM, Attachable.
    """

    id: str
    name: str
    created: float
    driver: str
    subnet: str
    gateway: str
    ip_range: str
    fixed: int
    internal: int
    extra: dict[str, Any]

    @property
    def link(self) -> str:
        """Name of its bridge on this host."""
        chosen = self.option("bridge.name")
        return chosen or f"scow-{self.id[:10]}"

    @property
    def table(self) -> str:
        """Name of its table in the packet filter."""
        return f"scow-net-{self.id[:12]}"

    @property
    def resolves(self) -> bool:
        """Whether its containers know each other by name."""
        return self.name not in BUILT_IN

    def option(self, name: str) -> str:
        """One of the driver's options, without docker's prefix; ``""`` when it is not set."""
        value: str = (self.extra.get("Options") or {}).get(_OPTION + name, "")
        return value


class Endpoint(NamedTuple):
    """A container on a network.

    Args:
        network: Id of the network.
        container: Id of the container.
        id: 64 hexadecimal digits.
        address: A number.
        mac: Hardware address.
        names: What others on the network call it, separated by blanks.
        holder: Who is putting it there.
    """

    network: str
    container: str
    id: str
    address: int
    mac: str
    names: str = ""
    holder: str = ""

    @property
    def link(self) -> str:
        """Name of its link on this host."""
        return f"veth{self.id[:10]}"


class Networks:
    """The rows.

    Args:
        db: The store's database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        db.ensure("networks", 1, SCHEMA)

    # ------------------------------------------------------------------ networks

    def find(self, text: str) -> Network:
        """Find the network a user means: by name, by id, or by the begin of an id.

        Raises:
            NetworkNotFoundError: There is none.
            InvalidArgumentError: The begin of an id matches several, or there is nothing to look for.
        """
        if not text.strip():
            raise InvalidArgumentError("invalid network name or ID: value is empty")
        with self.db.read() as connection:
            row = (
                connection.execute(_SELECT + "WHERE name = ?", (text,)).fetchone()
                or connection.execute(_SELECT + "WHERE id = ?", (text,)).fetchone()
            )
            rows = [row] if row else []
            if not row and text and _HEX.issuperset(text):
                rows = connection.execute(_SELECT + "WHERE id >= ? AND id < ?", (text, text + "g")).fetchmany(2)
        if not rows:
            raise NetworkNotFoundError(f"network {text} not found")
        if len(rows) > 1:
            raise InvalidArgumentError(f"network {text} is ambiguous ({len(rows)} matches found based on ID prefix)")
        return _network(rows[0])

    def get(self, identity: str) -> Network | None:
        """Find a network by its whole id."""
        with self.db.read() as connection:
            row = connection.execute(_SELECT + "WHERE id = ?", (identity,)).fetchone()
        return _network(row) if row else None

    def all(self) -> list[Network]:
        """All networks, sorted by name."""
        with self.db.read() as connection:
            return [_network(row) for row in connection.execute(_SELECT + "ORDER BY name").fetchall()]

    def create(self, network: Network) -> Network:
        """Enter a network; ``id`` and ``created`` are given to it here.

        Raises:
            ConflictError: Another has the name, or its addresses.
            InvalidArgumentError: A character of the name is not allowed.
        """
        name = network.name
        if not name or name[0] not in _NAME_START or not _NAME_REST.issuperset(name):
            raise InvalidArgumentError(
                f'invalid network name "{name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'
                if name.strip()
                else "invalid name: name is empty"
            )
        made = network._replace(id=os.urandom(32).hex(), created=time.time())
        with self.db.write() as connection:
            if connection.execute("SELECT 1 FROM networks WHERE name = ?", (name,)).fetchone():
                raise ConflictError(f"network with name {name} already exists")
            if made.subnet:
                wanted = Subnet.parse(made.subnet)
                if any(wanted.overlaps(other) for other in self._subnets(connection)):
                    raise DeniedError(
                        "invalid pool request: Pool overlaps with other one on this address space", hint=""
                    )
            values = (*made[:-1], jsontext.dumps(made.extra))
            connection.execute(f"INSERT INTO networks ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", values)  # noqa: S608
        return made

    @staticmethod
    def _subnets(connection: sqlite3.Connection, but: str = "") -> list[Subnet]:
        rows = connection.execute("SELECT subnet FROM networks WHERE subnet <> '' AND id <> ?", (but,)).fetchall()
        return [Subnet.parse(row[0]) for row in rows]

    def settle_subnet(self, network: Network, taken: Callable[[], Iterable[Subnet]]) -> Network:
        """Give a network a subnet that nobody else on this host uses, unless it has one that still serves.

        Args:
            network: The network.
            taken: Tells which subnets the host has ways to, without those of this network's own bridge.

        Raises:
            UnavailableError: All of the pool is taken, or what the user chose is.
        """
        used = list(taken())
        if network.subnet:
            own = Subnet.parse(network.subnet)
            if not any(own.overlaps(other) for other in used):
                return network
            if network.fixed:
                raise UnavailableError(
                    f"network {network.name}: another link of this host has addresses of {network.subnet}",
                    hint="remove it, or create the network with another --subnet",
                )
        with self.db.write() as connection:
            if (
                network.subnet
                and connection.execute("SELECT 1 FROM endpoints WHERE network = ?", (network.id,)).fetchone()
            ):
                return network
            used += self._subnets(connection, network.id)
            for text in POOLS:
                pool = Subnet.parse(text)
                if not any(pool.overlaps(other) for other in used):
                    gateway = to_text(pool.first + 1)
                    connection.execute(
                        "UPDATE networks SET subnet = ?, gateway = ? WHERE id = ?", (text, gateway, network.id)
                    )
                    return network._replace(subnet=text, gateway=gateway)
        raise UnavailableError(
            "all predefined address pools have been fully subnetted", hint="choose one with --subnet"
        )

    def remove(self, network: Network) -> None:
        """Forget a network.

        Raises:
            DeniedError: Every store has it, or containers are on it.
        """
        if network.name in BUILT_IN:
            raise DeniedError(f"{network.name} is a pre-defined network and cannot be removed")
        with self.db.write() as connection:
            if connection.execute("SELECT 1 FROM endpoints WHERE network = ?", (network.id,)).fetchone():
                raise NetworkInUseError(
                    f"error while removing network: network {network.name} id {network.id} has active endpoints"
                )
            connection.execute("DELETE FROM networks WHERE id = ?", (network.id,))

    # ------------------------------------------------------------------ endpoints

    def endpoints(self, network: str = "", container: str = "") -> list[Endpoint]:
        """Who is where.

        Args:
            network: Id of a network, or ``""`` for all.
            container: Id of a container, or ``""`` for all.
        """
        sql = "SELECT network, container, id, address, mac, names, holder FROM endpoints"
        wanted = [(column, value) for column, value in (("network", network), ("container", container)) if value]
        if wanted:
            sql += " WHERE " + " AND ".join(f"{column} = ?" for column, _ in wanted)
        with self.db.read() as connection:
            rows = connection.execute(sql + " ORDER BY address", [value for _, value in wanted]).fetchall()
        return [Endpoint._make(row) for row in rows]

    def reserve(
        self, network: Network, container: str, *, address: str = "", mac: str = "", names: str = "", holder: str = ""
    ) -> Endpoint:
        """Give a container an address on a network; one it has already is kept.

        Raises:
            NetworkNotFoundError: The network is gone.
            UnavailableError: No address is left.
            InvalidArgumentError: The address wished for is outside.
            ConflictError: Another container has it.
        """
        with self.db.write() as connection:
            if self.get(network.id) is None:  # removed since it was looked for
                raise NetworkNotFoundError(f"network {network.name} not found")
            rows = connection.execute(
                "SELECT address, container FROM endpoints WHERE network = ? ORDER BY address", (network.id,)
            ).fetchall()
            used = {row[0] for row in rows if row[1] != container}
            number = _choose(network, used, address)
            made = Endpoint(network.id, container, os.urandom(32).hex(), number, mac or mac_of(number), names, holder)
            connection.execute("INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?, ?)", made)
        return made

    def release(self, container: str, network: str = "") -> list[str]:
        """Forget that a container is on its networks, or on one, and its ports.

        Returns:
            Ids of the networks that nobody is on now.
        """
        empty = []
        with self.db.write() as connection:
            for endpoint in self.endpoints(network, container):
                connection.execute(
                    "DELETE FROM endpoints WHERE network = ? AND container = ?", (endpoint.network, container)
                )
                if not connection.execute("SELECT 1 FROM endpoints WHERE network = ?", (endpoint.network,)).fetchone():
                    empty.append(endpoint.network)
            if not network:
                connection.execute("DELETE FROM ports WHERE container = ?", (container,))
        return empty

    # ------------------------------------------------------------------ ports

    def take_port(
        self, container: str, protocol: str, host: str, ports: Iterable[int], is_free: Callable[[str, str, int], bool]
    ) -> int:
        """Give a container the first port of the host that nobody has.

        Args:
            container: Its id.
            protocol: ``tcp``, ``udp`` or ``sctp``.
            host: Address on the host, ``0.0.0.0`` for every one.
            ports: Those that will do, in order.
            is_free: Asked whether a program listens there.

        Raises:
            UnavailableError: All are taken.
        """
        fault = ""
        with self.db.write() as connection:
            for port in ports:
                rows = connection.execute(
                    "SELECT host FROM ports WHERE protocol = ? AND port = ?", (protocol, port)
                ).fetchall()
                if any(host in {"0.0.0.0", row[0]} or row[0] == "0.0.0.0" for row in rows):
                    fault = fault or f"Bind for {host}:{port} failed: port is already allocated"
                elif not is_free(protocol, host, port):
                    fault = fault or f"failed to bind host port for {host}:{port}/{protocol}: address already in use"
                else:
                    connection.execute("INSERT INTO ports VALUES (?, ?, ?, ?)", (protocol, host, port, container))
                    return port
        raise UnavailableError(fault or "all ports are allocated")


def _choose(network: Network, used: set[int], wish: str) -> int:
    """An address of a network that nobody has."""
    subnet = Subnet.parse(network.subnet)
    kept = {subnet.first, subnet.last, to_number(network.gateway)}
    auxiliary = (network.extra.get("AuxAddress") or {}).values()
    kept |= {to_number(text) for text in auxiliary}
    if wish:
        number = to_number(wish)
        if not subnet.holds(number):
            raise InvalidArgumentError(
                f"invalid config for network {network.name}: invalid endpoint settings:\nno configured subnet contains"
                f" IP address {wish}"
            )
        if number in used or number in kept:
            raise ConflictError("Address already in use")
        return number
    bounds = Subnet.parse(network.ip_range) if network.ip_range else subnet
    for number in range(bounds.first, bounds.last + 1):
        if number not in used and number not in kept:
            return number
    raise UnavailableError("no available IPv4 addresses on this network's address pools: " + network.name)


def _network(row: tuple[Any, ...]) -> Network:
    return Network._make((*row[:-1], jsontext.loads(row[-1])))
