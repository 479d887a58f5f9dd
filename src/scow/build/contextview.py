# SPDX-License-Identifier: Apache-2.0
"""Looking into a build context: what is in it, what takes space, which instruction uses it, why something is out."""

from __future__ import annotations

import os
import posixpath
import stat

from scow.build.context import ContextTree
from scow.build.copying import CopySource, matches
from scow.build.sources import clean, resolve
from scow.dockerfile import ast, ignore, words
from scow.dockerfile.errors import WordError
from scow.dockerfile.parser import parse
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Row(NamedTuple):
    """Something at the top of a context.

    Attributes:
        path: Its name; directories end with a slash.
        size: Bytes of the files in it.
        files: How many.
        users: Instructions that copy it.
        ignored: The pattern that leaves it out, or ``""``.
    """

    path: str
    size: int
    files: int
    users: tuple[str, ...]
    ignored: str


class Use(NamedTuple):
    """An instruction that copies from the context.

    Attributes:
        line: Where it stands.
        text: Its text.
        paths: What it copies, links resolved.
    """

    line: int
    text: str
    paths: tuple[bytes, ...]


class Verdict(NamedTuple):
    """Why a file is in a context or not.

    Attributes:
        there: It exists on disk.
        included: It is in the context.
        pattern: The pattern that decided, or ``""``.
        source: File and line of the pattern, or ``""``.
        uses: Instructions that copy it.
    """

    there: bool
    included: bool
    pattern: str
    source: str
    uses: tuple[str, ...]


class ContextView:
    """One context with its Dockerfile.

    Args:
        root: The directory.
        dockerfile: Path of the Dockerfile; ``""`` for the one in the directory.
    """

    def __init__(self, root: str, dockerfile: str = "") -> None:
        self.root = os.path.realpath(root)
        self.dockerfile = dockerfile or os.path.join(self.root, "Dockerfile")
        self.ignore_file = ""
        patterns: tuple[str, ...] = ()
        for path in (f"{self.dockerfile}.dockerignore", os.path.join(self.root, ".dockerignore")):
            if os.path.isfile(path):
                self.ignore_file = path
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    patterns = tuple(ignore.read(file.read()))
                break
        self.tree = ContextTree(self.root, patterns)

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every entry that a build sees, sorted."""
        for path, status in self.tree.walk():
            yield os.fsdecode(path), status

    def uses(self) -> list[Use]:
        """The instructions that copy from the context; variables have their defaults."""
        try:
            with open(self.dockerfile, encoding="utf-8", errors="surrogateescape") as file:
                dockerfile = parse(file.read(), self.dockerfile)
        except FileNotFoundError:
            return []
        env: dict[str, str] = {}
        out: list[Use] = []
        for node in dockerfile.instructions:
            if isinstance(node, ast.Arg):
                env.update((argument.name, argument.default or "") for argument in node.arguments)
            elif isinstance(node, ast.Env):
                env.update((pair.name, _expand(pair.value, env)) for pair in node.pairs)
            elif isinstance(node, ast.Add) or (isinstance(node, ast.Copy) and not node.from_):
                out.append(self._use(node, env))
        return out

    def _use(self, node: ast.Copy | ast.Add, env: dict[str, str]) -> Use:
        paths: list[bytes] = []
        for text in node.sources:
            word = _expand(text, env)
            if "://" in word:
                continue
            path = posixpath.normpath("/" + word.lstrip("/"))
            paths += [resolve(self.tree, match) for match in matches(self.tree, CopySource(path))]
        return Use(node.span.first, node.source, tuple(paths))

    def usage(self) -> list[Row]:
        """What stands at the top of the directory, the largest first; ignored things too."""
        uses = self.uses()
        rows: list[Row] = []
        for name in sorted(os.listdir(self.root)):
            path = os.fsencode(name)
            info = os.lstat(os.path.join(self.root, name))
            is_dir = stat.S_ISDIR(info.st_mode)
            seen = self.tree.look(path)
            if seen is None:
                trail = self.tree.trail(path)
                size, files = _weigh(os.path.join(self.root, name))
                ignored = (trail.pattern if trail is not None else "") or "?"
                rows.append(Row(name + "/" * is_dir, size, files, (), ignored))
                continue
            members = [status for _, status in self.tree.walk(path)] if is_dir else [info]
            regular = [status.st_size for status in members if stat.S_ISREG(status.st_mode)]
            users = tuple(f"{use.text} (line {use.line})" for use in uses if any(_covers(p, path) for p in use.paths))
            rows.append(Row(name + "/" * is_dir, sum(regular), len(regular), users, ""))
        return sorted(rows, key=lambda row: -row.size)

    def why(self, name: str) -> Verdict:
        """Why a path is in the context or not."""
        path = clean(os.fsencode(os.path.relpath(os.path.abspath(name), self.root) if os.path.isabs(name) else name))
        there = os.path.lexists(self.tree.root + b"/" + path)
        trail = self.tree.trail(path)
        pattern = (trail.pattern if trail is not None else None) or ""
        included = there and self.tree.look(path) is not None
        uses = [
            f"{use.text} (line {use.line})"
            for use in self.uses()
            if any(found == path or _covers(found, path) for found in use.paths)
        ]
        return Verdict(there, included, pattern, self._source(pattern), tuple(uses) if included else ())

    def _source(self, pattern: str) -> str:
        """The line of the ignore file that a pattern stands in."""
        if not pattern or not self.ignore_file:
            return ""
        with open(self.ignore_file, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                if pattern in ignore.read(line):
                    return f"{os.path.relpath(self.ignore_file, self.root)}:{number}"
        return os.path.relpath(self.ignore_file, self.root)


def _covers(above: bytes, path: bytes) -> bool:
    """Whether two paths are the same, or one holds the other."""
    if not above or above == path:
        return True
    return path.startswith(above + b"/") or above.startswith(path + b"/")


def _weigh(path: str) -> tuple[int, int]:
    """Bytes and number of the files at and below a path of the host."""
    if not os.path.isdir(path) or os.path.islink(path):
        return os.lstat(path).st_size, 1
    size = files = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
            files += 1
    return size, files


def _expand(text: str, env: dict[str, str]) -> str:
    try:
        return words.expand(text, env).text
    except WordError:
        return text
