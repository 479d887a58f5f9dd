# SPDX-License-Identifier: Apache-2.0
"""Starting the process that answers for a container, and telling it who another process is to be."""

from __future__ import annotations

import os
import sys

from scow import jsontext
from scow.errors import UnavailableError
from scow.linux import process
from scow.runtime.oneid.calls import abis, asking
from scow.runtime.oneid.identities import LIMIT_NAME
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

_SOCKET, _LIFELINE = 3, 4
_BACKLOG = 16
_DIRECTORY = "answers"
_LONGEST = 100
"""Bytes that the path of a socket may have, a few less than the kernel takes (unix(7))."""


class Answerer:
    """The process beside one container. It ends with the container's processes, and when this object is closed.

    Args:
        document: The container's ``config.json``, made for ids that do not exist; changed in place for the one that
            does, and so that its calls are answered.
        run_root: A directory of this user's for what a reboot may lose.
    """

    def __init__(self, document: dict[str, Any], run_root: str) -> None:
        own = document["process"]
        config = {
            "uid": own["user"]["uid"],
            "gid": own["user"]["gid"],
            "groups": own["user"].get("additionalGids", []),
            "capabilities": own["capabilities"]["bounding"],
        }
        own["user"] = {"uid": 0, "gid": 0}
        self._lifeline = self._pid = -1
        machine = os.uname().machine
        if not abis(machine):
            return
        self._path = socket_path(run_root)
        profile = asking(document["linux"].get("seccomp"), machine, self._path)
        document["linux"]["seccomp"] = profile
        self._start(jsontext.dumps(config))

    def _start(self, config: str) -> None:
        import fcntl
        import socket

        reader, self._lifeline = os.pipe2(os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.bind(self._path)
                door.listen(_BACKLOG)
                # In the child the two numbers are taken one after the other: neither may be the other's source.
                copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (door.fileno(), reader)]
                words = [*program("server"), config]
                try:
                    keep = {_SOCKET: copies[0], _LIFELINE: copies[1]}
                    self._pid = process.spawn(words, keep=keep, session=True)
                finally:
                    for fd in copies:
                        os.close(fd)
        except OSError as error:
            os.close(self._lifeline)
            raise UnavailableError(f"cannot listen at {self._path!r}: {error.strerror}") from error
        finally:
            os.close(reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def leave(self) -> None:
        """Let it live for as long as the container does, also when this process has ended."""
        if self._lifeline >= 0:
            try:
                os.write(self._lifeline, b"x")
            except BrokenPipeError:
                pass  # the container has ended already, and it with it
            os.close(self._lifeline)
            self._lifeline = -1

    def close(self) -> None:
        """End it, unless it was left; the container's calls fail from now on."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
            process.wait_status(self._pid)


def program(module: str) -> list[str]:
    """The command line of a process that answers.

    Args:
        module: One of this folder whose ``main`` does.
    """
    run = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from scow.runtime.oneid.{module} import main; main()"
    return [sys.executable, "-I", "-S", "-c", run, os.path.abspath(__file__ + "/../../../..")]


def socket_path(run_root: str) -> str:
    """A new place for a socket, in a directory that only this user can reach; the other end takes it away."""
    directory = os.path.join(run_root, _DIRECTORY)
    if len(os.fsencode(directory)) > _LONGEST - 17:
        import tempfile

        return os.path.join(tempfile.mkdtemp(prefix="scow-", dir="/tmp"), "s")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, os.urandom(8).hex())


def remove_socket(path: str) -> None:
    """Take away what :func:`socket_path` gave, with the directory made for it alone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    directory = os.path.dirname(path)
    if os.path.basename(directory) != _DIRECTORY:
        os.rmdir(directory)


def become(process_document: dict[str, Any], config_path: str) -> None:
    """Make the description of one more process of a container fit for the one id there is.

    Args:
        process_document: What ``exec`` is given; changed in place.
        config_path: The container's ``config.json``.

    Raises:
        UnavailableError: Nobody answers for the container any more.
    """
    user = process_document["user"]
    question = {"uid": user["uid"], "gid": user["gid"], "groups": user.get("additionalGids", [])}
    process_document["user"] = {"uid": 0, "gid": 0}
    try:
        with open(config_path, encoding="utf-8") as file:
            path = (jsontext.loads(file.read())["linux"].get("seccomp") or {}).get("listenerPath")
        if path:
            soft = _ask(path, jsontext.dumps(question).encode())
            limits = [limit for limit in process_document["rlimits"] if limit["type"] != LIMIT_NAME]
            process_document["rlimits"] = [*limits, {"type": LIMIT_NAME, "soft": soft, "hard": (1 << 64) - 1}]
    except (OSError, ValueError, KeyError) as error:
        raise UnavailableError(
            "the process that answers for this container is gone", hint="Stop the container and start it again."
        ) from error


def _ask(path: str, question: bytes) -> int:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.settimeout(30)
        visitor.connect(path)
        visitor.sendall(question)
        return int(visitor.recv(32))
