# SPDX-License-Identifier: Apache-2.0
"""Showing a directory elsewhere where nothing can be mounted: a symbolic link in the place of an empty directory.

Root in an ordinary container has no CAP_SYS_ADMIN. Trees to work in are whole copies there (``snapshot.copying``), so
one directory is all there is to show. Whoever looks through the place sees what a mount would show; who looks at it
sees a link, and nothing is read-only.
"""

from __future__ import annotations

import os

from scow.errors import DeniedError
from scow.linux.syscalls import explain
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.linux.mount import Mount

NEEDS = "Start the container that scow runs in with --security-opt seccomp=unconfined, or --privileged."


def show(mounts: Sequence[Mount], target: str) -> None:
    """Put a link to a directory in the place of an empty one.

    Args:
        mounts: One bind mount, without a target of its own.
        target: The empty directory, or such a link from before.

    Raises:
        DeniedError: It would take real mounts.
        ScowError: The place cannot be changed.
    """
    if len(mounts) != 1 or mounts[0].type != "bind" or mounts[0].target not in ("", target):
        raise DeniedError("this process may not mount anything (CAP_SYS_ADMIN)", hint=NEEDS)
    try:
        if os.path.islink(target):
            os.unlink(target)
        else:
            os.rmdir(target)
        os.symlink(mounts[0].source, target)
    except OSError as error:
        raise explain(error, f"cannot show {mounts[0].source!r} at {target!r}") from error


def is_shown(target: str) -> bool:
    """Whether a place is such a link."""
    return os.path.islink(target)


def take_away(target: str) -> None:
    """Make an empty directory of such a link again.

    Raises:
        ScowError: The place cannot be changed.
    """
    try:
        os.unlink(target)
        os.mkdir(target, 0o711)
    except OSError as error:
        raise explain(error, f"cannot take {target!r} away") from error
