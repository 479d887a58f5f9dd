# SPDX-License-Identifier: Apache-2.0
"""Ignore files: reading them, and deciding which paths they leave out.

The last pattern that matches a path or one of its folders decides; ``!`` brings back. Patterns of one sign that follow
each other are asked together, so that ten thousand paths take a fraction of a second.

Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher, whose oddities are kept.
"""

from __future__ import annotations

import re

from scow.dockerfile.errors import IgnorePatternError
from scow.dockerfile.ignorepattern import Pattern, clean
from scow.dockerfile.text import trim
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

_LINE_LIMIT: Final = 65_535


def read(text: str) -> list[str]:
    """The patterns of an ignore file, cleaned: no comments, no leading slash.

    Raises:
        IgnorePatternError: A line is longer than 65,535 bytes.
    """
    out: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if len(line) * 4 > _LINE_LIMIT and len(line.encode("utf-8", "replace")) > _LINE_LIMIT:
            raise IgnorePatternError(f"line of the ignore file is longer than {_LINE_LIMIT} bytes")
        pattern = trim(line)
        if not pattern or line.startswith("#"):
            continue
        sign = "!" if pattern.startswith("!") else ""
        pattern = trim(pattern[len(sign) :])
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        out.append(sign + pattern)
    return out


class Decision(NamedTuple):
    """Whether a path is left out, and the pattern that said so last (with its ``!``), if any."""

    excluded: bool
    pattern: str | None


class Trail(NamedTuple):
    """What a walk knows of a path, and hands down to what is in it.

    Attributes:
        excluded: The path is left out.
        pattern: The pattern that decided, with its ``!``; ``None`` when none did.
        prunable: The path is left out and nothing below it can come back.
        hits: For each group of patterns, the one that matched here or above, or -1.
    """

    excluded: bool
    pattern: str | None
    prunable: bool
    hits: tuple[int, ...]


class IgnoreMatcher:
    """Patterns made ready to be asked often.

    Args:
        patterns: As ``read`` gives them, or from ``COPY --exclude``.

    Raises:
        IgnorePatternError: One is malformed.
    """

    __slots__ = ("_groups", "_patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: list[Pattern] = []
        for text in patterns:
            bare = trim(text)
            if bare:
                self._patterns.append(Pattern(bare))
        groups: list[list[int]] = []
        for index, pattern in enumerate(self._patterns):
            if not groups or self._patterns[groups[-1][0]].negated != pattern.negated:
                groups.append([])
            groups[-1].append(index)
        self._groups = [_Group(self._patterns, indexes) for indexes in groups]

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._patterns)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns in force, cleaned."""
        return tuple(pattern.shown for pattern in self._patterns)

    def excludes(self, path: str) -> bool:
        """Whether a path is left out, judged by itself and all its folders.

        Raises:
            IgnorePatternError: A pattern that is asked makes no sense.
        """
        return self.decide(path).excluded

    def decide(self, path: str) -> Decision:
        """As ``excludes``, with the pattern that decided.

        Raises:
            IgnorePatternError: A pattern that is asked makes no sense.
        """
        path = clean(path)
        if path == ".":
            return Decision(False, None)
        decided = -1
        excluded = False
        candidates = (path, *_folders(path))
        for group in self._groups:
            if group.negated == excluded and (hit := group.first(candidates)) >= 0:
                excluded = not group.negated
                decided = hit
        return Decision(excluded, self._shown(decided))

    def enter(self, path: str, parent: Trail | None = None) -> Trail:
        """Judge one path in a walk from the top.

        A folder's verdict is what its contents start from, and a ``!`` pattern counts for a folder only where the
        folder was left out; this is how builders scan a context, and may differ from ``excludes`` where patterns for
        a folder and for its contents are mixed.

        Args:
            path: Relative, with slashes, without ``./``.
            parent: What this function said of the path's folder; ``None`` for paths at the top.

        Raises:
            IgnorePatternError: A pattern that is asked makes no sense.
        """
        above = parent.hits if parent is not None else ()
        hits: list[int] = []
        decided = -1
        excluded = False
        for index, group in enumerate(self._groups):
            hit = above[index] if above else -1
            if hit < 0 and group.negated == excluded:
                hit = group.first((path,) if above or "/" not in path else (path, *_folders(path)))
            hits.append(hit)
            if hit >= 0:
                excluded = not group.negated
                decided = hit
        prunable = excluded and not self._may_return(path, decided)
        return Trail(excluded, self._shown(decided), prunable, tuple(hits))

    def _shown(self, index: int) -> str | None:
        return self._patterns[index].shown if index >= 0 else None

    def _may_return(self, path: str, decided: int) -> bool:
        """Whether a ``!`` pattern after the deciding one can match something below the path."""
        return any(pattern.negated and pattern.reaches(path) for pattern in self._patterns[decided + 1 :])


class _Group:
    """Patterns of one sign in a row: a path matches the group when it matches one of them."""

    __slots__ = ("_all", "_exact", "_indexes", "_prefixes", "_regex", "_slow", "_suffixes", "negated")

    def __init__(self, patterns: Sequence[Pattern], indexes: list[int]) -> None:
        self._all = patterns
        self._indexes = indexes
        self.negated = patterns[indexes[0]].negated
        mine = [patterns[index] for index in indexes]
        self._slow = any(pattern.fault for pattern in mine)
        self._exact = frozenset(text for pattern in mine for text in pattern.exact)
        self._prefixes = tuple(pattern.prefix for pattern in mine if pattern.prefix is not None)
        self._suffixes = tuple(pattern.suffix for pattern in mine if pattern.suffix is not None)
        regexes = [pattern.regex for pattern in mine if pattern.regex is not None]
        self._regex = re.compile("|".join(f"(?:{regex})" for regex in regexes)) if regexes else None

    def first(self, paths: tuple[str, ...]) -> int:
        """The index of the first pattern that matches one of the paths, or -1."""
        if not self._slow and not any(self._any(path) for path in paths):
            return -1
        for index in self._indexes:
            if any(self._all[index].matches(path) for path in paths):
                return index
        return -1

    def _any(self, path: str) -> bool:
        return (
            path in self._exact
            or path.startswith(self._prefixes)
            or path.endswith(self._suffixes)
            or (self._regex is not None and self._regex.match(path) is not None)
        )


def _folders(path: str) -> list[str]:
    """The folders above a cleaned path, the outermost first; of ``/a`` they are the empty one and ``/``."""
    parts = path.split("/")[:-1]
    if parts == [""]:
        return ["", "/"]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
