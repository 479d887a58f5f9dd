# SPDX-License-Identifier: Apache-2.0
"""Moving bytes between a container's pipes, the user's and the log, until the container has ended."""

from __future__ import annotations

import os
import select

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.runtime.door import Door
    from scow.runtime.logs import LogWriter

_CHUNK = 1 << 16
_HIGH_WATER = 1 << 20
_LINGER_MILLISECONDS = 250


class Streams(NamedTuple):
    """Where the streams of a process go, as descriptors; ``None`` for nowhere.

    Args:
        stdin: Input.
        stdout: Output.
        stderr: Error output.
    """

    stdin: int | None = None
    stdout: int | None = 1
    stderr: int | None = 2


def write_all(fd: int, data: bytes) -> None:
    """Write everything, whether the descriptor blocks or not.

    Raises:
        OSError: As ``os.write``.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            waiter = select.poll()
            waiter.register(fd, select.POLLOUT)
            waiter.poll()


def _read(fd: int) -> bytes:
    """A piece of input; nothing at its end, whatever ended it."""
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""


class Pump:
    """Carries a container's streams; made before the container starts, so that the pipes exist.

    Output is held back until :meth:`release`: what the OCI runtime says when it cannot start a command comes through
    the same pipe, and is not output.

    Args:
        stdin: Descriptor to read input from, or ``None`` for no input.
        stdout: Where output goes, or ``None`` for nowhere.
        stderr: Where error output goes, or ``None``.
        log: Gets both outputs, or ``None``.
    """

    def __init__(
        self, *, stdin: int | None, stdout: int | None, stderr: int | None, log: LogWriter | None = None
    ) -> None:
        self._inputs = set() if stdin is None else {stdin}
        self._over = False
        self._door: Door | None = None
        self._log = log
        self._holding = True
        self._held: list[tuple[int, bytes]] = []
        self._pending = bytearray()
        self._goals: dict[int, int | None] = {1: stdout, 2: stderr}
        self._feed: int | None = None
        self.child_stdin: int | None = None
        if stdin is not None:
            self.child_stdin, self._feed = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._feed, False)
        out_reader, self.child_stdout = os.pipe2(os.O_CLOEXEC)
        err_reader, self.child_stderr = os.pipe2(os.O_CLOEXEC)
        self._readers = {out_reader: 1, err_reader: 2}
        self._poll = select.poll()
        for fd in self._readers:
            self._poll.register(fd, select.POLLIN)

    def started(self) -> None:
        """The child has its ends of the pipes; close ours."""
        for fd in (self.child_stdin, self.child_stdout, self.child_stderr):
            if fd is not None:
                os.close(fd)

    def held(self) -> str:
        """What was held back, as text."""
        return b"".join(data for _, data in self._held).decode("utf-8", "replace")

    def release(self) -> None:
        """From now on output is output, and input is carried."""
        self._holding = False
        held, self._held = self._held, []
        for stream, data in held:
            self._write(stream, data)
        self._listen()

    def open(self, door: Door) -> None:
        """From now on others may attach."""
        self._door = door
        self._poll.register(door.listener, select.POLLIN)

    def until(self, pidfd: int, *, drain: bool) -> None:
        """Carry on until a process has ended.

        Args:
            pidfd: The process.
            drain: Whether to go on until the outputs are at their end, or quiet for a quarter of a second: another
                process may hold them open.
        """
        self._poll.register(pidfd, select.POLLIN)
        ended = False
        while True:
            ready = self._poll.poll(_LINGER_MILLISECONDS if ended else None)
            if self._door is not None and any(fd == self._door.listener for fd, _ in ready):
                self._admit(self._door)  # before anything is carried: who came before it was said hears it
            for fd, event in ready:
                if fd == pidfd:
                    self._poll.unregister(pidfd)
                    ended = True
                elif fd in self._readers:
                    self._carry(fd)
                elif fd in self._inputs:
                    self._take(fd, gone=bool(event & select.POLLHUP))
                elif fd == self._feed:
                    self._give(broken=not event & select.POLLOUT)
            if ended and not drain:
                # What it said before its end may have come after its pipes were looked at.
                for fd, _ in self._poll.poll(0):
                    if fd in self._readers:
                        self._carry(fd)
                return
            if ended and (not self._readers or not ready):
                return

    def _carry(self, fd: int) -> None:
        """Carry one piece of output."""
        data = os.read(fd, _CHUNK)
        if not data:
            self._poll.unregister(fd)
            os.close(fd)
            del self._readers[fd]
        elif self._holding:
            self._held.append((self._readers[fd], data))
        else:
            self._write(self._readers[fd], data)

    def _write(self, stream: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write(stream, data)
        goal = self._goals[stream]
        if goal is not None:
            try:
                write_all(goal, data)
            except OSError:
                # The reader is gone; the container goes on, as with docker.
                self._goals[stream] = None
        if self._door is not None:
            self._door.tell(stream, data)

    def _admit(self, door: Door) -> None:
        guest = door.admit()
        if guest is not None:
            self._inputs.add(guest)
            self._poll.register(guest, select.POLLIN)

    def _listen(self) -> None:
        for fd in self._inputs:
            self._poll.register(fd, select.POLLIN)

    def _take(self, fd: int, *, gone: bool) -> None:
        """Take a piece of input and pass on what can be passed on; the first one whose input is over ends it."""
        data = self._door.hear(fd, gone=gone) if self._door is not None and fd in self._door else _read(fd)
        if not data:
            self._forget(fd)
            self._inputs.discard(fd)
            self._over = self._over or data is not None
        elif self._feed is not None:
            self._pending += data
            if len(self._pending) >= _HIGH_WATER:
                for source in self._inputs:
                    self._forget(source)
        self._give()

    def _give(self, *, broken: bool = False) -> None:
        """Pass input on to the container."""
        if self._feed is None:
            return
        try:
            while self._pending and not broken:
                del self._pending[: os.write(self._feed, self._pending[:_CHUNK])]
        except BlockingIOError:
            self._poll.register(self._feed, select.POLLOUT)
            return
        except BrokenPipeError:
            broken = True
        self._forget(self._feed)
        if not self._over and not broken:
            self._listen()
            return
        # Either all is passed on and the input is over, or nobody reads any more.
        for source in self._inputs:
            self._forget(source)
        self._inputs.clear()
        os.close(self._feed)
        self._feed = None

    def _forget(self, fd: int) -> None:
        try:
            self._poll.unregister(fd)
        except KeyError:
            return
