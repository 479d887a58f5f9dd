# SPDX-License-Identifier: Apache-2.0
"""Containers as rows: what each was asked to be, and what became of it.

::

    <root>/containers/<id>/         one directory for each row
    ├── rootfs/                     empty; the root is mounted here, in a mount namespace of the container's own
    ├── config.json                 the OCI bundle
    ├── hosts, hostname, resolv.conf
    ├── log, log.1 ...              the output, when the container has a log, the newest file first
    ├── exit                        the exit status, written by the monitor
    └── ctl, attach ...             the monitor's pipes and socket
    <run root>/runc/<id>/           the OCI runtime's state; a reboot forgets it

A row whose process is gone is put right by whoever looks first (``containers.reap``): states are facts about processes,
not memories. Source for words and exit statuses: docker's ``container inspect``.
"""

from __future__ import annotations

from scow import jsontext
from scow.errors import ConflictError, InvalidArgumentError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import Any

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE containers (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT NOT NULL, image_name TEXT NOT NULL, created REAL NOT NULL,
  config TEXT NOT NULL, host TEXT NOT NULL, network TEXT NOT NULL DEFAULT '{}', mounts TEXT NOT NULL DEFAULT '[]',
  status TEXT NOT NULL, pid INTEGER NOT NULL DEFAULT 0, pid_start INTEGER NOT NULL DEFAULT 0,
  boot TEXT NOT NULL DEFAULT '', monitor TEXT NOT NULL DEFAULT '', started REAL NOT NULL DEFAULT 0,
  finished REAL NOT NULL DEFAULT 0, exit_code INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
  oom INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0, stopped INTEGER NOT NULL DEFAULT 0,
  auto_remove INTEGER NOT NULL DEFAULT 0, stubs TEXT NOT NULL DEFAULT '[]', health TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, name, image, image_name, created, config, host, network, mounts, status, pid, pid_start, boot, monitor,"
    " started, finished, exit_code, error, oom, restarts, stopped, auto_remove, stubs, health"
)
_SELECT = f"SELECT {_COLUMNS} FROM containers "  # noqa: S608
_JSON = frozenset({"config", "host", "network", "mounts", "stubs", "health"})
_MAX_ID = 64
_ATTEMPTS = 1000
_HEX = frozenset("0123456789abcdef")
_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_REST = _NAME_START | frozenset("_.-")

CREATED, RUNNING, PAUSED, RESTARTING, EXITED, DEAD = "created", "running", "paused", "restarting", "exited", "dead"
STATUSES = (CREATED, RUNNING, PAUSED, RESTARTING, "removing", EXITED, DEAD)
ALIVE = frozenset({RUNNING, PAUSED})


class ContainerNotFoundError(NotFoundError):
    """No container has this name or id."""

    code = "container-not-found"


class NameTakenError(ConflictError):
    """Another container has the name."""

    code = "name-taken"


class NotRunningError(ConflictError):
    """The container does not run."""

    code = "not-running"


class Container(NamedTuple):
    """One container.

    Args:
        id: 64 hexadecimal digits.
        name: Without a leading slash.
        image: ID of its image.
        image_name: The image as the user wrote it.
        created: Seconds since the epoch.
        config: Docker's ``Config``, the image's settings merged in.
        host: Docker's ``HostConfig``.
        network: What it has on each network while it runs: docker's ``NetworkSettings.Networks``, and ports.
        mounts: Docker's ``Mounts``: Type, Name, Source, Destination, Mode, RW, Propagation.
        status: ``created``, ``running``, ``paused``, ``restarting``, ``exited``.
        pid: Its first process as the host counts, while it runs.
        pid_start: When that began, in clock ticks since boot.
        boot: The boot it runs in.
        monitor: Who watches it: ``direct`` (the command in the foreground) or ``conmon``.
        started: Seconds since the epoch, 0 for never.
        finished: Likewise.
        exit_code: 0 to 255.
        error: Why it could not be started.
        oom: Whether the kernel killed a process of it for want of memory.
        restarts: How often the restart policy has started it again.
        stopped: Whether the user stopped it, so that no policy restarts it.
        auto_remove: Whether it goes away when it ends.
        stubs: Paths that were made in its root only to be mounted on, with ``/`` at the end for directories.
        health: Docker's ``State.Health``, ``{}`` without a check.
    """

    id: str
    name: str
    image: str
    image_name: str
    created: float
    config: dict[str, Any]
    host: dict[str, Any]
    network: dict[str, Any]
    mounts: list[dict[str, Any]]
    status: str
    pid: int = 0
    pid_start: int = 0
    boot: str = ""
    monitor: str = ""
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    error: str = ""
    oom: int = 0
    restarts: int = 0
    stopped: int = 0
    auto_remove: int = 0
    stubs: list[str] = []  # noqa: RUF012 - never changed
    health: dict[str, Any] = {}  # noqa: RUF012 - never changed

    @property
    def owner(self) -> str:
        """How the graph of references calls it."""
        return f"container:{self.id}"

    @property
    def hostname(self) -> str:
        """The name of the machine as its processes see it."""
        import os

        return self.config.get("Hostname") or os.uname().nodename

    @property
    def is_alive(self) -> bool:
        """Whether it has processes, as far as the row says."""
        return self.status in ALIVE


class ContainerStore:
    """The rows.

    Args:
        db: The store's database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        db.ensure("containers", 1, SCHEMA)

    def insert(self, container: Container) -> None:
        """Enter a new container.

        Raises:
            NameTakenError: Another has the name.
        """
        values = [jsontext.dumps(v) if isinstance(v, dict | list) else v for v in container]
        with self.db.write() as connection:
            self._check_name(connection, container.name)
            connection.execute(f"INSERT INTO containers VALUES ({','.join('?' * len(values))})", values)  # noqa: S608

    def rename(self, identity: str, name: str) -> None:
        """Give a container another name.

        Raises:
            NameTakenError: Another has the name.
        """
        with self.db.write() as connection:
            self._check_name(connection, name)
            connection.execute("UPDATE containers SET name = ? WHERE id = ?", (name, identity))

    @staticmethod
    def _check_name(connection: sqlite3.Connection, name: str) -> None:
        row = connection.execute("SELECT id FROM containers WHERE name = ?", (name,)).fetchone()
        if row is not None:
            raise NameTakenError(
                f'Conflict. The container name "/{name}" is already in use by container "{row[0]}". You have to remove'
                " (or rename) that container to be able to reuse that name."
            )

    def update(self, identity: str, **values: Any) -> bool:
        """Change columns of a row.

        Args:
            identity: Whole id.
            values: Column -> new value; dictionaries and lists are stored as JSON.

        Returns:
            Whether the container is still there.
        """
        names = ", ".join(f"{name} = ?" for name in values)
        data = [jsontext.dumps(value) if name in _JSON else value for name, value in values.items()]
        with self.db.write() as connection:
            cursor = connection.execute(f"UPDATE containers SET {names} WHERE id = ?", (*data, identity))  # noqa: S608
            return cursor.rowcount > 0

    def delete(self, identity: str) -> bool:
        """Forget a container; returns whether it was there."""
        with self.db.write() as connection:
            return connection.execute("DELETE FROM containers WHERE id = ?", (identity,)).rowcount > 0

    def get(self, identity: str) -> Container | None:
        """Find a container by its whole id."""
        with self.db.read() as connection:
            row = connection.execute(_SELECT + "WHERE id = ?", (identity,)).fetchone()
        return None if row is None else _container(row)

    def find(self, text: str) -> Container:
        """Find the container a user means.

        Args:
            text: A whole id, a name (with or without ``/``), or the begin of an id.

        Raises:
            ContainerNotFoundError: Nothing matches.
            InvalidArgumentError: The begin of an id matches several.
        """
        if not text.strip():
            raise InvalidArgumentError("invalid container name or ID: value is empty")
        name = text.removeprefix("/")
        with self.db.read() as connection:
            row = (
                connection.execute(_SELECT + "WHERE id = ?", (text,)).fetchone()
                or connection.execute(_SELECT + "WHERE name = ?", (name,)).fetchone()
            )
            rows = [row] if row else []
            if not row and text and len(text) <= _MAX_ID and _HEX.issuperset(text):
                rows = connection.execute(_SELECT + "WHERE id >= ? AND id < ?", (text, text + "g")).fetchmany(2)
        if not rows:
            raise ContainerNotFoundError(f"No such container: {text}")
        if len(rows) > 1:
            raise InvalidArgumentError(f"Multiple IDs found with provided prefix: {text}")
        return _container(rows[0])

    def all(self) -> list[Container]:
        """All containers, the newest first."""
        with self.db.read() as connection:
            rows = connection.execute(_SELECT + "ORDER BY created DESC, id").fetchall()
        return [_container(row) for row in rows]

    def ids(self) -> set[str]:
        """The ids of all containers."""
        with self.db.read() as connection:
            return {row[0] for row in connection.execute("SELECT id FROM containers").fetchall()}

    def processes(self) -> list[tuple[str, int, int, str]]:
        """Id, process, its start and its boot, of every container that should be alive."""
        sql = "SELECT id, pid, pid_start, boot FROM containers WHERE status IN ('running', 'paused', 'restarting')"
        with self.db.read() as connection:
            return connection.execute(sql).fetchall()

    def unstarted(self) -> list[tuple[str, str]]:
        """Containers that a ``run --rm`` made and did not start yet: id, and who is at it."""
        sql = "SELECT id, monitor FROM containers WHERE status = 'created' AND auto_remove AND monitor <> ''"
        with self.db.read() as connection:
            return connection.execute(sql).fetchall()

    def free_name(self, propose: Callable[[int], str]) -> str:
        """Find a name that no container has.

        Args:
            propose: Makes up a name, given how many were taken.
        """
        with self.db.read() as connection:
            for attempt in range(_ATTEMPTS):
                name = propose(attempt)
                if connection.execute("SELECT 1 FROM containers WHERE name = ?", (name,)).fetchone() is None:
                    return name
        raise NameTakenError("no friendly name is free", hint="Choose one with --name.")


def check_name(name: str) -> str:
    """Accept a container's name, with or without its leading slash.

    Raises:
        InvalidArgumentError: A character is not allowed there.
    """
    plain = name.removeprefix("/")
    if len(plain) < 2 or plain[0] not in _NAME_START or not _NAME_REST.issuperset(plain):
        raise InvalidArgumentError(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return plain


def _container(row: tuple[Any, ...]) -> Container:
    found = Container._make(row)
    return found._replace(
        config=jsontext.loads(found.config),  # type: ignore[arg-type]
        host=jsontext.loads(found.host),  # type: ignore[arg-type]
        network=jsontext.loads(found.network),  # type: ignore[arg-type]
        mounts=jsontext.loads(found.mounts),  # type: ignore[arg-type]
        stubs=jsontext.loads(found.stubs),  # type: ignore[arg-type]
        health=jsontext.loads(found.health) if found.health else {},  # type: ignore[arg-type]
    )
