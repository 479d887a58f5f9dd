# SPDX-License-Identifier: Apache-2.0
"""Remembering who a process believes to be, and answering the calls that ask for it or change it.

Children inherit it, threads share it and programs that are executed keep it, all without asking us. So it is kept where
the kernel passes it on just so: the soft limit ``RLIMIT_LOCKS``, which means nothing since Linux 2.4, holds a number,
and a table what the number stands for. A process without such a number is who the container's first one was.
"""

from __future__ import annotations

import errno
import os
import resource
import struct

from scow.linux.notify import read_memory, write_memory
from scow.runtime.oneid.credentials import KEEP, MAX_GROUPS, SETGID, SETUID
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.linux.notify import Call
    from scow.runtime.oneid.credentials import Credentials, Ids

    Answer = Callable[[Call], int | None]

LIMIT, LIMIT_NAME = 10, "RLIMIT_LOCKS"
FIRST = 1 << 40
"""The soft limit that stands for the first entry of the table."""
_ROOM = 1 << 17
"""How many identities are remembered, each with all its groups: hostile programs could make up any number."""
_ID = struct.Struct("=I")
_CAPABILITY_VERSION = 0x20080522
_SETS = struct.Struct("=6I")


class Identities:
    """The table of one container.

    Args:
        first: Who its first process is.
        bounding: Mask of the capabilities that user 0 has in it.
        status: Reads the ``status`` of a process.
    """

    def __init__(self, first: Credentials, bounding: int, status: Callable[[int], bytes]) -> None:
        self.first = first
        self.bounding = bounding
        self._status = status
        self._known: list[Credentials] = [first]
        self._numbers: dict[Credentials, int] = {first: 0}
        self._room = _ROOM

    def of(self, pid: int) -> Credentials:
        """Who a process believes to be.

        Raises:
            OSError: There is no such process.
        """
        number = resource.prlimit(pid, LIMIT)[0] - FIRST
        return self._known[number] if 0 <= number < len(self._known) else self.first

    def limit(self, who: Credentials) -> int:
        """The soft limit that stands for somebody.

        Raises:
            OSError: Too many different ones.
        """
        number = self._numbers.get(who)
        if number is None:
            needed = 1 + len(who.supplementary)
            if needed > self._room:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._room -= needed
            number = self._numbers[who] = len(self._known)
            self._known.append(who)
        return FIRST + number

    def become(self, pid: int, who: Credentials) -> None:
        """Let a process believe to be somebody.

        Raises:
            OSError: There is no such process, or it has lowered the hard limit.
        """
        try:
            resource.prlimit(pid, LIMIT, (self.limit(who), resource.prlimit(pid, LIMIT)[1]))
        except ValueError:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None

    # ------------------------------------------------------------------ calls

    def answers(self) -> dict[str, Answer]:
        """The calls that are answered here, by name."""
        one = {
            "getuid": lambda who: who.users.real,
            "geteuid": lambda who: who.users.effective,
            "getgid": lambda who: who.groups.real,
            "getegid": lambda who: who.groups.effective,
        }
        table: dict[str, Answer] = {name: self._getter(pick) for name, pick in one.items()}
        for letter, users in (("u", True), ("g", False)):
            table[f"getres{letter}id"] = self._three_getter(users=users)
            for name in ("set{}id", "setre{}id", "setres{}id", "setfs{}id"):
                table[name.format(letter)] = self._setter(name, users=users)
        return {
            **table,
            "getgroups": self._get_groups,
            "setgroups": self._set_groups,
            "prctl": self._prctl,
            "capget": self._capget,
            "capset": self._capset,
        }

    def _getter(self, pick: Callable[[Credentials], int]) -> Answer:
        return lambda call: pick(self.of(call.pid))

    def _three_getter(self, *, users: bool) -> Answer:
        def answer(call: Call) -> int:
            who = self.of(call.pid)
            for address, value in zip(call.args, (who.users if users else who.groups)[:3], strict=False):
                write_memory(call.pid, address, _ID.pack(value))
            return 0

        return answer

    def _setter(self, name: str, *, users: bool) -> Answer:
        capability = SETUID if users else SETGID

        def answer(call: Call) -> int:
            who = self.of(call.pid)
            ids = who.users if users else who.groups
            new, value = _changed(ids, name, call.args, powerful=who.may(capability))
            if new != ids:
                if not users:
                    who = who._replace(groups=new)
                else:
                    who = who.with_files(new) if name == "setfs{}id" else who.with_users(new)
                self.become(call.pid, who)
            return value

        return answer

    def _get_groups(self, call: Call) -> int:
        groups = self.of(call.pid).supplementary
        room = call.args[0] & KEEP
        if room and room < len(groups):
            raise OSError(errno.EINVAL, "")
        if room and groups:
            write_memory(call.pid, call.args[1], struct.pack(f"={len(groups)}I", *groups))
        return len(groups)

    def _set_groups(self, call: Call) -> int:
        who = self.of(call.pid)
        if not who.may(SETGID):
            raise OSError(errno.EPERM, "")
        count = call.args[0] & KEEP
        if count > MAX_GROUPS:
            raise OSError(errno.EINVAL, "")
        data = read_memory(call.pid, call.args[1], 4 * count) if count else b""
        if len(data) != 4 * count:
            raise OSError(errno.EFAULT, "")
        self.become(call.pid, who._replace(supplementary=tuple(sorted(struct.unpack(f"={count}I", data)))))
        return 0

    # ------------------------------------------------------------------ capabilities

    def _prctl(self, call: Call) -> None:
        """Only ``PR_SET_KEEPCAPS`` asks."""
        who = self.of(call.pid)
        keeps = bool(call.args[1])
        if keeps != who.keeps:
            self.become(call.pid, who._replace(keeps=keeps))

    def _capget(self, call: Call) -> int | None:
        if not self._is_own(call) or not call.args[1]:
            return None
        who = self.of(call.pid)
        sets = (who.effective, who.permitted, 0)
        halves = [value >> shift & KEEP for shift in (0, 32) for value in sets]
        write_memory(call.pid, call.args[1], _SETS.pack(*halves))
        return 0

    def _capset(self, call: Call) -> None:
        """Note what is given up or taken again; the kernel does the same with the real ones."""
        if not self._is_own(call):
            return
        data = read_memory(call.pid, call.args[1], _SETS.size)
        if len(data) != _SETS.size:
            return
        low_effective, low_permitted, _, high_effective, high_permitted, _ = _SETS.unpack(data)
        effective, permitted = low_effective | high_effective << 32, low_permitted | high_permitted << 32
        who = self.of(call.pid)
        if permitted & ~who.permitted or effective & ~permitted:
            raise OSError(errno.EPERM, "")
        if (permitted, effective) != (who.permitted, who.effective):
            self.become(call.pid, who._replace(permitted=permitted, effective=effective))

    def _is_own(self, call: Call) -> bool:
        """Whether a call about capabilities is about the caller, in the form of today."""
        data = read_memory(call.pid, call.args[0], 8)
        if len(data) != 8:
            return False
        version, pid = struct.unpack("=Ii", data)
        if version != _CAPABILITY_VERSION:
            return False
        # The last of its numbers is the one that the caller knows.
        return pid == 0 or b"%d" % pid in self._status(call.pid).partition(b"\nNSpid:")[2].splitlines()[0].split()[-1:]


def _changed(ids: Ids, name: str, args: tuple[int, ...], *, powerful: bool) -> tuple[Ids, int]:
    """What a call makes of ids, and its value."""
    one, two, three = (value & KEEP for value in args[:3])
    if name == "setfs{}id":
        return ids.set_files(one, powerful=powerful), ids.files
    if name == "set{}id":
        if one == KEEP:
            raise OSError(errno.EINVAL, "")
        new = ids.set(one, powerful=powerful)
    elif name == "setre{}id":
        new = ids.set_two(one, two, powerful=powerful)
    else:
        new = ids.set_three(one, two, three, powerful=powerful)
    if new is None:
        raise OSError(errno.EPERM, "")
    return new, 0
