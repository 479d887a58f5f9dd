# SPDX-License-Identifier: Apache-2.0
"""Places on the default network, made when a step needs one and lent again to later steps of the same build.

Steps that run side by side have places of their own, so each may listen where it likes; a step that comes later gets a
place that an earlier one has left, because making one costs more than starting most commands.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager, suppress

from scow.errors import ScowError, UnavailableError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from scow.runtime.step import StepPlace


_Kept: TypeAlias = "tuple[StepPlace, ExitStack]"
_EARLY = 4
"""Most places made before a step asks."""


class _Early(threading.Thread):
    """A place in the making."""

    def __init__(self, make: Callable[[str], AbstractContextManager[StepPlace]], identity: str) -> None:
        super().__init__(daemon=True)
        self._place, self._identity = make, identity
        self._made: _Kept | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._made = _make(self._place, self._identity)
        except BaseException as error:
            self._error = error

    def take(self) -> _Kept:
        """Wait for the place.

        Raises:
            ScowError: It could not be made.
        """
        self.join()
        if self._made is None:
            raise self._error or UnavailableError("a build step has no network")
        return self._made


def _make(make: Callable[[str], AbstractContextManager[StepPlace]], identity: str) -> _Kept:
    with ExitStack() as stack:
        return stack.enter_context(make(identity)), stack.pop_all()


class StepNetworks:
    """The places of one build.

    Args:
        make: Makes a place, by the id of the step that is first to have it.
    """

    def __init__(self, make: Callable[[str], AbstractContextManager[StepPlace]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._free: list[_Kept] = []
        self._early: list[_Early] = []
        self._expected: int | None = None
        self._lent = 0
        self._ending: list[threading.Thread] = []

    def expect(self, steps: int, at_once: int) -> None:
        """Say what is to come: then places are made before they are needed, and go when they are not needed any more.

        Args:
            steps: How many steps; each is counted by :meth:`step_done`.
            at_once: How many of them can begin now.
        """
        self._expected = steps
        for number in range(min(at_once, _EARLY)):
            early = _Early(self._make, f"build-{os.urandom(8).hex()}-{number}")
            self._early.append(early)
            early.start()

    def step_done(self) -> None:
        """Count a step that was to come, whether it ran or was found in the cache."""
        with self._lock:
            if self._expected is not None:
                self._expected -= 1
        self._end_unneeded()

    @contextmanager
    def lend(self, identity: str) -> Iterator[StepPlace]:
        """Give a step a place for the length of a block.

        Raises:
            ScowError: None can be made.
        """
        with self._lock:
            found = self._free.pop() if self._free else None
            early = self._early.pop() if found is None and self._early else None
        if early is not None:
            found = early.take()
        if found is None:
            found = _make(self._make, identity)
        with self._lock:
            self._lent += 1
        try:
            yield found[0]
        finally:
            with self._lock:
                self._lent -= 1
                self._free.append(found)
            self._end_unneeded(1)

    def _end_unneeded(self, ending: int = 0) -> None:
        """Take free places away when no step is to come that could have one.

        Args:
            ending: Steps that are about to be counted by :meth:`step_done`.
        """
        with self._lock:
            needed = self._expected is None or self._expected - ending > self._lent
        if not needed:
            self._end()

    def close(self) -> None:
        """Take all places away; none is lent now."""
        early, self._early = self._early, []
        for made in early:
            with suppress(ScowError):  # nobody wanted it
                self._free.append(made.take())
        self._end()
        for thread in self._ending:
            thread.join()

    def _end(self) -> None:
        with self._lock:
            free, self._free = self._free, []
            threads = [threading.Thread(target=stack.close, daemon=True) for _, stack in free]
            self._ending += threads
        for thread in threads:
            thread.start()
