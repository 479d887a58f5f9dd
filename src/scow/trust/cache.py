# SPDX-License-Identifier: Apache-2.0
"""Trust data seen before, where docker keeps it and as docker keeps it.

::

    $DOCKER_CONFIG/trust/tuf/<GUN>/metadata/{root,targets,snapshot,timestamp}.json
    $DOCKER_CONFIG/trust/tuf/<GUN>/metadata/targets/<role>.json
    $DOCKER_CONFIG/trust/scow.lock

What is written was verified as a whole, and never older than what is there. Each file is replaced at once, the root
first and the timestamp last, so that whatever a kill leaves behind is a state from which the next update goes on. The
directory is the root of all trust in repositories seen before: it belongs to its user alone.
"""

from __future__ import annotations

import os
import time

from scow.base.files import atomic_write, storage_error
from scow.base.locks import FileLock
from scow.trust.metadata import MAX_FILE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, is_delegation
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

_PRIVATE_DIR = 0o700
_PRIVATE_FILE = 0o600


def trust_dir(config_dir: str) -> str:
    """Where docker's client keeps keys and trust data.

    Args:
        config_dir: docker's client configuration.
    """
    return os.path.join(config_dir, "trust")


class TrustCache:
    """The kept files of one repository.

    Args:
        directory: Of all trust; see :func:`trust_dir`.
        gun: The repository in full; the grammar of references keeps it below the directory.
    """

    def __init__(self, directory: str, gun: str) -> None:
        self._directory = directory
        self._top = os.path.join(directory, "tuf", *gun.split("/"), "metadata")

    def _path(self, role: str) -> str:
        if role not in {ROOT, TARGETS, SNAPSHOT, TIMESTAMP} and not is_delegation(role):
            raise ValueError(f"{role!r} is not a role")
        return os.path.join(self._top, *role.split("/")) + ".json"

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from comparing and replacing files meanwhile.

        Raises:
            ScowError: The place is not writable.
        """
        try:
            make_private(self._directory)
        except OSError as error:
            raise storage_error(error, self._directory) from error
        return FileLock(os.path.join(self._directory, "scow.lock")).exclusive()

    def read_all(self) -> dict[str, bytes]:
        """Every kept file, by role."""
        found = {role: raw for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP) if (raw := self.read(role)) is not None}
        for folder, _, names in os.walk(os.path.join(self._top, TARGETS)):
            for name in names:
                role = os.path.relpath(os.path.join(folder, name), self._top).removesuffix(".json")
                raw = self.read(role) if name.endswith(".json") and is_delegation(role) else None
                if raw is not None:
                    found[role] = raw
        return found

    def read(self, role: str) -> bytes | None:
        """A kept file; ``None`` when there is none."""
        try:
            with open(self._path(role), "rb") as file:
                return file.read(MAX_FILE)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise storage_error(error, self._path(role)) from error

    def write(self, files: Mapping[str, bytes]) -> None:
        """Keep verified files, by role; those that are there already are only marked as seen now.

        Raises:
            ScowError: The disk is full or the place is not writable.
        """
        for role in sorted(files, key=_order):
            path = self._path(role)
            try:
                if self.read(role) == files[role]:
                    os.utime(path)
                    continue
                make_private(os.path.dirname(path))
            except OSError as error:
                raise storage_error(error, path) from error
            atomic_write(path, files[role], _PRIVATE_FILE)

    def age(self) -> float:
        """Seconds since the trust server last confirmed what is kept."""
        try:
            return max(0.0, time.time() - os.stat(self._path(TIMESTAMP)).st_mtime)
        except OSError:
            return float("inf")


def make_private(path: str) -> None:
    """Make a directory and those above it, for their user alone; those that exist are left as they are.

    Raises:
        OSError: The system does not let us.
    """
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, _PRIVATE_DIR)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise


def _order(role: str) -> tuple[int, str]:
    return {ROOT: 0, TARGETS: 1, SNAPSHOT: 3, TIMESTAMP: 4}.get(role, 2), role
