# SPDX-License-Identifier: Apache-2.0
"""Places that one build has for itself and that go with it, also when it is killed: the next build sweeps them.

::

    <root>/tmp/build-<id>/            unpacked contexts, repositories, mount points, runtime bundles
    /dev/shm/scow-build-<uid>/<id>/   secrets; on a memory file system where the host has one

Each holds a ``lock`` that the build has for as long as it lives.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import ExitStack

from scow.base.files import remove_tree
from scow.base.locks import FileLock
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
    """

    def __init__(self, root: str, run_root: str) -> None:
        self._top = os.path.join(root, "tmp")
        self._run_root = run_root
        self._name = os.urandom(8).hex()
        self._stack = ExitStack()
        self._memory = ""
        self.path = os.path.join(self._top, _PREFIX + self._name)

    def __enter__(self) -> Self:
        os.makedirs(self._top, mode=0o711, exist_ok=True)
        _sweep(self._top, _PREFIX)
        _take(self.path, self._stack)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:  # the locks are held to the end: nobody else removes them, too
            remove_tree(self.path)
            if self._memory:
                remove_tree(self._memory)

    @property
    def memory(self) -> str:
        """A directory for secrets, made when it is first asked for."""
        if not self._memory:
            above = _memory_top(self._run_root)
            _sweep(above, "")
            self._memory = os.path.join(above, self._name)
            _take(self._memory, self._stack)
        return self._memory


def _take(path: str, stack: ExitStack) -> None:
    """Make a directory and hold its lock; a sweep may have met it before it was locked, and removed it."""
    lock = os.path.join(path, "lock")
    while True:
        os.makedirs(path, exist_ok=True)
        with ExitStack() as held:
            held.enter_context(FileLock(lock).exclusive())
            if os.path.exists(lock):
                os.chmod(path, 0o711)  # noqa: S103 - others pass through to what is mounted in it
                stack.push(held.pop_all())
                return


def _sweep(top: str, prefix: str) -> None:
    """Remove the places of builds that are gone."""
    for name in os.listdir(top):
        if not name.startswith(prefix):
            continue
        path = os.path.join(top, name)
        try:
            # never made: its owner may be removing the place at this moment, and would find it there again
            lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path)
        except BlockingIOError:
            continue  # alive
        finally:
            os.close(lock)


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
