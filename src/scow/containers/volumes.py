# SPDX-License-Identifier: Apache-2.0
"""Volumes: directories of the store with names, which outlive containers.

::

    <root>/volumes/<name>/_data     what containers see
    <root>/volumes/<name>.gone-…    what is being removed

A volume that a container uses is known by the container's ``Mounts``; a volume is dangling when no container has it.
"""

from __future__ import annotations

import os
import time

from scow import jsontext
from scow.base.clock import rfc3339
from scow.base.files import make_dir, remove_tree
from scow.containers.events import Events
from scow.errors import ConflictError, InvalidArgumentError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE volumes (
  name TEXT PRIMARY KEY, created REAL NOT NULL, labels TEXT NOT NULL, options TEXT NOT NULL, anonymous INTEGER NOT NULL,
  filled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
# Option of the local driver -> those it makes no sense without.
_NEEDS = {"type": ("device",), "device": ("type",), "o": ("device", "type")}
_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_REST = _NAME_START | frozenset("_.-")


class VolumeNotFoundError(NotFoundError):
    """No volume has this name."""

    code = "volume-not-found"


class VolumeInUseError(ConflictError):
    """A container has the volume."""

    code = "volume-in-use"


class Volume(NamedTuple):
    """One volume.

    Args:
        name: Its name.
        created: Seconds since the epoch.
        labels: From ``--label``.
        options: From ``--opt``.
        anonymous: Whether it was made for one container without being named.
        filled: Whether a container has used it (it is filled from an image only before).
        path: Directory with its content.
    """

    name: str
    created: float
    labels: dict[str, str]
    options: dict[str, str]
    anonymous: bool
    filled: bool
    path: str


class Volumes:
    """The volumes of a store.

    Args:
        root: The store's directory.
        db: The store's database.
    """

    def __init__(self, root: str, db: Database) -> None:
        self._top = os.path.join(root, "volumes")
        self.db = db
        db.ensure("volumes", 1, SCHEMA)
        self._events = Events(db)

    def create(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """Make a volume; one that exists is returned as it is.

        Args:
            name: Its name, or ``""`` for a random one.
            labels: To find it by.
            options: Of the local driver; kept, and refused where scow cannot follow them.
            anonymous: Whether nobody named it.

        Raises:
            InvalidArgumentError: The name has characters that are not allowed.
        """
        if not name:
            name, anonymous = os.urandom(32).hex(), True
        if len(name) < 2:
            raise InvalidArgumentError(
                f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )
        if name[0] not in _NAME_START or not _NAME_REST.issuperset(name):
            raise InvalidArgumentError(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only'
                ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        if options and set(options) - {"type", "o", "device"}:
            bad = min(set(options) - {"type", "o", "device"})
            raise InvalidArgumentError(f'create {name}: invalid option: "{bad}"')
        for given in options or ():
            for needed in _NEEDS[given]:
                if needed not in (options or {}):
                    raise InvalidArgumentError(f'create {name}: missing required option: "{needed}"')
        row = (
            name,
            time.time(),
            jsontext.dumps(dict(labels or {})),
            jsontext.dumps(dict(options or {})),
            int(anonymous),
            0,
        )
        with self.db.write() as connection:  # the directory too: a removal that is not through yet spares it then
            make_dir(os.path.join(self._top, name, "_data"), 0o755)
            if connection.execute("INSERT OR IGNORE INTO volumes VALUES (?, ?, ?, ?, ?, ?)", row).rowcount:
                self._events.add("volume", "create", name, {"driver": "local"})
        return self.get(name)

    def get(self, name: str) -> Volume:
        """Find a volume.

        Raises:
            VolumeNotFoundError: There is none.
            InvalidArgumentError: There is nothing to look for.
        """
        if not name.strip():
            raise InvalidArgumentError("invalid volume name or ID: value is empty")
        with self.db.read() as connection:
            row = connection.execute("SELECT * FROM volumes WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise VolumeNotFoundError(f"get {name}: no such volume")
        return self._volume(row)

    def all(self) -> list[Volume]:
        """All volumes, sorted by name."""
        with self.db.read() as connection:
            rows = connection.execute("SELECT * FROM volumes ORDER BY name").fetchall()
        return [self._volume(row) for row in rows]

    def mark_filled(self, name: str) -> None:
        """Note that a container has used the volume."""
        with self.db.write() as connection:
            connection.execute("UPDATE volumes SET filled = 1 WHERE name = ?", (name,))

    def users(self) -> dict[str, list[str]]:
        """Which containers have which volume: name -> ids."""
        found: dict[str, list[str]] = {}
        with self.db.read() as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'containers'").fetchone()
            rows = connection.execute("SELECT id, mounts FROM containers").fetchall() if known else []
        for identity, mounts in rows:
            for mount in jsontext.loads(mounts):
                if mount.get("Type") == "volume":
                    found.setdefault(mount["Name"], []).append(identity)
        return found

    def remove(self, name: str) -> None:
        """Remove a volume with its content.

        Raises:
            VolumeNotFoundError: There is none.
            VolumeInUseError: A container has it.
        """
        with self.db.write() as connection:
            self.get(name)
            users = self.users().get(name)
            if users:
                raise VolumeInUseError(f"remove {name}: volume is in use - [{', '.join(users)}]")
            connection.execute("DELETE FROM volumes WHERE name = ?", (name,))
            self._events.add("volume", "destroy", name, {"driver": "local"})
            self.db.after_commit(lambda: self._clear(name))

    def _clear(self, name: str) -> None:
        """Remove the directory of a volume, unless it has got a row again meanwhile."""
        path = os.path.join(self._top, name)
        gone = f"{path}.gone-{os.urandom(4).hex()}"
        with self.db.write() as connection:
            if connection.execute("SELECT 1 FROM volumes WHERE name = ?", (name,)).fetchone():
                return
            try:
                os.rename(path, gone)
            except FileNotFoundError:
                return
        remove_tree(gone)

    def sweep(self, seconds: float) -> None:
        """Remove directories without a row: of containers whose making was interrupted.

        Args:
            seconds: Younger ones are left alone: theirs may come in a moment.
        """
        try:
            names = os.listdir(self._top)
        except FileNotFoundError:
            return
        known = {volume.name for volume in self.all()} if names else set()
        for name in names:
            try:
                young = time.time() - os.stat(os.path.join(self._top, name)).st_mtime <= seconds
            except FileNotFoundError:
                continue  # another process was faster
            if name not in known and not young:
                self._clear(name)

    def _volume(self, row: tuple[str, float, str, str, int, int]) -> Volume:
        name, created, labels, options, anonymous, filled = row
        path = os.path.join(self._top, name, "_data")
        return Volume(
            name, created, jsontext.loads(labels), jsontext.loads(options), bool(anonymous), bool(filled), path
        )


_FILTERS = frozenset({"dangling", "driver", "label", "label!", "name", "all"})


def select(volumes: Volumes, filters: Iterable[tuple[str, str]]) -> list[Volume]:
    """Choose volumes by docker's filters.

    Args:
        volumes: The volumes.
        filters: ``dangling``, ``driver``, ``label``, ``label!`` and ``name``.

    Raises:
        InvalidArgumentError: A filter is unknown or its value malformed.
    """
    from scow.containers.patterns import matches

    users = volumes.users()
    found = volumes.all()
    names: list[str] = []
    for key, value in filters:
        if key not in _FILTERS:
            raise InvalidArgumentError(f"Invalid filter '{key}'")
        if key == "dangling":
            if value.lower() not in {"true", "false", "1", "0"}:
                raise InvalidArgumentError(f"Invalid filter 'dangling=[{value}]'")
            wanted = value.lower() in {"true", "1"}
            found = [volume for volume in found if (volume.name not in users) == wanted]
        elif key == "driver":
            found = found if value == "local" else []
        elif key == "name":
            names.append(value)
        elif key == "label":
            found = [volume for volume in found if _has_label(volume, value)]
        elif key == "label!":
            found = [volume for volume in found if not _has_label(volume, value)]
    if names:
        found = [volume for volume in found if any(matches(name, volume.name) for name in names)]
    return found


def _has_label(volume: Volume, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in volume.labels and (not equals or volume.labels[name] == value)


def inspect(volume: Volume) -> dict[str, Any]:
    """One volume as docker's document."""
    document: dict[str, Any] = {
        "CreatedAt": rfc3339(float(int(volume.created))),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": volume.path,
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }
    if volume.anonymous:
        document["Labels"] = {"com.docker.volume.anonymous": "", **volume.labels}
    return document
