# SPDX-License-Identifier: Apache-2.0
"""Device nodes of the host that a container gets: ``--device`` and ``--privileged``."""

from __future__ import annotations

import os
import stat

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_NOT_GIVEN = frozenset({"pts", "shm", "fd", "mqueue", ".lxc"})


def find_devices(
    wishes: Iterable[Mapping[str, Any]], *, everything: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Look devices up.

    Args:
        wishes: Docker's ``HostConfig.Devices``.
        everything: Whether all of the host's devices are given.

    Returns:
        Device nodes, and the rules that allow their use, in runtime-spec form.

    Raises:
        InvalidArgumentError: A path is no device.
    """
    nodes: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    if everything:
        nodes = _all_devices("/dev")
    for wish in wishes:
        source = wish["PathOnHost"]
        target = wish.get("PathInContainer") or source
        node = _device(source, target)
        if node is None:
            if not os.path.isdir(source):
                reason = "not a device node" if os.path.exists(source) else "no such file or directory"
                raise InvalidArgumentError(
                    f'error gathering device information while adding custom device "{source}": {reason}'
                )
            found = [*_all_devices(source, target)]
        else:
            found = [node]
        for entry in found:
            nodes.append(entry)
            access = wish.get("CgroupPermissions") or "rwm"
            rules.append(
                {
                    "allow": True,
                    "type": entry["type"],
                    "major": entry["major"],
                    "minor": entry["minor"],
                    "access": access,
                }
            )
    return nodes, rules


def _all_devices(top: str, target: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for parent, directories, files in os.walk(top):
        directories[:] = [d for d in directories if d not in _NOT_GIVEN]
        for name in files:
            path = os.path.join(parent, name)
            node = _device(path, (target or top) + path[len(top) :], names_only=True)
            if node is not None and name != "console":
                found.append(node)
    return found


def _device(source: str, target: str, *, names_only: bool = False) -> dict[str, Any] | None:
    """One device; with ``names_only`` a link to one is none."""
    try:
        status = os.lstat(source) if names_only else os.stat(source)
    except OSError:
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return {
        "path": target,
        "type": "c" if stat.S_ISCHR(status.st_mode) else "b",
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
