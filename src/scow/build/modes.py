# SPDX-License-Identifier: Apache-2.0
"""What ``--chmod`` means: an octal number, or chmod(1)'s symbols such as ``u=rwX,go=rX``. Pure.

The symbols are BSD's, as in BuildKit: ``X`` asks what the mode was before all changes, ``=`` clears the setuid and
setgid bits of directories too, and letters may follow a class (``g=ur``).

Source: Dockerfile reference, "COPY --chmod"; setmode(3).
"""

from __future__ import annotations

import re
import stat

from scow.errors import InvalidArgumentError
from scow.typing import NamedTuple

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o007, "a": 0o6777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_SET_ID, _STICKY, _ALL = 0o6000, 0o1000, 0o6777


class Action(NamedTuple):
    """One change of the twelve permission bits.

    Attributes:
        operator: ``+`` or ``-``; ``X`` sets where something could be run before all changes, and in directories;
            ``=`` takes the bits of another class in place of one's own.
        bits: Which.
        like: The class whose bits they are to be: ``u``, ``g``, ``o``; or none.
    """

    operator: str
    bits: int
    like: str = ""


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
        runs = stat.S_ISDIR(mode) or bool(mode & 0o111)
        bits = mode & 0o7777
        for action in self.actions:
            bits = _act(bits, action, runs=runs)
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
            who = sum(_WHO[letter] for letter in set(match[1])) if "a" not in match[1] else _ALL
            for sign, what in _ACTION.findall(match[2]):
                actions += _actions(who, sign, what)
        else:
            return Mode(None, tuple(actions))
        raise InvalidArgumentError(f"invalid chmod parameter: {text!r}", hint="write it as 0755 or u=rwX,go=rX")
    raise InvalidArgumentError(
        f"invalid chmod parameter: {text!r}, it should be an octal number between 0 and 07777 or symbols such as u+x"
    )


def _actions(who: int, sign: str, what: str) -> list[Action]:
    """What one sign and the letters after it do; ``who`` is 0 when nobody was named, which is everybody."""
    out: list[Action] = []
    bits = runs = 0

    def flush(*, last: bool) -> None:
        if sign == "=" and (bits or (last and not any(action.like for action in out))):
            out.append(Action("-", who or _ALL))
        if bits:
            out.append(Action("-" if sign == "-" else "+", who & bits if who else bits))
        if runs:
            out.append(Action("X", who & runs if who else runs))

    for letter in what:
        if letter in _SHIFTS:
            flush(last=False)
            bits = runs = 0
            out.append(Action(sign, who & 0o777 if who else 0o777, letter))
        elif letter == "X" and sign != "-":
            runs = 0o111
        elif letter in "st":
            if not who or who & ~0o007:  # "others" have no such bits
                bits |= _SET_ID if letter == "s" else _STICKY
                who |= _STICKY if letter == "t" else 0  # so that of "+xt" only the t remains, as in BuildKit
        else:
            bits |= _BITS[letter.lower()]
    flush(last=True)
    return out


def _act(bits: int, action: Action, *, runs: bool) -> int:
    """One action, on 12 permission bits."""
    wanted = action.bits
    if action.like:
        wanted &= (bits >> _SHIFTS[action.like] & 7) * 0o111
    if action.operator == "-":
        return bits & ~wanted
    if action.operator == "=":
        return bits & ~action.bits | wanted
    return bits | wanted if action.operator == "+" or runs else bits
