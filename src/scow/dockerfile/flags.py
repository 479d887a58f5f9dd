# SPDX-License-Identifier: Apache-2.0
"""The ``--name=value`` words of instructions: which there are, and what their values may be."""

from __future__ import annotations

import re

from scow.dockerfile import suggest
from scow.dockerfile.errors import FaultError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    Kind = Literal["switch", "string", "list"]

_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")
_MAX: Final = (1 << 63) - 1


class Flags:
    """The flags of one instruction, checked.

    Args:
        words: As written, quotes removed.
        known: Every flag's name and kind.

    Raises:
        FaultError: An unknown or repeated flag, or a value missing or wrong.
    """

    __slots__ = ("_lists", "_strings")

    def __init__(self, words: tuple[str, ...], known: Mapping[str, Kind]) -> None:
        self._strings: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}
        for word in words:
            self._add(word, known)

    def _add(self, word: str, known: Mapping[str, Kind]) -> None:
        flag, sign, value = word.partition("=")
        name = flag[2:]
        kind = known.get(name)
        if kind is None:
            raise FaultError(f"unknown flag: {flag}", "bad-flag", flag, suggest.hint(name, known) or _listing(known))
        if kind != "list" and name in self._strings:
            raise FaultError(f"duplicate flag specified: {flag}", "bad-flag", flag)
        if (kind != "switch" and not sign) or (kind == "switch" and sign and not value):
            raise FaultError(f"missing a value on flag: {flag}", "bad-flag", flag, f"write {flag}=VALUE")
        if kind == "list":
            self._lists.setdefault(name, []).append(value)
            return
        if kind == "switch":
            value = value.lower() or "true"
            if value not in ("true", "false"):
                raise FaultError(f"expecting boolean value for flag {flag}, not: {value}", "bad-flag", word)
        self._strings[name] = value

    def string(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return self._strings.get(name, default)

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._strings.get(name) == "true"

    def switch_if_given(self, name: str) -> bool | None:
        """Whether a switch is on; ``None`` when it is not written."""
        return self.switch(name) if name in self._strings else None

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of a flag that may be repeated."""
        return tuple(self._lists.get(name, ()))


def _listing(known: Mapping[str, Kind]) -> str:
    return "known are " + ", ".join(f"--{name}" for name in sorted(known)) if known else "this instruction has no flags"


def duration(text: str) -> int:
    """Nanoseconds of a duration such as ``1m30s`` or ``1.5h``.

    Raises:
        ValueError: It is none, or too long for 64 bits.

    Source: Go, time.ParseDuration.
    """
    sign = -1 if text.startswith("-") else 1
    bare = text[1:] if text[:1] in ("+", "-") else text
    if bare == "0":
        return 0
    if not bare:
        raise ValueError(text)
    total = at = 0
    while at < len(bare):
        term = _TERM.match(bare, at)
        if term is None or term[3] not in _UNITS or not (term[1] or term[2]):
            raise ValueError(text)
        unit = _UNITS[term[3]]
        total += int(term[1] or "0") * unit
        if term[2]:
            total += int(term[2]) * unit // 10 ** len(term[2])
        if total > _MAX:
            raise ValueError(text)
        at = term.end()
    return sign * total


def interval(name: str, text: str) -> int:
    """A duration of HEALTHCHECK in nanoseconds; 0 when the text is empty.

    Raises:
        FaultError: It is no duration, or shorter than a millisecond and not 0.
    """
    if not text:
        return 0
    try:
        value = duration(text)
    except ValueError:
        raise FaultError(
            f"invalid duration {text!r} of --{name}", "bad-value", text, "write it like 30s or 1m30s"
        ) from None
    if value and value < _UNITS["ms"]:
        raise FaultError(f"--{name} cannot be less than 1ms", "bad-value", text)
    return value


def retries(text: str) -> int:
    """The number of HEALTHCHECK's ``--retries``; 0 when the text is empty.

    Raises:
        FaultError: It is no number of 32 bits, or negative.
    """
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text) or not -(1 << 31) <= int(text) < 1 << 31:
        raise FaultError(f"invalid number {text!r} of --retries", "bad-value", text)
    if int(text) < 0:
        raise FaultError(f"--retries cannot be negative ({int(text)})", "bad-value", text)
    return int(text)
