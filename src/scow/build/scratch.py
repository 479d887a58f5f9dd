# SPDX-License-Identifier: Apache-2.0
"""Places that one build has for itself and that go with it, also when it is killed: the next build sweeps them.

::

    <root>/tmp/build-<id>/            unpacked contexts, repositories, mount points, runtime bundles
    /dev/shm/scow-build-<uid>/<id>/   secrets; on a memory file system where the host has one

Each is locked for as long as the build lives.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack

from scow.base.files import temporary_directory
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_SHARED_MEMORY = "/dev/shm"
_PREFIX = "build-"


class Scratch:
    """The places of one build; use it in a ``with`` block.

    Args:
        root: The store's directory.
        run_root: Where state lives that a reboot may lose.

    Attributes:
        path: The directory in the store; known within the block.
    """

    def __init__(self, root: str, run_root: str) -> None:
        self._top = os.path.join(root, "tmp")
        self._run_root = run_root
        self._stack = ExitStack()
        self._memory = ""
        self.path = ""

    def __enter__(self) -> Self:
        # others pass through to what is mounted in it
        self.path = self._stack.enter_context(temporary_directory(self._top, _PREFIX, 0o711))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def memory(self) -> str:
        """A directory for secrets, made when it is first asked for."""
        if not self._memory:
            above = _memory_top(self._run_root)
            self._memory = self._stack.enter_context(temporary_directory(above, "", 0o711))
        return self._memory


def _memory_top(run_root: str) -> str:
    if os.path.ismount(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK):
        path = os.path.join(_SHARED_MEMORY, f"scow-build-{os.geteuid()}")
        os.makedirs(path, mode=0o711, exist_ok=True)
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            return path
        # Somebody else was there first, in a directory that everybody may write to.
    path = os.path.join(run_root, "secrets")
    os.makedirs(path, mode=0o711, exist_ok=True)
    return path
