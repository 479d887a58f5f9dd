# SPDX-License-Identifier: Apache-2.0
"""A terminal that the OCI runtime makes and hands over: the other end, carried to the user's terminal.

Source: runc, docs/terminals.md ("detached, new terminal").
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import socket
import struct
import termios

from scow.linux.terminal import DetachKeys, RawMode, size
from scow.runtime.oci import StartError
from scow.runtime.stdio import write_all
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_CHUNK = 1 << 14
_DRAIN_MILLISECONDS = 100


class Console:
    """Waits for the terminal on a socket, then carries it; use it in a ``with`` block.

    Args:
        path: Where the socket is made; at most 107 bytes.
    """

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        self._listener.listen(1)
        self._master = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def receive(self) -> None:
        """Take the terminal that the runtime has sent.

        Raises:
            StartError: It sent none.
        """
        self._listener.settimeout(10)
        try:
            connection, _ = self._listener.accept()
            with connection:
                fds = array.array("i")
                _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(fds.itemsize))
        except OSError as error:
            raise StartError("the OCI runtime sent no terminal") from error
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: fds.itemsize])
                self._master = fds[0]
                os.set_inheritable(self._master, False)
                return
        raise StartError("the OCI runtime sent no terminal")

    def resize(self, tty: int) -> None:
        """Give the terminal the size of the user's."""
        rows, columns = size(tty)
        if rows and columns:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def carry(self, stdin: int | None, stdout: int, pidfd: int, keys: bytes) -> bool:
        """Carry bytes both ways until the process has ended; true when the user typed the detach keys.

        Args:
            stdin: The user's input, or ``None``.
            stdout: Where output goes.
            pidfd: The process.
            keys: The sequence that means "leave".
        """
        tty = stdin if stdin is not None else stdout
        self.resize(tty)
        before = signal.signal(signal.SIGWINCH, lambda _number, _frame: self.resize(tty))
        try:
            with RawMode(stdin if stdin is not None else -1):
                return self._carry(stdin, stdout, pidfd, DetachKeys(keys))
        finally:
            signal.signal(signal.SIGWINCH, before)

    def _carry(self, stdin: int | None, stdout: int, pidfd: int, keys: DetachKeys) -> bool:
        poll = select.poll()
        for fd in (self._master, pidfd, stdin):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        ended = closed = False
        while not (ended and closed):
            ready = dict(poll.poll(_DRAIN_MILLISECONDS if ended else None))
            # Only what is still missing in the look after the end is: the terminal was looked at before the process.
            if ended and self._master not in ready:
                return False
            if self._master in ready and not self._read(stdout):
                poll.unregister(self._master)
                closed = True
            if pidfd in ready:
                poll.unregister(pidfd)
                ended = True
            if stdin is not None and stdin in ready:
                data = os.read(stdin, _CHUNK)
                if not data:
                    poll.unregister(stdin)
                    os.write(self._master, b"\x04")
                    continue
                passed, leave = keys.feed(data)
                if leave:
                    return True
                self._pass(passed)
        return False

    def _pass(self, data: bytes) -> None:
        try:
            write_all(self._master, data)
        except OSError:
            return

    def _read(self, stdout: int) -> bool:
        """Carry one piece of output; false when the other side is closed."""
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:
            return False
        if data:
            write_all(stdout, data)
        return bool(data)
