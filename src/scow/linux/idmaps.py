# SPDX-License-Identifier: Apache-2.0
"""User and group ids between namespaces: the ranges, the ones this process lives with, and giving them to another.

Source: user_namespaces(7), "User and group ID mappings".
"""

from __future__ import annotations

import os

from scow.errors import DeniedError, InvalidArgumentError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_ID = (1 << 32) - 1


class IdMap(NamedTuple):
    """A range of ids of a user namespace.

    Attributes:
        inside: First id in the namespace.
        outside: First id it stands for in the namespace around it.
        size: How many.
    """

    inside: int
    outside: int
    size: int


def read_map(path: str) -> tuple[IdMap, ...]:
    """Read a map of the kernel's.

    Args:
        path: Such as ``/proc/self/uid_map``.

    Returns:
        Its ranges; empty when it is not written yet or cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(IdMap(*map(int, line.split())) for line in file)
    except (OSError, ValueError, TypeError):
        return ()


def map_text(maps: Sequence[IdMap]) -> str:
    """What the kernel reads as a map: a line for each range."""
    return "".join(f"{part.inside} {part.outside} {part.size}\n" for part in maps)


def in_user_namespace() -> bool:
    """Whether this process lives in a user namespace other than the host's first one.

    There, overlay mounts keep their marks in ``user.`` attributes, devices cannot be made, and what belongs to the
    host (its control groups, its network) cannot be changed.
    """
    return read_map("/proc/self/uid_map") != (IdMap(0, 0, EVERY_ID),)


def mapped_groups() -> int:
    """How many group ids there are in the user namespace of this process; 0 outside of any."""
    ranges = read_map("/proc/self/gid_map")
    return 0 if ranges == (IdMap(0, 0, EVERY_ID),) else sum(part.size for part in ranges)


def write_id_maps(pid: int, uids: Sequence[IdMap], gids: Sequence[IdMap]) -> None:
    """Give a process in a new user namespace its ids.

    A caller without CAP_SETUID may map only itself, and must first give up setgroups(2) for the namespace, which is
    done here when the only range of groups is the caller's own.

    Args:
        pid: The process.
        uids: Ranges of users.
        gids: Ranges of groups.

    Raises:
        DeniedError: The maps are not allowed to this caller.
        InvalidArgumentError: A map is malformed, overlaps or was written before.
    """
    own = len(gids) == 1 and gids[0].size == 1 and os.geteuid() != 0
    try:
        if own:
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/gid_map", map_text(gids))
        _write(f"/proc/{pid}/uid_map", map_text(uids))
    except PermissionError as error:
        raise DeniedError(
            "these user ids may not be mapped", hint="enter a range for this user into /etc/subuid and /etc/subgid"
        ) from error
    except OSError as error:
        raise InvalidArgumentError(f"the kernel refused the id map: {os.strerror(error.errno or 0)}") from error


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
