# SPDX-License-Identifier: Apache-2.0
"""Being attached to a container that another process watches: terminal or pipes here, its socket there."""

from __future__ import annotations

import os
import select
import signal
import socket

from scow.errors import UnavailableError
from scow.linux.terminal import DetachKeys, RawMode, size
from scow.runtime import monitor
from scow.runtime.door import reach
from scow.runtime.stdio import write_all

_CHUNK = 1 << 14
_PACKET = 1 << 13


class Detached(Exception):  # noqa: N818 - an event, not a failure
    """The user typed the keys that mean "leave"."""


def connect(bundle: str) -> socket.socket:
    """Open the attach socket of a container.

    Args:
        bundle: The container's directory.

    Raises:
        UnavailableError: Nobody listens: it has ended.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        reach(bundle, connection.connect)
    except OSError as error:
        connection.close()
        raise UnavailableError(f"cannot attach to the container: {(error.strerror or '').lower()}") from error
    return connection


class Session:
    """One attachment.

    Args:
        connection: From :func:`connect`.
        bundle: The container's directory.
        terminal: Whether the container has a terminal.
        stdin: Descriptor to read input from, or ``None``.
        stdout: Where output goes, or ``None``.
        stderr: Where error output goes, or ``None``.
        keys: The sequence that means "leave"; looked for only with a terminal.
    """

    def __init__(
        self,
        connection: socket.socket,
        bundle: str,
        *,
        terminal: bool,
        stdin: int | None = None,
        stdout: int | None = 1,
        stderr: int | None = 2,
        keys: bytes = b"",
    ) -> None:
        self._connection = connection
        self._bundle = bundle
        self._terminal = terminal
        self._stdin = stdin
        self._goals: dict[int, int | None] = {2: stdout, 3: stderr}
        self._keys = DetachKeys(keys if terminal else b"")
        self._unsent = b""

    def run(self) -> None:
        """Carry bytes both ways until the container has ended.

        Raises:
            Detached: The user left; the container goes on.
        """
        if not self._terminal:
            self._carry()
            return
        tty = self._stdin if self._stdin is not None else 1
        self.resize(tty)
        before = None
        try:
            before = signal.signal(signal.SIGWINCH, lambda _number, _frame: self.resize(tty))
        except ValueError:
            pass  # not the main thread: the size stays as it is
        try:
            if self._stdin is None:
                self._carry()
            else:
                with RawMode(self._stdin):
                    self._carry()
        finally:
            if before is not None:
                signal.signal(signal.SIGWINCH, before)

    def resize(self, tty: int) -> None:
        """Give the container's terminal the size of the user's."""
        rows, columns = size(tty)
        if rows and columns:
            monitor.resize(self._bundle, rows, columns)

    def _carry(self) -> None:
        """Carry; never wait for the other side to take input, which may wait for this one to take output."""
        poll = select.poll()
        there = self._connection.fileno()
        self._connection.setblocking(False)
        poll.register(there, select.POLLIN)
        if self._stdin is not None:
            poll.register(self._stdin, select.POLLIN)
        with self._connection:
            while True:
                for fd, event in poll.poll():
                    if fd == self._stdin:
                        if not self._send() or self._unsent:
                            poll.unregister(fd)
                        if self._unsent:
                            poll.register(there, select.POLLIN | select.POLLOUT)
                        continue
                    if event & ~select.POLLOUT and not self._receive():
                        return
                    if event & select.POLLOUT and self._pass_on() and not self._unsent and self._stdin is not None:
                        poll.register(there, select.POLLIN)
                        poll.register(self._stdin, select.POLLIN)

    def _receive(self) -> bool:
        """Take one packet; false at the end."""
        try:
            packet = self._connection.recv(_CHUNK)
        except (BlockingIOError, ConnectionResetError):
            # a reset tells, once, that not all of our input was read; what was said to us before the end is still there
            return True
        except OSError:
            return False
        if not packet:
            return False
        goal = self._goals.get(packet[0])
        if goal is not None:
            try:
                write_all(goal, packet[1:])
            except OSError:
                self._goals[packet[0]] = None
        return True

    def _send(self) -> bool:
        """Pass on a piece of input; false at its end."""
        if self._stdin is None:
            return False
        try:
            data = os.read(self._stdin, _PACKET)
        except OSError:
            data = b""
        try:
            if not data:
                self._connection.shutdown(socket.SHUT_WR)
                return False
        except OSError:
            return False
        self._unsent, leave = self._keys.feed(data)
        going = self._pass_on()
        if leave:
            raise Detached
        return going

    def _pass_on(self) -> bool:
        """Send what has been taken, if the other side takes it now; false when it never will."""
        try:
            if self._unsent:
                self._connection.send(self._unsent)
        except BlockingIOError:
            return True
        except OSError:
            self._unsent = b""
            return False
        self._unsent = b""
        return True
