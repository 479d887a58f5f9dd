# SPDX-License-Identifier: Apache-2.0
"""What COPY and ADD put where: patterns, ``--parents``, ``--exclude``, links, owners and modes.

Works on a :class:`~scow.build.dest.DestTree` from any :class:`~scow.build.sources.SourceTree`, so that a copy is
decided before a byte is read.

Source: Dockerfile reference, "COPY" and "ADD"; BuildKit v0.32 for what they leave open.
"""

from __future__ import annotations

import os
import re
import stat

from scow.build.dest import DestinationError, Slot, shown
from scow.build.sources import SourceNotFoundError, clean, join, parent_of, resolve
from scow.dockerfile.ignore import IgnoreMatcher
from scow.errors import InvalidArgumentError
from scow.record import Record, State
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.build.dest import DestTree
    from scow.build.modes import Mode
    from scow.build.sources import SourceTree, Status
    from scow.dockerfile.ignore import Trail


class CopySource(NamedTuple):
    """One source of a copy.

    Attributes:
        path: As in the instruction, absolute; an ending ``/`` or ``/.`` kept.
        wildcards: Whether ``*``, ``?`` and ``[`` are patterns.
        includes: With ``--parents``: what below ``path`` is meant.
        required: Must be there, by itself and not behind a link, though ``includes`` alone would not mind.
        unpack: Archives are unpacked.
    """

    path: str
    wildcards: bool = True
    includes: tuple[str, ...] = ()
    required: str = ""
    unpack: bool = False


class CopyRules(Record):
    """What holds for all sources of one instruction.

    Attributes:
        owner: User and group of everything that is copied; ``None`` to keep them.
        mode: From ``--chmod``.
        excludes: From ``--exclude``.
    """

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    excludes: tuple[str, ...] = ()

    @property
    def directory_mode(self) -> int:
        """Permissions of directories that are made on the way."""
        return self.mode.octal if self.mode is not None and self.mode.octal is not None else 0o755

    @property
    def directory_owner(self) -> tuple[int, int]:
        """Owner of directories that are made on the way."""
        return self.owner or (0, 0)


def has_wildcards(path: str) -> bool:
    """Whether a path is a pattern."""
    at = 0
    while at < len(path):
        if path[at] in "*?[":
            return True
        at += 2 if path[at] == "\\" else 1
    return False


def matches(tree: SourceTree, source: CopySource) -> list[bytes]:
    """The paths that a source means: itself, or what its pattern matches, in order.

    Raises:
        InvalidArgumentError: A pattern that cannot be read.
        SourceNotFoundError: A path that must be there is not.
    """
    if source.required:
        required = clean(os.fsencode(source.required))
        if resolve(tree, required, last=False) != required or tree.look(required) is None:
            raise _missing(required)
    if not source.wildcards or not has_wildcards(source.path):
        return [os.fsencode(source.path)]
    parts = [part for part in os.fsdecode(clean(os.fsencode(source.path))).split("/") if part]
    plain = 0
    while not has_wildcards(parts[plain]):
        plain += 1
    start = resolve(tree, os.fsencode("/".join(parts[:plain])))
    found = tree.look(start)
    if found is None:  # a pattern may match nothing, but in a directory that is there
        raise _missing(start)
    if not found.is_dir:
        return []
    current = [start]
    for number, part in enumerate(parts[plain:], plain + 1):
        pattern = re.compile(_translate(part), re.DOTALL)
        hits = [
            join(directory, name)
            for directory in current
            for name in tree.names(directory)
            if pattern.fullmatch(os.fsdecode(name))
        ]
        if number < len(parts):
            hits = [path for path in hits if (status := tree.look(path)) is not None and status.is_dir]
        current = hits
    return current


def _translate(pattern: str) -> str:
    """One component of Go's ``filepath.Match`` as a regular expression.

    Raises:
        InvalidArgumentError: A class without an end, an empty one, one with half a range, a backslash at the end.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            text, at = _class(pattern, at)
            out.append(text)
        elif char == "\\":
            literal, at = _literal(pattern, at - 1)
            out.append(literal)
        else:
            out.append(re.escape(char))
    return "".join(out)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The class whose inside begins at ``at``, and where it ends; a range that runs backwards matches nothing."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while not ranges or pattern[at : at + 1] != "]":
        low, at = _literal(pattern, at, ends="-]")
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _literal(pattern, at + 1, ends="-]")
        ranges.append(f"{low}-{high}" if low[-1] <= high[-1] else "")
    inside = "".join(ranges)
    if not inside:
        return "[^/]" if negated else "(?!)", at + 1
    return f"[{'^' if negated else ''}{inside}]", at + 1


def _literal(pattern: str, at: int, ends: str = "") -> tuple[str, int]:
    """A character, perhaps behind a backslash, escaped for a regular expression; and what comes after it."""
    char = pattern[at : at + 1]
    if char == "\\":
        at += 1
        char, ends = pattern[at : at + 1], ""
    if not char or char in ends:
        raise InvalidArgumentError(
            f"syntax error in pattern {pattern!r}", hint="put a backslash before a '[' that is meant"
        )
    return re.escape(char), at + 1


def copy(dest: DestTree, tree: SourceTree, match: bytes, target: str, rules: CopyRules, source: CopySource) -> None:
    """Copy what is at one path.

    Args:
        dest: Where to.
        tree: Where from.
        match: A path that :func:`matches` gave.
        target: Absolute path in ``dest``; ends with a slash, or ``/.``, when it must be a directory.
        rules: Of the instruction.
        source: What ``match`` comes from.

    Raises:
        SourceNotFoundError: Nothing is there.
        DestinationError: A file is in the way of a directory, or the other way round.
    """
    where = lexical(os.fsencode(target))
    head, _, tail = where.rpartition(b"/")
    ensure = head if tail not in (b"", b".") else where
    dest.make_directories(dest.resolve(ensure), rules.directory_mode, rules.directory_owner)
    path = dest.resolve(clean(where))
    real = resolve(tree, match)
    status = tree.look(real)
    if status is None:
        raise _missing(match)
    there = dest.look(path)
    if there is not None and there.is_dir and not status.is_dir:
        path = join(path, clean(match).rpartition(b"/")[2])
    above = path if status.is_dir and there is None else parent_of(path)
    dest.make_directories(above, rules.directory_mode, rules.directory_owner)
    _Copier(dest, tree, rules, source.includes).run(real, path)


def lexical(target: bytes) -> bytes:
    """A destination without ``..``, before any link is looked at; an ending slash or ``/.`` stays."""
    out = b"/" + clean(target)
    if out == b"/":
        return out
    return out + (b"/." if target.endswith(b"/.") else b"/" if target.endswith(b"/") else b"")


class _Frame(State):
    """A directory whose entries are being copied."""

    source: bytes
    inside: str
    target: bytes
    copied: bool
    entries: list[tuple[bytes, Status]]
    included: Trail | None
    excluded: Trail | None


class _Copier:
    """Copies one file or tree."""

    def __init__(self, dest: DestTree, tree: SourceTree, rules: CopyRules, includes: tuple[str, ...]) -> None:
        self._dest = dest
        self._tree = tree
        self._rules = rules
        self._filter = Filter(includes, rules.excludes)
        self._links: dict[tuple[int, int], bytes] = {}
        self._stack: list[_Frame] = []

    def run(self, source: bytes, target: bytes) -> None:
        status = self._tree.look(source)
        if status is None:
            raise _missing(source)
        frame = self._visit(source, status, "", target, None)
        if frame is not None:
            self._stack.append(frame)
        plain = self._filter.plain
        while self._stack:
            frame = self._stack[-1]
            if not frame.entries:
                self._stack.pop()
                continue
            name, status = frame.entries.pop()
            inside = ""
            if not plain:
                inside = f"{frame.inside}/{os.fsdecode(name)}" if frame.inside else os.fsdecode(name)
            below = self._visit(join(frame.source, name), status, inside, join(frame.target, name), frame)
            if below is not None:
                self._stack.append(below)

    def _visit(self, source: bytes, status: Status, inside: str, target: bytes, parent: _Frame | None) -> _Frame | None:
        """Copy an entry itself; a frame for what is in it, when it is a directory."""
        verdict = _TAKEN
        if inside and parent is not None:
            verdict = self._filter.judge(inside, parent.included, parent.excluded)
        if verdict.prune:
            return None
        top = parent is None
        if not status.is_dir:
            if verdict.taken:
                self._make_parents(overwrite=not top)
                self._put_file(source, status, target)
            return None
        if verdict.taken:
            self._make_parents(overwrite=not top)
            self._put_directory(source, status, target, top=top)
        entries = self._tree.entries(source)[::-1]
        return _Frame(source, inside, target, verdict.taken, entries, verdict.included, verdict.excluded)

    def _make_parents(self, *, overwrite: bool) -> None:
        """Make the directories that were not wanted for themselves, now that something in them is."""
        for frame in self._stack:
            if frame.copied:
                continue
            frame.copied = True
            status = self._tree.look(frame.source)
            if status is None:
                raise _missing(frame.source)
            there = self._directory_at(frame.target)
            if there is None:
                self._dest.put(frame.target, self._slot(frame.source, status))
            elif overwrite:
                self._dest.put(frame.target, self._dest.current(frame.target)._replace(mode=status.mode))

    def _directory_at(self, target: bytes) -> Status | None:
        there = self._dest.look(target)
        if there is not None and not there.is_dir:
            raise DestinationError(f"cannot copy to non-directory: {shown(target)}")
        return there

    def _put_directory(self, source: bytes, status: Status, target: bytes, *, top: bool) -> None:
        there = self._directory_at(target)
        if there is None or not top:
            self._dest.put(target, self._slot(source, status))
        else:
            self._dest.set_time(target, status.mtime_ns)

    def _put_file(self, source: bytes, status: Status, target: bytes) -> None:
        there = self._dest.look(target)
        if there is not None:
            if there.is_dir:
                raise DestinationError(f"cannot replace to directory {shown(target)} with file")
            self._dest.remove(target)
        slot = self._slot(source, status)
        if status.identity is not None and status.is_file:
            first = self._links.setdefault(status.identity, target)
            if first != target:
                slot = slot._replace(hard=True, linkname=first)
        self._dest.put(target, slot)

    def _slot(self, source: bytes, status: Status) -> Slot:
        mode = status.mode
        if self._rules.mode is not None and not status.is_link:
            mode = self._rules.mode.apply(mode)
        uid, gid = self._rules.owner or (status.uid, status.gid)
        return Slot(
            mode,
            uid,
            gid,
            status.mtime_ns,
            self._tree.readlink(source) if status.is_link else b"",
            status.rdev,
            self._tree.xattrs(source),
            self._tree if status.is_file else None,
            source,
            status.size if status.is_file else 0,
        )


class Verdict(NamedTuple):
    """Whether a path is copied, and what its contents inherit.

    Attributes:
        taken: It is.
        prune: Neither it nor anything in it is.
        included: For what is in it.
        excluded: For what is in it.
    """

    taken: bool
    prune: bool
    included: Trail | None
    excluded: Trail | None


_TAKEN = Verdict(True, False, None, None)


class Filter:
    """``--parents`` patterns and ``--exclude`` patterns together.

    Args:
        includes: Only what matches one of these; all when empty.
        excludes: Not what matches one of these.
    """

    def __init__(self, includes: tuple[str, ...], excludes: tuple[str, ...]) -> None:
        # Everything is left out but what comes back: this way a walk knows where nothing can.
        self._includes = IgnoreMatcher(["**", *(f"!{pattern}" for pattern in includes)]) if includes else None
        self._excludes = IgnoreMatcher(excludes) if excludes else None

    @property
    def plain(self) -> bool:
        """Everything is taken."""
        return self._includes is None and self._excludes is None

    def judge(self, path: str, included: Trail | None, excluded: Trail | None) -> Verdict:
        """Judge a path, relative to where the copy starts.

        Args:
            path: ``""`` for the start itself.
            included: From the verdict on the directory it is in.
            excluded: From the verdict on the directory it is in.
        """
        if not path or self.plain:
            return Verdict(True, False, None, None)
        taken, prune = True, False
        if self._includes is not None:
            included = self._includes.enter(path, included)
            taken, prune = not included.excluded, included.prunable
        if self._excludes is not None:
            excluded = self._excludes.enter(path, excluded)
            if excluded.excluded:
                taken, prune = False, prune or excluded.prunable
        return Verdict(taken, prune, included, excluded)


def _missing(path: bytes) -> SourceNotFoundError:
    return SourceNotFoundError(f"{shown(clean(path))!r} not found")


def fingerprint(tree: SourceTree, path: bytes, keep: Filter) -> str:
    """A digest of what a copy of a path would take: names, types, modes, owners, contents, attributes; not times.

    Raises:
        SourceNotFoundError: Nothing is there.
    """
    import hashlib

    found = hashlib.sha256()
    stack: list[tuple[bytes, str, Trail | None, Trail | None]] = [(resolve(tree, path), "", None, None)]
    while stack:
        here, inside, included, excluded = stack.pop()
        verdict = keep.judge(inside, included, excluded)
        if verdict.prune:
            continue
        status = tree.look(here)
        if status is None:
            raise _missing(path)
        if verdict.taken:
            found.update(f"{status.mode:o} {status.uid} {status.gid} ".encode())
            found.update(os.fsencode(inside) + b"\0" + _content(tree, here, status) + b"\n")
        if status.is_dir:
            for name in reversed(tree.names(here)):
                text = os.fsdecode(name)
                below = f"{inside}/{text}" if inside else text
                stack.append((join(here, name), below, verdict.included, verdict.excluded))
    return found.hexdigest()


def _content(tree: SourceTree, path: bytes, status: Status) -> bytes:
    attributes = b"".join(b" %b=%b" % (name, value.hex().encode()) for name, value in tree.xattrs(path))
    if status.is_file:
        return tree.digest(path).encode() + attributes
    if status.is_link:
        return b"link " + tree.readlink(path).hex().encode() + attributes
    if stat.S_ISDIR(status.mode):
        return b"directory" + attributes
    return b"node %d" % status.rdev + attributes
