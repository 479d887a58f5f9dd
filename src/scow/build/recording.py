# SPDX-License-Identifier: Apache-2.0
"""What each step of a build depended on, written down so that a later build can say what changed.

One record stands for the last build of one Dockerfile, target and platform. Files of contexts are kept by directory:
a directory whose files are as they were is one digest, so a rebuild after one change writes one row, and a rebuild
that changes nothing writes none. Values of variables whose names speak of secrets are kept as digests only.
"""

from __future__ import annotations

import hashlib
import json
import re
import time

from scow.build.copying import CopySource, Filter, matches
from scow.build.graph import digest_of
from scow.build.ops.values import BaseOp, CopyOp, RunOp
from scow.build.origins import ContextOrigin
from scow.build.sources import join, resolve
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Final

    from scow.base.database import Database
    from scow.build.cache import BuildCache
    from scow.build.context import ContextTree
    from scow.build.graph import Vertex
    from scow.build.origins import Origin
    from scow.build.solver import Solver
    from scow.dockerfile.ignore import Trail

SCHEMA = """
CREATE TABLE build_folders (total TEXT PRIMARY KEY, made REAL NOT NULL, files TEXT NOT NULL) WITHOUT ROWID;
"""
_FOLDERS_KEPT = 20_000
_FILES_LISTED = 5_000
_SECRETIVE: Final = re.compile(r"(?i)secret|token|passw|passphrase|credential|api_?key|access_?key|private_?key|auth")

Record = dict[str, "Any"]
"""A build, as JSON: ``time``, ``args`` (names given with ``--build-arg``) and ``steps``."""


class Recorder:
    """Reads and writes the records of one Dockerfile, target and platform.

    Args:
        db: The store's database.
        cache: Holds the records.
        place: Names Dockerfile, target and platform.
    """

    def __init__(self, db: Database, cache: BuildCache, place: str) -> None:
        self._db = db
        self._cache = cache
        self._place = place
        db.ensure("build-folders", 1, SCHEMA)

    def last(self) -> Record | None:
        """The record of the last build, if there is one."""
        found = self._cache.last_step(self._place)
        return dict(json.loads(found[1])) if found is not None else None

    def is_last(self, vertices: Sequence[Vertex], solver: Solver) -> bool:
        """Whether everything came from the cache, as it was in the last build."""
        if any(solver.outcomes.get(vertex, "cached") != "cached" for vertex in vertices):
            return False
        keys = [solver.keys[vertex] for vertex in vertices if vertex in solver.keys]
        if len(keys) < len(vertices):  # it failed before all were known
            return False
        found = self._cache.last_step(self._place)
        return found is not None and found[0] == _key(keys)

    def files(self, total: str) -> dict[str, str] | None:
        """The files of a directory by its digest; ``None`` when they are forgotten."""
        with self._db.read() as connection:
            row = connection.execute("SELECT files FROM build_folders WHERE total = ?", (total,)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def make(self, vertices: Sequence[Vertex], solver: Solver, args: Iterable[str], before: Record | None) -> Record:
        """Describe a build.

        Args:
            vertices: All its steps; those that the solver has no key for are left out.
            solver: Knows how each came about.
            args: Names given with ``--build-arg``.
            before: The last build; what it says of files that did not change is taken over.
        """
        known = {step["key"]: step["files"] for step in (before or {}).get("steps", ())}
        keys = solver.keys
        steps: list[dict[str, Any]] = []
        for vertex in vertices:
            key = keys.get(vertex)
            if key is None:
                continue
            steps.append(
                {
                    "title": vertex.title,
                    "lines": list(vertex.lines),
                    "key": key,
                    "below": keys[vertex.below] if vertex.below is not None else "",
                    "reads": [keys[read] for read in vertex.reads],
                    "outcome": solver.outcomes.get(vertex, ""),
                    "fresh": vertex.fresh,
                    "definition": _safe(vertex, solver.definition(vertex)),
                    "files": known[key] if key in known else self._files(vertex),
                }
            )
        return {"time": time.time(), "args": sorted(args), "steps": json.loads(json.dumps(steps))}

    def keep(self, record: Record, image: str = "", story: str = "") -> None:
        """Write a record; it replaces the one of the last build.

        Args:
            record: From :meth:`make`.
            image: ID of the image that was made, or ``""``.
            story: How it came about, as JSON.
        """
        key = _key([step["key"] for step in record["steps"]])
        self._cache.note_steps([(self._place, key, json.dumps(record, separators=(",", ":")))], image, story)

    # ------------------------------------------------------------------ files

    def _files(self, vertex: Vertex) -> list[dict[str, Any] | None]:
        """For each source or mount: directories by digest and single files; ``None`` for what is no context."""
        op = vertex.op
        if isinstance(op, CopyOp):
            return [self._of_source(part.origin, part.source, op.excludes) for part in op.parts]
        if isinstance(op, RunOp):
            return [
                self._of_source(mount.origin, CopySource("/" + mount.mount.source.lstrip("/"), wildcards=False), ())
                for mount in op.mounts
            ]
        return []

    def _of_source(self, origin: Origin | None, source: CopySource, excludes: tuple[str, ...]) -> dict[str, Any] | None:
        if not isinstance(origin, ContextOrigin):
            return None
        tree = origin.tree()
        keep = Filter(source.includes, excludes)
        folders: dict[str, str] = {}
        files: dict[str, str] = {}
        for match in matches(tree, source):
            real = resolve(tree, match)
            status = tree.look(real)
            if status is None:
                continue
            if not status.is_dir:
                files[_text(real)] = f"{status.mode:o} {tree.digest(real)}"
            elif keep.plain:
                found = tree.folders(real)
                self._enter(tree, found)
                folders.update((_text(path), total) for path, total in found)
            else:
                _list_kept(tree, real, keep, files)
        return {"folders": folders, "files": files}

    def _enter(self, tree: ContextTree, found: Sequence[tuple[bytes, str]]) -> None:
        """Write down the files of directories that were never seen as they are now."""
        with self._db.read() as connection:
            new = [
                (path, total)
                for path, total in found
                if connection.execute("SELECT 1 FROM build_folders WHERE total = ?", (total,)).fetchone() is None
            ]
        if not new:
            return
        now = time.time()
        rows = [(total, now, json.dumps(tree.files(path), separators=(",", ":"))) for path, total in new]
        with self._db.write() as connection:
            connection.executemany("INSERT OR REPLACE INTO build_folders VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM build_folders WHERE total IN "
                "(SELECT total FROM build_folders ORDER BY made DESC LIMIT -1 OFFSET ?)",
                (_FOLDERS_KEPT,),
            )


def _key(keys: Sequence[str]) -> str:
    return digest_of(list(keys))


def _list_kept(tree: ContextTree, top: bytes, keep: Filter, out: dict[str, str]) -> None:
    """The files below a directory that patterns let through, up to a number that somebody could still read."""
    stack: list[tuple[bytes, str, Trail | None, Trail | None]] = [(top, "", None, None)]
    while stack and len(out) < _FILES_LISTED:
        here, inside, included, excluded = stack.pop()
        verdict = keep.judge(inside, included, excluded)
        status = tree.look(here)
        if verdict.prune or status is None:
            continue
        if status.is_dir:
            for name in reversed(tree.names(here)):
                below = f"{inside}/{_text(name)}" if inside else _text(name)
                stack.append((join(here, name), below, verdict.included, verdict.excluded))
        elif verdict.taken:
            out[_text(here)] = f"{status.mode:o} {tree.digest(here)}"


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _safe(vertex: Vertex, definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as it may be kept and shown."""
    out = dict(definition)
    op = vertex.op
    if isinstance(op, BaseOp):
        out |= {"name": op.name, "image": op.image}
    if isinstance(op, CopyOp):
        out["labels"] = [part.origin.label if part.origin is not None else "" for part in op.parts]
    if "env" in out:
        out["env"] = [_masked(entry) for entry in out["env"]]
    return out


def _masked(entry: str) -> str:
    name, sign, value = entry.partition("=")
    if sign and value and _SECRETIVE.search(name):
        return f"{name}=(hidden, {hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()[:12]})"
    return entry
