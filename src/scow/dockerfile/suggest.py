# SPDX-License-Identifier: Apache-2.0
"""Did you mean: the nearest known word to a wrong one."""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_NEAR: Final = 2
"""Edits; farther words are no typing errors."""


def nearest(word: str, known: Iterable[str], *, fold: bool = False) -> str:
    """The known word at most two edits away, the nearest first; ``""`` when there is none.

    Args:
        word: What was written; a word longer than 64 characters has no neighbours.
        known: What can be written.
        fold: Ignore letter case, and answer in the case of ``word``.
    """
    if len(word) > 64:
        return ""
    wanted = word.lower() if fold else word
    best, found = _NEAR + 1, ""
    for candidate in sorted(known):
        option = candidate.lower() if fold else candidate
        if option == wanted:
            return ""
        edits = distance(wanted, option)
        if edits < best:
            best, found = edits, candidate
    if fold and found:
        return found.lower() if word.islower() else found.upper()
    return found


def distance(left: str, right: str) -> int:
    """Insertions, deletions and replacements that make one word the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for count, char in enumerate(left, 1):
        corner, row[0] = row[0], count
        for at, other in enumerate(right, 1):
            corner, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, corner + (char != other))
    return row[-1]


def hint(word: str, known: Iterable[str], *, fold: bool = False) -> str:
    """``did you mean X?`` or ``""``."""
    found = nearest(word, known, fold=fold)
    return f"did you mean {found}?" if found else ""
