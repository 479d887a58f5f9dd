# SPDX-License-Identifier: Apache-2.0
"""Making a container die with the process that watches it.

A process killed with SIGKILL cannot clean up. So it starts a tiny shell in a session of its own, holding the only
writing end of the pipe that the shell reads: when the process is gone, for whatever reason, the shell sees the end of
the pipe and lets the OCI runtime kill and forget the container. The shell costs a millisecond and a page or two.
"""

from __future__ import annotations

import os

from scow.linux import process
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

# Again and again for two seconds: the runtime may be about to make what is to be deleted.
_SCRIPT = (
    'read -r word && exit 0; left=10; while [ $left -gt 0 ]; do "$@" >/dev/null 2>&1; sleep 0.2; left=$((left-1)); done'
)


class Deadman:
    """Runs a command when this process ends without having disarmed it; use it in a ``with`` block.

    Args:
        command: Absolute path and arguments.
    """

    __slots__ = ("_pid", "_pipe")

    def __init__(self, command: Sequence[str]) -> None:
        reader, self._pipe = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = process.spawn(["/bin/sh", "-c", _SCRIPT, "scow-deadman", *command], stdin=reader, session=True)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()

    def disarm(self, *, wait: bool = True) -> None:
        """The container has ended in good order; doing so twice is harmless.

        Args:
            wait: Whether to wait for the shell; a process at its end leaves that to its heir.
        """
        if self._pipe < 0:
            return
        try:
            os.write(self._pipe, b"done\n")
        except BrokenPipeError:
            pass  # the shell was killed
        os.close(self._pipe)
        self._pipe = -1
        if wait:
            process.wait_status(self._pid)
