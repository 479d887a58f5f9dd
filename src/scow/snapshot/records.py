# SPDX-License-Identifier: Apache-2.0
"""The snapshots of a store as rows, and the directories that belong to them.

::

    <root>/snapshots/<id>/          one directory for each row; ids are never used twice
    ├── fs/                         form "upper" or "tree": files in overlayfs form; also the upper of active snapshots
    ├── work/                       overlayfs' scratch space of an active snapshot
    ├── table, index                form "index": contents of the tar, EROFS metadata over tars among the blobs
    └── mnt/                        form "index": an empty place, for kernels that take layers by path only

A row is only there when its directory is complete (for a staged layer: when it may be incomplete, and says so). A
directory without a row is garbage. Rows go before directories.
"""

from __future__ import annotations

import os
import time

from scow.base.files import remove_tree, storage_error
from scow.errors import ConflictError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from typing import Any

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases

SCHEMA = """
CREATE TABLE snapshots (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT,
  form TEXT NOT NULL, stack TEXT NOT NULL DEFAULT '', root TEXT NOT NULL DEFAULT '', diff_id TEXT NOT NULL DEFAULT '',
  devices TEXT NOT NULL DEFAULT '', checksum TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0,
  entries INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT '', created REAL NOT NULL
);
CREATE INDEX snapshots_by_parent ON snapshots (parent);
CREATE INDEX snapshots_by_diff ON snapshots (diff_id);
"""
_COLUMNS = "id, name, kind, parent, form, stack, root, diff_id, devices, checksum, size, entries, boot, created"
_SELECT = f"SELECT {_COLUMNS} FROM snapshots "  # noqa: S608
_QUALIFIED = ", ".join(f"snapshots.{column}" for column in _COLUMNS.split(", "))
_CHANGEABLE = frozenset(
    {"name", "kind", "parent", "form", "stack", "root", "diff_id", "devices", "checksum", "size", "entries", "boot"}
)


class SnapshotNotFoundError(NotFoundError):
    """No snapshot has this name or key."""

    code = "snapshot-not-found"


class Record(NamedTuple):
    """One snapshot.

    Attributes:
        id: Number of its directory.
        name: Its name or key.
        kind: ``committed``, ``active``, ``view`` or ``staged``.
        parent: Name of the snapshot below, or ``None``.
        form: ``upper``, ``tree`` or ``index``.
        stack: What to mount, the top first, as ``d<id>`` (a directory) and ``i<id>`` (an index); ``""`` for a committed
            one whose index has not been written yet.
        root: Metadata of the root directory, "mode uid gid mtime_ns"; ``""`` when nothing ever set them.
        diff_id: The layer it was made from, or ``""``.
        devices: Of an index: the layers it points into, in the order of its device table, separated by blanks.
        checksum: Of an index: its SHA-256.
        size: Bytes of its own, 0 when not counted.
        entries: Entries of its layer, 0 when not counted.
        boot: Of a volatile one, and of an unpacked layer not yet written to the disk: the boot it was made in.
        created: Seconds since the epoch.
    """

    id: int
    name: str
    kind: str
    parent: str | None
    form: str
    stack: str
    root: str
    diff_id: str
    devices: str
    checksum: str
    size: int
    entries: int
    boot: str
    created: float

    @property
    def own(self) -> str:
        """How a stack names it."""
        return f"{'i' if self.form == 'index' else 'd'}{self.id}"


class Records:
    """Rows and directories.

    Args:
        root: The store's directory.
        db: The store's database.
        leases: Its references.

    Attributes:
        filling: The layers that threads of this process are reading in now.
    """

    def __init__(self, root: str, db: Database, leases: Leases) -> None:
        self.filling: set[str] = set()
        self.top = os.path.join(root, "snapshots")
        self.db = db
        self.leases = leases
        db.ensure("snapshots", 1, SCHEMA)

    def directory(self, identity: int | str) -> str:
        """The directory of a row."""
        return f"{self.top}/{identity}"

    # ------------------------------------------------------------------ reading

    def find(self, name: str) -> Record | None:
        """Look a name or key up."""
        with self.db.read() as connection:
            row = connection.execute(_SELECT + "WHERE name = ?", (name,)).fetchone()
        return None if row is None else Record._make(row)

    def get(self, name: str, *kinds: str) -> Record:
        """Look a name or key up.

        Args:
            name: The name or key.
            kinds: Only these kinds count; none given means all.

        Raises:
            SnapshotNotFoundError: There is none.
        """
        found = self.find(name)
        if found is None or (kinds and found.kind not in kinds):
            raise SnapshotNotFoundError(f"there is no {' or '.join(kinds) + ' ' if kinds else ''}snapshot {name!r}")
        return found

    def devices(self, stack: str) -> dict[str, list[str]]:
        """The layers that the indexes of a stack point into, by the index's number."""
        numbers = [int(part[1:]) for part in stack.split() if part[0] == "i"]
        if not numbers:
            return {}
        marks = ",".join("?" * len(numbers))
        with self.db.read() as connection:
            rows = connection.execute(f"SELECT id, devices FROM snapshots WHERE id IN ({marks})", numbers).fetchall()  # noqa: S608
        return {str(number): devices.split() for number, devices in rows}

    def by_diff(self, diff_id: str, form: str) -> list[Record]:
        """Committed snapshots that were made from a layer."""
        sql = _SELECT + "WHERE diff_id = ? AND form = ? AND kind = 'committed' ORDER BY id"
        with self.db.read() as connection:
            return [Record._make(row) for row in connection.execute(sql, (diff_id, form)).fetchall()]

    def lineage(self, name: str | None) -> list[Record]:
        """A snapshot and what it stands on, the top first."""
        sql = f"""WITH RECURSIVE line(height, name) AS (
          SELECT 0, ? UNION ALL
          SELECT height + 1, parent FROM line JOIN snapshots USING (name) WHERE parent IS NOT NULL
        ) SELECT {_QUALIFIED} FROM line JOIN snapshots USING (name) ORDER BY height"""  # noqa: S608
        with self.db.read() as connection:
            return [Record._make(row) for row in connection.execute(sql, (name,)).fetchall()]

    def __iter__(self) -> Iterator[Record]:
        with self.db.read() as connection:
            rows = connection.execute(_SELECT + "ORDER BY id").fetchall()
        return (Record._make(row) for row in rows)

    # ------------------------------------------------------------------ writing

    def add(self, name: str, kind: str, form: str, *, parent: str | None = None, boot: str = "") -> Record:
        """Make a row and its empty directory, within a transaction of the caller.

        Args:
            name: A new name or key.
            kind: Its kind.
            form: Its form.
            parent: A committed snapshot; the new one owns it from now on.
            boot: Of a volatile one: this boot.

        Raises:
            SnapshotNotFoundError: There is no such parent.
            ConflictError: The name is taken.
            UnavailableError: The disk is full or not writable.
        """
        with self.db.write() as connection:
            below = self.get(parent, "committed") if parent else None
            if self.find(name) is not None:
                raise ConflictError(f"there is a snapshot {name!r} already")
            created = time.time()
            root, stack = (below.root, below.stack) if below else ("", "")
            cursor = connection.execute(
                "INSERT INTO snapshots (name, kind, parent, form, stack, root, boot, created) VALUES (?,?,?,?,?,?,?,?)",
                (name, kind, parent, form, stack, root, boot, created),
            )
            identity = int(cursor.lastrowid or 0)
            if parent:
                self.leases.link(f"snapshot:{name}", "snapshot", parent)
            self._make_directory(self.directory(identity))
        return Record(identity, name, kind, parent, form, stack, root, "", "", "", 0, 0, boot, created)

    def _make_directory(self, path: str) -> None:
        # The number may have been given to a transaction that was rolled back: what it left is garbage, and the
        # write transaction around us keeps others away.
        try:
            try:
                os.mkdir(path, 0o711)
            except FileNotFoundError:
                os.makedirs(self.top, 0o711, exist_ok=True)
                os.mkdir(path, 0o711)
            except FileExistsError:
                remove_tree(path)
                os.mkdir(path, 0o711)
        except OSError as error:
            raise storage_error(error, path) from error

    def update(self, connection: sqlite3.Connection, identity: int, **values: Any) -> None:
        """Change columns of a row, within a transaction of the caller."""
        if not _CHANGEABLE.issuperset(values):
            raise KeyError(*values)
        sets = ", ".join(f"{column} = ?" for column in values)
        connection.execute(f"UPDATE snapshots SET {sets} WHERE id = ?", (*values.values(), identity))  # noqa: S608

    def synced(self, identity: int) -> None:
        """Note that all files are on the disk of committed snapshots up to a number."""
        with self.db.write() as connection:
            connection.execute("UPDATE snapshots SET boot = '' WHERE kind = 'committed' AND id <= ?", (identity,))

    def hand_over(self, old: str, new: str) -> None:
        """Let everybody who owns one snapshot own another instead, within a transaction of the caller."""
        for owner in self.leases.owners("snapshot", old):
            self.leases.link(owner, "snapshot", new)
            self.leases.unlink(owner, "snapshot", old)

    def keep(self, name: str, lease: Lease | None) -> None:
        """Give a snapshot to a lease, when there is one."""
        if lease is not None:
            lease.add("snapshot", name)

    def forget(self, name: str, *, force: bool) -> str | None:
        """Remove a row and its links, within a transaction of the caller when it has one.

        Args:
            name: A name or key.
            force: Do not ask for owners.

        Returns:
            The directory, to be given to :meth:`sweep` once the transaction is over; ``None`` when there was no row.

        Raises:
            ConflictError: Another snapshot stands on it, or, without ``force``, something alive owns it.
        """
        with self.db.write() as connection:
            record = self.find(name)
            if record is None:
                return None
            child = connection.execute("SELECT name FROM snapshots WHERE parent = ? LIMIT 1", (name,)).fetchone()
            if child is not None:
                raise ConflictError(f"snapshot {name!r} is in use: {child[0]!r} stands on it")
            if not force:
                self._refuse_owned(name)
            connection.execute("DELETE FROM snapshots WHERE id = ?", (record.id,))
            self.leases.unlink(f"snapshot:{name}")
            if record.kind != "committed":  # an image goes on wanting its chain, which can be unpacked again
                for owner in self.leases.owners("snapshot", name):
                    self.leases.unlink(owner, "snapshot", name)
        return self.directory(record.id)

    def _refuse_owned(self, name: str) -> None:
        if self.leases.owners("snapshot", name):
            self.leases.reap()
            owners = self.leases.owners("snapshot", name)
            if owners:
                raise ConflictError(f"snapshot {name!r} is in use by {owners[0]!r}")

    def sweep_later(self, *directories: str | None) -> None:
        """Remove directories once the transaction that forgot their rows is over, or now when there is none."""
        if any(directories):
            self.db.after_commit(lambda: self.sweep(directories))

    def sweep(self, directories: Iterable[str | None]) -> None:
        """Remove directories whose rows are gone.

        Raises:
            UnavailableError: The disk refuses.
        """
        for path in directories:
            if path is not None:
                try:
                    remove_tree(path)
                except OSError as error:
                    raise storage_error(error, path) from error
