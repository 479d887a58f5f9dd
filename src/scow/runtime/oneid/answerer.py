# SPDX-License-Identifier: Apache-2.0
"""Starting the process that answers for a container, and telling it who another process is to be."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Self

from scow.errors import UnavailableError
from scow.linux import process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.runtime.users import Identity

_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from scow.runtime.oneid.server import main; main()"
_SOCKET, _LIFELINE = 3, 4
_BACKLOG = 16


class Answerer:
    """The process beside one container; use it in a ``with`` block, or leave it with its :attr:`pid`.

    Args:
        path: Where its socket is made: in a directory of this user's, in at most 100 bytes.
        identity: Who the container's first process is.
        capabilities: What user 0 may do in it, as names such as ``CAP_CHOWN``.
    """

    def __init__(self, path: str, identity: Identity, capabilities: Iterable[str]) -> None:
        self.path = path
        config = {
            "uid": identity.uid,
            "gid": identity.gid,
            "groups": identity.groups,
            "capabilities": list(capabilities),
        }
        import socket

        source = os.path.abspath(__file__ + "/../../../..")
        reader, self._lifeline = os.pipe2(os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                _remove(path)
                door.bind(path)
                door.listen(_BACKLOG)
                # Both numbers are free in the child only once the higher copies were made.
                keep = {_SOCKET: _above(door.fileno()), _LIFELINE: _above(reader)}
                words = [sys.executable, "-I", "-S", "-c", _PROGRAM, source, json.dumps(config)]
                try:
                    self.pid = process.spawn(words, keep=keep, session=True)
                finally:
                    for fd in keep.values():
                        os.close(fd)
        except OSError as error:
            os.close(self._lifeline)
            raise UnavailableError(f"cannot listen at {path!r}: {error.strerror}") from error
        finally:
            os.close(reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lifeline)
        process.wait_status(self.pid)
        _remove(self.path)


def _above(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def limit_for(path: str, identity: Identity) -> int:
    """The soft limit ``RLIMIT_LOCKS`` that a new process of a container gets to be somebody.

    Args:
        path: The answerer's socket.
        identity: Who it is to be.

    Raises:
        UnavailableError: Nobody answers there.
    """
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(10)
            visitor.connect(path)
            visitor.sendall(json.dumps({"uid": identity.uid, "gid": identity.gid, "groups": identity.groups}).encode())
            return int(visitor.recv(32))
    except (OSError, ValueError) as error:
        raise UnavailableError("the process that answers for this container is gone") from error
