# SPDX-License-Identifier: Apache-2.0
"""The process that answers for one container: started beside it, in its user namespace, and gone when it is gone.

It is told everything by its arguments and holds a listening socket (descriptor 3). There it gets listeners from the
OCI runtime, one for the first process and one for each ``exec``, and questions of scow's own. It ends when the
processes of all listeners have ended, or when the pipe at descriptor 4 is closed before a byte came through it.

Hostile programs ask, so: one thread, which waits for nothing but the next question; files are opened for looking only,
or made new; nothing is loaded once it stands in the container's root.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import sys

from scow.linux.capabilities import ALL
from scow.linux.notify import Listener
from scow.runtime.oneid.calls import abis
from scow.runtime.oneid.changing import Changing
from scow.runtime.oneid.credentials import of
from scow.runtime.oneid.identities import Identities
from scow.runtime.oneid.looking import Looking
from scow.runtime.oneid.making import GivenError, Making
from scow.runtime.oneid.place import Place
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.linux.notify import Call
    from scow.runtime.oneid.credentials import Credentials
    from scow.runtime.oneid.identities import Answer

SOCKET, LIFELINE = 3, 4
_MAX_MESSAGE = 1 << 20
_PATIENCE_SECONDS = 30
_CHANGES = frozenset({"setuid", "setgid", "setresuid", "setresgid", "setreuid", "setregid", "setgroups"})
_EXECUTES = frozenset({"execve", "execveat"})
_UNKNOWN: tuple[str, Answer | None] = ("", None)


class Heard:
    """A listener; until its first program is executed the OCI runtime itself is asking, which is really user 0.

    Args:
        listener: The listener.
    """

    __slots__ = ("fresh", "listener")

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.fresh = True


class Answers:
    """Answers the calls of one container.

    Args:
        config: ``uid``, ``gid``, ``groups`` of its first process; ``capabilities``, what user 0 may do in it.
        machine: As ``os.uname().machine``.
    """

    def __init__(self, config: dict[str, Any], machine: str) -> None:
        self._place = Place()
        bounding = sum(1 << ALL.index(name) for name in config["capabilities"])
        self.identities = Identities(credentials(config, bounding), bounding, self._place.status)
        known = abis(machine)
        looking = Looking(self._place, known[0])
        answers: dict[str, Answer] = {
            **self.identities.answers(),
            **looking.answers(),
            **Making(self._place, self.identities, looking).answers(),
            **Changing(self._place, self.identities, looking).answers(),
            **dict.fromkeys(("chroot", "pivot_root", "setns"), self._other_root),
        }
        self._table = {
            (abi.audit, number): (name.removesuffix("32"), answers[name.removesuffix("32")])
            for abi in known
            for name, number in abi.calls.items()
        }

    def _other_root(self, call: Call) -> None:
        """A process gets another root: from now on each call's is looked up."""
        del call
        self._place.mixed = True

    def answer(self, heard: Heard, call: Call) -> None:
        """Answer one call.

        Raises:
            OSError: The listener is of no use any more.
        """
        listener = heard.listener
        name, answer = self._table.get((call.architecture, call.number), _UNKNOWN)
        if heard.fresh or answer is None:
            heard.fresh = heard.fresh and name not in _EXECUTES
            if name in _CHANGES:
                listener.answer(call)
            else:
                listener.carry_on(call)
            return
        self._place.listener = listener
        try:
            value = answer(call)
        except GivenError:
            return
        except OSError as error:
            listener.answer(call, error=error.errno or errno.EIO)
            return
        except (ValueError, OverflowError, struct.error):  # numbers that no call of ours takes
            listener.answer(call, error=errno.EINVAL)
            return
        if value is None:
            listener.carry_on(call)
        else:
            listener.answer(call, value)


def credentials(config: dict[str, Any], bounding: int) -> Credentials:
    """Read who somebody is from ``uid``, ``gid`` and ``groups``."""
    return of(int(config["uid"]), int(config["gid"]), tuple(int(group) for group in config.get("groups", ())), bounding)


class Server:
    """The loop.

    Args:
        answers: What to say.
        door: Where listeners and questions come in.
        lifeline: Ends the loop when its other end is closed before a byte was written.
    """

    def __init__(self, answers: Answers, door: socket.socket, lifeline: int) -> None:
        self._answers = answers
        self._door = door
        self._lifeline = lifeline
        self._heard: dict[int, Heard] = {}
        self._poll = select.poll()
        self._poll.register(door.fileno(), select.POLLIN)
        self._poll.register(lifeline, select.POLLIN)

    def run(self) -> None:
        """Answer until nobody can ask any more."""
        had_any = False
        while self._heard or not had_any:
            for fd, events in self._poll.poll():
                if fd == self._lifeline:
                    if not os.read(fd, 1):
                        return
                    self._poll.unregister(fd)
                elif fd == self._door.fileno():
                    self._admit()
                    had_any = had_any or bool(self._heard)
                else:
                    self._serve(fd, events)

    def _serve(self, fd: int, events: int) -> None:
        heard = self._heard[fd]
        try:
            if events & select.POLLIN:
                call = heard.listener.receive()
                if call is not None:
                    self._answers.answer(heard, call)
                return
        except OSError:
            pass
        # Nobody can ask any more.
        self._poll.unregister(fd)
        del self._heard[fd]
        heard.listener.close()

    def _admit(self) -> None:
        """Take a listener from the OCI runtime, or answer a question of scow's."""
        try:
            with self._door.accept()[0] as visitor:
                visitor.settimeout(_PATIENCE_SECONDS)
                data, fds, _, _ = socket.recv_fds(visitor, _MAX_MESSAGE, 1)
                if fds:
                    os.set_inheritable(fds[0], False)
                    self._heard[fds[0]] = Heard(Listener(fds[0]))
                    self._poll.register(fds[0], select.POLLIN)
                elif data:
                    identities = self._answers.identities
                    visitor.sendall(b"%d" % identities.limit(credentials(json.loads(data), identities.bounding)))
        except (OSError, ValueError, KeyError, TypeError):
            return


def main() -> None:
    """Answer for the container that the first argument describes, as JSON."""
    os.umask(0)
    answers = Answers(json.loads(sys.argv[1]), os.uname().machine)
    door = socket.socket(fileno=SOCKET)
    path = door.getsockname()
    directory = os.path.dirname(path)
    above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = os.open("/tmp", os.O_PATH | os.O_CLOEXEC) if os.path.dirname(directory) == "/tmp" else -1
    # From here on modules would be looked for among the container's files.
    sys.path.clear()
    sys.meta_path.clear()
    try:
        Server(answers, door, LIFELINE).run()
    finally:
        try:
            os.unlink(os.path.basename(path), dir_fd=above)
            if temporary >= 0:
                os.rmdir(os.path.basename(directory), dir_fd=temporary)
        except OSError:
            pass
