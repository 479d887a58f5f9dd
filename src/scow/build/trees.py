# SPDX-License-Identifier: Apache-2.0
"""What a vertex gave, and how it came by it: values that the solver hands from step to step."""

from __future__ import annotations

import threading

from scow.errors import CancelledError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.build.graph import Solved, Vertex
    from scow.build.workshop import Workshop


class Story(NamedTuple):
    """How a vertex got its result.

    Attributes:
        vertex: The vertex.
        step: Its number in this build; 0 when it was not looked at.
        outcome: ``cached`` or ``run``.
        key: Its definition key.
    """

    vertex: Vertex
    step: int
    outcome: str
    key: str


class Tree:
    """What a vertex gave: known, or on its way while one can stand on it already.

    Args:
        solved: The result, when it is known.
        standing: A snapshot of it, when there is one other than that of its layers.
        time: The newest time among its inputs, seconds since the epoch.
    """

    def __init__(self, solved: Solved | None = None, standing: str | None = None, time: int = 0) -> None:
        self._solved = solved
        self.time = solved.time if solved is not None else time
        self._known = threading.Event()
        self._error: BaseException | None = None
        self.standing = standing
        if solved is not None:
            self._known.set()

    @property
    def known(self) -> Solved | None:
        """The result, without waiting."""
        return self._solved

    def settle(self, solved: Solved | None, error: BaseException | None = None) -> None:
        """Give the result, or why there is none."""
        self._solved, self._error = solved, error
        self._known.set()

    def result(self) -> Solved:
        """The result; waits for it.

        Raises:
            CancelledError: There will be none.
        """
        self._known.wait()
        if self._solved is None:
            raise CancelledError("the work was stopped because another part of it failed") from self._error
        return self._solved

    def stand(self, shop: Workshop) -> str | None:
        """A snapshot to mount."""
        return self.standing if self.standing is not None else shop.stand(self.result())
