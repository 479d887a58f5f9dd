# SPDX-License-Identifier: Apache-2.0
"""How long work reports its progress: values handed to a callable, from any thread."""

from __future__ import annotations

from scow.typing import NamedTuple, Protocol


class Event(NamedTuple):
    """One step of one task.

    Args:
        task: What is worked on, such as a layer's short digest; ``""`` for the work as a whole.
        status: What is being done, such as ``Downloading``.
        current: How far, in ``unit``.
        total: The whole, in ``unit``; ``None`` when unknown.
        unit: What is counted.
    """

    task: str
    status: str
    current: int = 0
    total: int | None = None
    unit: str = "bytes"


class Progress(Protocol):
    """Receives events; called from any thread, must not block for long and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""


def silent(_event: Event, /) -> None:
    """Take an event and do nothing: for callers that do not want to know."""
