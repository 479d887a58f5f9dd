# SPDX-License-Identifier: Apache-2.0
"""Becoming a container's process: root, ids, capabilities and limits, then its program. Called in a child.

Nothing is loaded once the root has changed. A process may leave a changed root when it holds CAP_SYS_CHROOT, so that
one is taken away; the boundary that counts is that of the container which scow itself runs in.
"""

from __future__ import annotations

import errno
import os
import resource

from scow.linux import kernel
from scow.linux.capabilities import ALL
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TAKEN = "CAP_SYS_CHROOT"
_UMASK = 0o022


def execute(tree: str, process: Mapping[str, Any]) -> None:
    """Turn this process into a container's; returns only by raising.

    Args:
        tree: The directory to be its root.
        process: The ``process`` of the container's configuration.

    Raises:
        OSError: It could not be; ``strerror`` is in the words of runc.
    """
    user = process["user"]
    os.chroot(tree)
    try:
        os.chdir(process["cwd"])
    except OSError as error:
        raise OSError(error.errno, f"chdir to cwd ({process['cwd']!r}) failed: {error.strerror}") from None
    for limit in process.get("rlimits") or ():
        _limit(getattr(resource, limit["type"], -1), limit["soft"], limit["hard"])
    environment = dict(entry.partition("=")[::2] for entry in process["env"])
    program = _find(process["args"][0], environment.get("PATH", ""))
    os.umask(user.get("umask", _UMASK))
    _setgroups(user.get("additionalGids") or [])
    os.setgid(user["gid"])
    names = set(process["capabilities"]["bounding"]) - {_TAKEN}
    kernel.set_capabilities(sum(1 << number for number, name in enumerate(ALL) if name in names))
    os.setuid(user["uid"])
    if process.get("noNewPrivileges"):
        kernel.no_new_privileges()
    try:
        os.execve(program, process["args"], environment)  # noqa: S606
    except OSError as error:
        raise OSError(error.errno, f"exec {program}: {(error.strerror or '').lower()}") from None


def _setgroups(groups: list[int]) -> None:
    try:
        os.setgroups(groups)
    except PermissionError:
        if groups:
            raise


def _limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, as far as this process may."""
    if kind < 0:
        return
    now = resource.getrlimit(kind)[1]
    ceiling = (1 << 64) - 1 if now < 0 else now
    values = [min(value, ceiling) for value in (soft, hard)]
    try:
        resource.setrlimit(kind, (_signed(values[0]), _signed(values[1])))
    except (OSError, ValueError):
        return


def _signed(value: int) -> int:
    return -1 if value >= (1 << 63) else value


def _find(name: str, search: str) -> str:
    """The program that a name means, in the root that is ours now."""
    message = f'exec: "{name}": '
    directories = [""] if "/" in name else [directory or "." for directory in search.split(":")]
    candidates = [os.path.join(directory, name) for directory in directories]
    refused = ""
    for path in candidates:
        if os.path.isdir(path):
            refused = refused or "is a directory"
        elif os.access(path, os.X_OK):
            return path
        elif os.path.lexists(path):
            refused = refused or "permission denied"
    if refused and "/" in name:
        raise OSError(errno.EACCES, message + refused)
    missing = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
    raise OSError(errno.ENOENT, message + missing)
