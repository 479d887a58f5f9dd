# SPDX-License-Identifier: Apache-2.0
"""One SQLite file (WAL) shared by every process that uses a store.

Promises: a transaction is either wholly there or not at all, whatever is killed; readers never wait for writers;
writers wait for each other up to a minute. Files are made durable before the row that names them is committed, and
removed after the row is gone: a row implies a durable file, a file without a row is garbage.

Importing this module is cheap: SQLite is loaded with the first connection.
"""

from __future__ import annotations

import os
import time
from _thread import _local, allocate_lock
from contextlib import contextmanager

from scow.errors import CorruptError, UnavailableError, UnsupportedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from scow.errors import ScowError

BUSY_SECONDS = 60.0
_PAUSE_SECONDS = 0.002
_BUSY = 5
_ROOMS = "CREATE TABLE IF NOT EXISTS rooms (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"


def _use_log(connection: sqlite3.Connection) -> None:
    """Let a database write ahead to a log (WAL), which is a property of its file: asking is cheap.

    Setting it takes an exclusive lock, for which SQLite does not wait when another process sets it too.
    """
    from scow.base import sqlite

    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != _BUSY or time.monotonic() >= end:
                raise
        time.sleep(_PAUSE_SECONDS)


class _Connection(_local):
    """What one thread of one process holds open."""

    pid = 0
    connection: sqlite3.Connection | None = None
    depth = 0

    def __init__(self) -> None:
        super().__init__()
        self.after: list[Callable[[], None]] = []


class Database:
    """The store's tables; safe to share between threads and to carry over ``fork``.

    Every thread has a connection of its own; a child process opens new ones. Statements run in autocommit unless
    inside ``write``.

    Args:
        path: The database file; its directory is made on first use.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = _Connection()
        self._versions: dict[str, int] | None = None
        self._turn = allocate_lock()
        self._turn_pid = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        local = self._local
        pid = os.getpid()
        if local.connection is not None and local.pid == pid:
            return local.connection
        from scow.base import sqlite

        try:
            os.makedirs(os.path.dirname(self.path), mode=0o711, exist_ok=True)
            connection = sqlite.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            _use_log(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "PRAGMA temp_store=MEMORY"
            )  # what nested blocks may have to undo, else written to a file
        except (sqlite.Error, OSError) as error:
            raise database_error(error, self.path) from error
        if self._turn_pid != pid:  # over fork the lock may have been held by a thread that is not here
            self._turn, self._turn_pid = allocate_lock(), pid
        # A connection inherited over fork must not even be closed: closing would drop the parent's file locks.
        local.connection, local.pid, local.depth = connection, pid, 0
        local.after.clear()
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend this thread's connection for reading; each statement sees one consistent state.

        Raises:
            CorruptError: The file is damaged.
            UnavailableError: The disk is full, the file is locked for too long or cannot be opened.
        """
        from scow.base import sqlite

        connection = self._connect()
        try:
            yield connection
        except sqlite.Error as error:
            raise database_error(error, self.path) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run one write transaction: committed when the block ends, rolled back when it raises.

        Within one thread blocks nest; an inner block that raises undoes only itself, and nothing is durable before
        the outermost block has ended.

        Raises:
            CorruptError: The file is damaged.
            UnavailableError: The disk is full or another process held the database for too long.
        """
        from scow.base import sqlite

        connection = self._connect()
        local = self._local
        depth = local.depth
        waiting = len(local.after)
        # threads of one process queue here: SQLite would let them sleep and try again, far longer than they need
        turn = None if depth else self._turn
        if turn is not None:
            turn.acquire()
        try:
            connection.execute(f"SAVEPOINT level{depth}" if depth else "BEGIN IMMEDIATE")
            local.depth = depth + 1
            try:
                yield connection
                connection.execute(f"RELEASE level{depth}" if depth else "COMMIT")
            except BaseException:
                del local.after[waiting:]
                if connection.in_transaction:  # a full disk may have rolled back already
                    connection.execute(f"ROLLBACK TO level{depth}" if depth else "ROLLBACK")
                    if depth:
                        connection.execute(f"RELEASE level{depth}")
                raise
            finally:
                local.depth = depth
        except sqlite.Error as error:
            raise database_error(error, self.path) from error
        finally:
            if turn is not None:
                turn.release()
        if not depth and local.after:
            calls, local.after[:] = local.after[:], []
            for call in calls:
                call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call something once this thread's transaction is durable, or now when there is none.

        This is how files go after the rows that name them, whoever began the transaction. A rollback forgets it.

        Args:
            call: What to call, outside of the transaction.
        """
        if self._local.depth:
            self._local.after.append(call)
        else:
            call()

    def ensure(self, room: str, version: int, sql: str) -> None:
        """Make a room's tables when the database has none.

        Args:
            room: The room's name.
            version: The schema version that ``sql`` makes, from 1.
            sql: Statements, each ended by a semicolon; run once, in one transaction.

        Raises:
            UnsupportedError: The tables have another version than this scow knows.
        """
        if self._versions is None:
            self._versions = self._load_versions()
        found = self._versions.get(room)
        if found is None:
            found = self._create(room, version, sql)
            self._versions[room] = found
        if found != version:
            raise UnsupportedError(
                f"the store's tables of {room!r} have version {found}, this scow knows version {version}",
                hint=f"use the scow that wrote {self.path!r}, or another SCOW_ROOT",
            )

    def _load_versions(self) -> dict[str, int]:
        with self.read() as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rooms'").fetchone()
            return dict(connection.execute("SELECT name, version FROM rooms").fetchall()) if known else {}

    def _create(self, room: str, version: int, sql: str) -> int:
        from scow.base import sqlite

        with self.write() as connection:
            connection.execute(_ROOMS)
            row = connection.execute("SELECT version FROM rooms WHERE name = ?", (room,)).fetchone()
            if row is not None:
                return int(row[0])
            statement = ""
            for part in sql.split(";"):
                statement += part + ";"
                if sqlite.complete_statement(statement):
                    if statement.strip(" \n;"):
                        connection.execute(statement)
                    statement = ""
            connection.execute("INSERT INTO rooms VALUES (?, ?)", (room, version))
        return version

    def check(self) -> list[str]:
        """Let SQLite check the file.

        Returns:
            What is wrong, one sentence each; empty when all is well.
        """
        with self.read() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        local = self._local
        if local.connection is not None and local.pid == os.getpid():
            local.connection.close()
        local.connection = None


def database_error(error: Exception, path: str) -> ScowError:
    """Say in one sentence what went wrong with the database.

    Args:
        error: What ``sqlite3`` or the system raised.
        path: The database file.

    Returns:
        The error to raise instead.
    """
    text = str(error)
    if "full" in text or getattr(error, "errno", 0) == 28:
        return UnavailableError(f"no space left on the disk of {path!r}", hint="free some space and try again")
    if "locked" in text or "busy" in text:
        return UnavailableError(f"another process holds {path!r} for too long", hint="try again")
    if "malformed" in text or "not a database" in text:
        return CorruptError(f"the store's database {path!r} is damaged: {text}")
    if isinstance(error, PermissionError) or "unable to open" in text or "readonly" in text:
        return UnavailableError(
            f"cannot open the store's database {path!r}: {text}", hint="run as the store's owner or set SCOW_ROOT"
        )
    hint = ""
    if "disk I/O error" in text:
        hint = (
            "A quota of this user (quota) or a limit on the size of files (ulimit -f) may be reached; else see dmesg."
        )
    return UnavailableError(f"the store's database {path!r} failed: {text}", hint=hint)
