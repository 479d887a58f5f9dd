# SPDX-License-Identifier: Apache-2.0
"""What ``--chmod`` means: an octal number, or chmod(1)'s symbols such as ``u=rwX,go=rX``. Pure."""

from __future__ import annotations

import re
import stat

from scow.errors import InvalidArgumentError
from scow.typing import NamedTuple

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


class Action(NamedTuple):
    """One change: for whom, ``+``, ``-`` or ``=``, and what."""

    who: str
    operator: str
    what: str


class Mode(NamedTuple):
    """A value of ``--chmod``.

    Attributes:
        octal: The whole mode, or ``None``.
        actions: The symbols, in order.
    """

    octal: int | None = None
    actions: tuple[Action, ...] = ()

    def apply(self, mode: int) -> int:
        """The permissions that an entry gets.

        Args:
            mode: Type and permissions, as ``st_mode``.

        Returns:
            Type and permissions.
        """
        kind = stat.S_IFMT(mode)
        if self.octal is not None:
            return kind | self.octal
        bits = mode & 0o7777
        for action in self.actions:
            bits = _act(bits, action, is_dir=stat.S_ISDIR(mode))
        return kind | bits


def parse_mode(text: str) -> Mode:
    """Read a value of ``--chmod``.

    Raises:
        InvalidArgumentError: It is neither octal up to 07777 nor symbols.
    """
    if re.fullmatch(r"[0-7]+", text):
        if int(text, 8) <= 0o7777:
            return Mode(int(text, 8))
    elif not re.fullmatch(r"[+-]?\d+", text):
        actions: list[Action] = []
        for clause in text.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                break
            who = "ugo" if not match[1] or "a" in match[1] else match[1]
            actions += [Action(who, sign, what) for sign, what in _ACTION.findall(match[2])]
        else:
            return Mode(None, tuple(actions))
        raise InvalidArgumentError(f"invalid chmod parameter: {text!r}", hint="write it as 0755 or u=rwX,go=rX")
    raise InvalidArgumentError(
        f"invalid chmod parameter: {text!r}, it should be an octal number between 0 and 07777 or symbols such as u+x"
    )


def _act(bits: int, action: Action, *, is_dir: bool) -> int:
    """One action, on 12 permission bits."""
    what = action.what
    if what in _SHIFTS:  # as another class has it
        digit = bits >> _SHIFTS[what] & 7
    else:
        digit = sum(_BITS[letter] for letter in set(what) & set("rwx"))
        if "X" in what and (is_dir or bits & 0o111):
            digit |= 1
    wanted = mask = 0
    for who in set(action.who):
        wanted |= digit << _SHIFTS[who]
        mask |= 7 << _SHIFTS[who]
    if "s" in what:
        wanted |= (0o4000 if "u" in action.who else 0) | (0o2000 if "g" in action.who else 0)
    if "t" in what:
        wanted |= 0o1000
    if action.operator == "+":
        return bits | wanted
    if action.operator == "-":
        return bits & ~wanted
    if not is_dir:  # chmod(1) keeps a directory's setuid and setgid unless they are named
        mask |= (0o4000 if "u" in action.who else 0) | (0o2000 if "g" in action.who else 0)
    return bits & ~mask | wanted
