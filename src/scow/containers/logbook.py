# SPDX-License-Identifier: Apache-2.0
"""Where the output of a container is written down, and how much of it is kept."""

from __future__ import annotations

import os
import sys

from scow.linux import process
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container


class Log(NamedTuple):
    """Where a monitor writes.

    Args:
        path: A file or a pipe; ``""`` for nowhere.
        waiting: A descriptor that keeps the reader of the pipe waiting for the monitor; -1 for none.
    """

    path: str
    waiting: int = -1

    def close(self) -> None:
        """The monitor has opened the log, or will not come."""
        if self.waiting >= 0:
            os.close(self.waiting)


def is_kept(container: Container) -> bool:
    """Whether there is a log at all."""
    return (container.host.get("LogConfig") or {}).get("Type") != "none"


def bounds(container: Container) -> tuple[int, int]:
    """How many bytes a file of the log may have, 0 for any number, and how many files there may be."""
    wanted = container.host.get("LogConfig") or {}
    if not wanted.get("Config") and wanted.get("Type") != "local":
        return 0, 1
    from scow.containers import logoptions

    return logoptions.read(wanted.get("Type") or "", wanted.get("Config") or {})


def open_log(service: Containers, container: Container) -> Log:
    """Find a place for the output of a container that is about to start under a monitor.

    A log with a bound is written by a process of its own, which is left behind here and ends after the monitor.
    """
    if not is_kept(container):
        return Log("")
    path = os.path.join(service.directory(container.id), "log")
    size, files = bounds(container)
    if not size:
        return Log(path)
    from scow.runtime.logs import PIPE, open_pipe

    source, waiting, lock = open_pipe(path)
    try:
        words = [sys.executable, "-I", "-m", "scow.cli.logwriter", path, str(size), str(files)]
        process.leave_behind(words, name="scow-log", env={"PATH": os.defpath}, keep={3: source, 4: lock})
    except BaseException:
        os.close(waiting)
        raise
    finally:
        os.close(source)
        os.close(lock)
    return Log(path + PIPE, waiting)
