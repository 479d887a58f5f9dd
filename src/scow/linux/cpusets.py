# SPDX-License-Identifier: Apache-2.0
"""Lists of processors and memory nodes, such as ``0-3,5``, compared with what this host has.

Source: cpuset(7), "Formats".
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError


def read(text: str) -> set[int]:
    """Read a list.

    Raises:
        InvalidArgumentError: Malformed.
    """
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()) or (dash and int(high) < int(low)):
            raise InvalidArgumentError(f"invalid format: {text}")
        found.update(range(int(low), min(int(high if dash else low), 1 << 16) + 1))
    return found


def online(what: str) -> str:
    """What this host has, as a list.

    Args:
        what: ``cpu`` or ``node``.
    """
    try:
        with open(f"/sys/devices/system/{what}/online", encoding="ascii") as file:
            return file.read(1 << 12).strip()
    except OSError:
        return "0"


def check(processors: str, nodes: str) -> None:
    """Refuse lists with what this host does not have; empty ones are fine.

    Raises:
        InvalidArgumentError: Malformed, or not there.
    """
    for text, what, name, noun in (
        (processors, "cpu", "cpus", "CPUs"),
        (nodes, "node", "mems", "memory nodes"),
    ):
        if not text:
            continue
        try:
            wanted = read(text)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"Invalid value {text} for cpuset {name}: {error.message}") from None
        there = online(what)
        if not wanted <= read(there):
            raise InvalidArgumentError(f"Requested {noun} are not available - requested {text}, available: {there}")
