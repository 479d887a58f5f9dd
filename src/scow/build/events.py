# SPDX-License-Identifier: Apache-2.0
"""What a build tells while it runs: events of its steps, for whoever shows or records them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class BuildEvent(NamedTuple):
    """Something happened to a step.

    Attributes:
        step: The step's number in this build, from 1.
        kind: ``begin``, ``cached``, ``log``, ``done``, ``failed`` or ``cancelled``; ``note`` for a warning.
        title: The step's title.
        time: Seconds since the epoch.
        stream: Of a log: 1 or 2.
        data: Of a log: bytes as written.
        text: Of a failure or note: one sentence; of a cached or done step: the reason, when it is known.
    """

    step: int
    kind: str
    title: str = ""
    time: float = 0.0
    stream: int = 0
    data: bytes = b""
    text: str = ""


class BuildProgress(Protocol):
    """Receives events; called from any thread, must not raise."""

    def __call__(self, event: BuildEvent, /) -> None:
        """Take one event."""


def quiet(_event: BuildEvent, /) -> None:
    """Take an event and do nothing."""


class Ledger:
    """Numbers the steps of one build and tells of them.

    Args:
        progress: Told.
    """

    def __init__(self, progress: BuildProgress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._last = 0

    def begin(self, title: str) -> int:
        """Begin a step.

        Returns:
            Its number.
        """
        with self._lock:
            self._last += 1
            number = self._last
        self.tell(number, "begin", title)
        return number

    def tell(self, step: int, kind: str, title: str, text: str = "") -> None:
        """Tell of a step."""
        self._progress(BuildEvent(step, kind, title, time.time(), text=text))

    def log(self, step: int, title: str, stream: int, data: bytes) -> None:
        """Pass on what a step wrote."""
        self._progress(BuildEvent(step, "log", title, time.time(), stream, data))

    @contextmanager
    def internal(self, title: str) -> Iterator[int]:
        """A step that stands for no instruction.

        Args:
            title: Its title.

        Yields:
            Its number.
        """
        step = self.begin(title)
        try:
            yield step
        except BaseException as error:
            self.tell(step, "failed", title, str(error))
            raise
        self.tell(step, "done", title)
