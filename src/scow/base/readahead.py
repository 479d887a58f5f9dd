# SPDX-License-Identifier: Apache-2.0
"""Reading a source in a thread of its own, so that making its bytes and using them happen at the same time.

Inflating a layer and hashing, keeping and looking through what comes out take about as long; both leave Python's lock
alone. One layer alone then keeps two cores busy; where others do, the bytes had better stay with one thread, in the
cache of one core. Measured: docs/measurements.md, "Beside docker".
"""

from __future__ import annotations

from scow.base.tasks import TaskGroup
from scow.typing import TYPE_CHECKING

try:
    from _queue import SimpleQueue  # what queue has, without its other queues, which cost 3 ms
except ImportError:
    from queue import SimpleQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from scow.base.streams import Readable

_PIECE = 512 * 1024
_DEPTH = 4
_ALONE = 1 << 20


class ReadAhead:
    """Gives a source's bytes, read a few pieces ahead; for one thread, inside a ``with`` block.

    The first ``alone`` bytes are read without a thread, which short sources are not worth. What the source raises is
    raised by the read that meets it, and by every later one.

    Args:
        source: Where the bytes come from; not closed, and not to be used by others until the block has ended.
        piece: Bytes to ask for at a time.
        depth: Pieces that may wait to be read.
        alone: Bytes before the thread begins.
        crowded: Whether the cores have enough to do without it; asked again for each piece until it is not so.
    """

    def __init__(
        self,
        source: Readable,
        *,
        piece: int = _PIECE,
        depth: int = _DEPTH,
        alone: int = _ALONE,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        # read1 does not join what comes in pieces
        self._read = getattr(source, "read1", source.read)
        self._piece = piece
        self._left_alone = alone
        self._crowded = crowded
        self._group: TaskGroup | None = None
        self._pieces: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._turns: SimpleQueue[bool] = SimpleQueue()
        for _ in range(depth):
            self._turns.put(True)
        self._rest = b""
        self._end: bytes | BaseException | None = None
        self._stopped = False

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes, or as many as come; none only at the end."""
        data = self._rest or self._next()
        if 0 <= size < len(data):
            self._rest = data[size:]
            return data[:size]
        self._rest = b""
        return data

    def _next(self) -> bytes:
        if self._group is None:
            if self._left_alone > 0 or self._crowded():
                data: bytes = self._read(self._piece)
                self._left_alone -= len(data)
                return data
            self._group = TaskGroup()
            self._group.spawn(self._work)
        piece = self._pieces.get() if self._end is None else self._end
        if isinstance(piece, BaseException) or not piece:
            self._end = piece
        if isinstance(piece, BaseException):
            raise piece
        self._turns.put(True)
        return piece

    def _work(self) -> None:
        while self._turns.get() and not self._stopped:
            try:
                data = self._read(self._piece)
            except BaseException as error:
                self._pieces.put(error)
                return
            self._pieces.put(data)
            if not data:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread, which ends with the read it is in."""
        self._stopped = True
        self._turns.put(True)
        if self._group is not None:
            self._group.__exit__(None, None, None)
