# SPDX-License-Identifier: Apache-2.0
"""Runs what a plan needs: keys first, then what the cache lacks, every vertex once, independent ones side by side.

A vertex whose result is in the cache hides everything below it. Each vertex is flown once: whoever comes second waits
for the first. A RUN's tree can be stood on the moment it ends; its layer is written meanwhile, and only the image at
the end waits for all of them. Finished layers enter the cache even when a later step fails.
"""

from __future__ import annotations

import importlib
import os
import threading
import time

from scow.base.tasks import TaskGroup
from scow.build.copying import Filter, fingerprint, matches
from scow.build.emulation import is_foreign
from scow.build.failures import StepFailedError
from scow.build.graph import LayerRef, Solved, content_key, definition_key, digest_of, result_key
from scow.build.leaks import given_secrets, may_leak, needles, place_of, refuse
from scow.build.ops.values import BaseOp, CopyOp, MkdirOp, RunOp
from scow.build.sources import DirTree
from scow.build.trees import Story, Tree
from scow.errors import CancelledError, ScowError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from scow.base.tasks import Task
    from scow.build.cache import BuildCache
    from scow.build.cacheremote import RemoteCache
    from scow.build.events import Ledger
    from scow.build.graph import Vertex
    from scow.build.workshop import Workshop

_LATER = (
    "scow.build.spool",
    "scow.layer.diff",
    "scow.layer.erofs",
    "scow.snapshot.survey",
    "scow.build.ops.files",
    "scow.build.output",
    "scow.build.suspicious",
    "scow.build.diary",
    "scow.build.explaining",
    "scow.images.mutate",
    "scow.images.records",
    "scow.content.ingest",
    "scow.snapshot.staging",
    "scow.snapshot.erofs",
)
_WRITERS = max(2, os.cpu_count() or 2)


class Solver:
    """Solves the vertices of one build.

    Args:
        shop: What steps work with.
        cache: Results by key.
        ledger: Told what happens.
    """

    def __init__(self, shop: Workshop, cache: BuildCache, ledger: Ledger) -> None:
        self._shop = shop
        self._cache = cache
        self._ledger = ledger
        self._lock = threading.Lock()
        self._trees: dict[Vertex, Tree] = {}
        self._flights: dict[Vertex, threading.Event] = {}
        self._definitions: dict[Vertex, Mapping[str, Any]] = {}
        self.keys: dict[Vertex, str] = {}
        self._told: set[Vertex] = set()
        self._writers = threading.Semaphore(_WRITERS)
        self._uppers: list[str] = []
        self._dropping: threading.Thread | None = None
        self._later: tuple[str, ...] = _LATER
        self.stories: list[Story] = []
        self.remotes: list[RemoteCache] = []
        """Further caches, asked in order."""
        self.emulated = 0.0
        """Seconds that commands ran under an emulator."""
        self.outcomes: dict[Vertex, str] = {}
        """``cached``, ``result`` and ``content`` (found by the second and third key), ``run`` or ``failed``."""

    # ------------------------------------------------------------------ keys

    def prepare(self, vertices: Sequence[Vertex]) -> None:
        """Compute the definition keys; contexts are scanned here.

        Raises:
            SourceNotFoundError: A file of a context is not there.
        """
        for vertex in vertices:
            try:
                definition = vertex.op.definition()
            except ScowError as error:
                raise self._failed(vertex, 0, error) from error
            if self._shop.epoch is not None and not isinstance(vertex.op, BaseOp):
                definition = {**definition, "epoch": self._shop.epoch}  # the times in the layer
            if vertex.detached:
                definition = {**definition, "detached": True}  # the same COPY without --link follows the links below
            if isinstance(vertex.op, RunOp) and not self._shop.options.rewrite_times:
                definition = {**definition, "times": "kept"}
            below = self.keys[vertex.below] if vertex.below is not None else ""
            self._definitions[vertex] = definition
            self.keys[vertex] = definition_key(definition, below, [self.keys[read] for read in vertex.reads])

    def definition(self, vertex: Vertex) -> Mapping[str, Any]:
        """What a vertex is, apart from its inputs."""
        return self._definitions[vertex]

    def layer(self, vertex: Vertex) -> LayerRef | None:
        """The layer that a vertex made in this build; ``None`` when it made none, or was not looked at."""
        tree = self._trees.get(vertex)
        below = self._trees.get(vertex.below) if vertex.below is not None else None
        solved = tree.known if tree is not None else None
        if solved is None or not solved.layers or isinstance(vertex.op, BaseOp) or tree is below:
            return None
        return solved.layers[-1]

    def solve(self, target: Vertex | None) -> Solved:
        """Make the target's tree.

        Args:
            target: What is wanted; ``None`` for an empty tree.

        Raises:
            StepFailedError: A step failed.
            ScowError: Anything else.
        """
        if target is None:
            return Solved(None, (), 0)
        failure: Exception | None = None
        task: Task[Tree] | None = None
        if self._shop.networks is not None:
            self._shop.networks.expect(*self._commands(target))
        try:
            with TaskGroup() as writing:
                try:
                    with TaskGroup() as group:
                        # Not on this thread: an interrupt arrives here, and must not tear a step apart.
                        task = group.spawn(self._ensure, target, group, writing)
                except Exception as error:
                    failure = error
            if failure is not None or task is None:
                raise failure or CancelledError("the build did not begin")
            return task.result().result()
        finally:
            self._dropping = threading.Thread(target=self._drop_uppers, daemon=True)
            self._dropping.start()

    def finish(self) -> None:
        """Wait until nothing is left of what steps worked in; the image can be made meanwhile."""
        if self._dropping is not None:
            self._dropping.join()

    def _missing(self, target: Vertex) -> set[Vertex]:
        """The vertices that a target needs and whose results no definition key finds: each will be flown."""
        missing: set[Vertex] = set()
        stack = [target]
        while stack:
            vertex = stack.pop()
            if vertex not in missing and self._peek(vertex) is None:
                missing.add(vertex)
                stack += [*vertex.reads, *([vertex.below] if vertex.below is not None else [])]
        return missing

    def _commands(self, target: Vertex) -> tuple[int, int]:
        """How many commands are to be run, and how many of them wait for no other."""
        missing = self._missing(target)
        commands = 0
        waiting: set[Vertex] = set()
        at_once = 0
        for vertex in self.keys:  # each comes after those it needs
            if vertex in missing:
                needs = (*vertex.reads, vertex.below)
                late = any(need in waiting for need in needs)
                if isinstance(vertex.op, RunOp):
                    commands += 1
                    at_once += not late and vertex.op.network == "default"
                    late = True
                if late:
                    waiting.add(vertex)
        return commands, at_once

    # ------------------------------------------------------------------ flights

    def _ensure(self, target: Vertex, group: TaskGroup, writing: TaskGroup) -> Tree:
        """The tree of a vertex: from the cache, or by running what is missing below it and then itself."""
        todo: list[Vertex] = []
        here: Vertex | None = target
        while here is not None and self._peek(here) is None:
            todo.append(here)
            here = here.below
        self._show_cached(here)
        for vertex in reversed(todo):
            for read in vertex.reads:
                group.spawn(self._ensure, read, group, writing)
        tree = self._peek(here) if here is not None else Tree(Solved(None, (), 0))
        for vertex in reversed(todo):
            group.check()
            if tree is None:
                raise CancelledError("the work was stopped because another part of it failed")
            tree = self._fly(vertex, tree, group, writing)
        if tree is None:
            raise CancelledError("the work was stopped because another part of it failed")
        return tree

    def _look_up(self, key: str) -> Solved | None:
        """A result from the store's cache, or from another one that was opened."""
        found = self._cache.take(key, self._shop.lease)
        if found is not None:
            return found
        for remote in self.remotes:
            entry = remote.find(key)
            if entry is None:
                continue
            try:
                remote.bring(entry, self._shop.content, self._shop.lease)
            except (ScowError, OSError) as error:
                step = self._ledger.begin(f"[internal] import cache of {entry.title}")
                self._ledger.tell(step, "note", "", f"WARNING: {error}")
                continue
            self._cache.put(entry.keys, entry.solved, entry.kind, entry.title)
            return entry.solved
        return None

    def _peek(self, vertex: Vertex) -> Tree | None:
        """A tree that exists: made in this build, a base, or in the cache."""
        with self._lock:
            tree = self._trees.get(vertex)
        if tree is not None:
            return tree
        if isinstance(vertex.op, BaseOp):
            tree = Tree(Solved(vertex.op.chain, (), vertex.op.time))
        elif not vertex.fresh:
            found = self._look_up(self.keys[vertex])
            if found is not None:
                tree = Tree(found)
        if tree is None:
            return None
        with self._lock:
            return self._trees.setdefault(vertex, tree)

    def _show_cached(self, vertex: Vertex | None) -> None:
        """Tell of a vertex found in the cache, and of all it hides."""
        hidden: list[Vertex] = []
        while vertex is not None:
            hidden.append(vertex)
            vertex = vertex.below
        for found in reversed(hidden):
            with self._lock:
                if found in self._told:
                    continue
                self._told.add(found)
            step = self._ledger.begin(found.title)
            self.stories.append(Story(found, step, "cached", self.keys[found]))
            self.outcomes[found] = "cached"
            self._ledger.tell(
                step, "cached" if found.below or not isinstance(found.op, BaseOp) else "done", found.title
            )

    def _fly(self, vertex: Vertex, below: Tree, group: TaskGroup, writing: TaskGroup) -> Tree:
        """Run a vertex, or wait for the thread that does."""
        with self._lock:
            tree = self._trees.get(vertex)
            flight = self._flights.get(vertex)
            first = flight is None
            if flight is None:
                flight = self._flights[vertex] = threading.Event()
        if tree is not None:
            return tree
        if not first:
            flight.wait()
            with self._lock:
                tree = self._trees.get(vertex)
            if tree is None:
                raise CancelledError("the work was stopped because another part of it failed")
            return tree
        try:
            reads = [self._ensure(read, group, writing) for read in vertex.reads]
            tree = self._perform(vertex, below, reads, group, writing)
            with self._lock:
                self._trees[vertex] = tree
        finally:
            flight.set()
        return tree

    def _begin(self, vertex: Vertex) -> int:
        with self._lock:
            self._told.add(vertex)
        step = self._ledger.begin(vertex.title)
        self.stories.append(Story(vertex, step, "run", self.keys[vertex]))
        self.outcomes[vertex] = "run"
        return step

    def _failed(self, vertex: Vertex, step: int, error: ScowError) -> StepFailedError:
        if isinstance(error, StepFailedError):
            return error
        return StepFailedError(error.message, step=step, title=vertex.title, lines=vertex.lines, hint=error.hint)

    # ------------------------------------------------------------------ performing

    def _perform(
        self, vertex: Vertex, below: Tree, reads: Sequence[Tree], group: TaskGroup, writing: TaskGroup
    ) -> Tree:
        op = vertex.op
        if isinstance(op, CopyOp) and not op.parts:
            return below
        step = self._begin(vertex)
        try:
            if isinstance(op, RunOp):
                tree = self._run(vertex, op, below, reads, step, group, writing)
                if self._shop.networks is not None:
                    self._shop.networks.step_done()
            else:
                tree = self._files(vertex, below, reads, group)
        except CancelledError:
            self._ledger.tell(step, "cancelled", vertex.title)
            raise
        except ScowError as error:
            self.outcomes[vertex] = "failed"
            self._ledger.tell(step, "failed", vertex.title, error.message)
            failure = self._failed(vertex, step, error)
            failure.vertex, failure.left = vertex, self._left_by(error, below)
            raise failure from error
        self._ledger.tell(step, "done" if self.outcomes[vertex] == "run" else "cached", vertex.title)
        return tree

    def _left_by(self, error: ScowError, below: Tree) -> Solved | None:
        """The tree that a failed command left, when it was kept."""
        from scow.build.ops.exec import CommandFailedError

        if not isinstance(error, CommandFailedError) or not error.left:
            return None
        with self._lock:
            self._uppers.append(error.left)
        upper = self._shop.snapshots.upper(error.left)
        diff, size, usage, _ = self._shop.keep_upper(upper, [])
        return self._shop.place(below.result(), LayerRef(diff, size, usage, below.time))

    def _run(
        self,
        vertex: Vertex,
        op: RunOp,
        below: Tree,
        reads: Sequence[Tree],
        step: int,
        group: TaskGroup,
        writing: TaskGroup,
    ) -> Tree:
        from scow.build.ops.exec import run_command

        solved = below.known
        definition = self._definitions[vertex]
        if solved is not None and not vertex.fresh and all(read.known is not None for read in reads):
            found = self._second_key(vertex, solved, [read.result() for read in reads])
            if found is not None:
                self.outcomes[vertex] = "result"
                return Tree(solved.plus(found))

        def output(stream: int, data: bytes) -> None:
            self._ledger.log(step, vertex.title, stream, data)

        names = [read.stand(self._shop) for read in reads]
        parent = below.stand(self._shop)
        origins = [mount.origin.newest() for mount in op.mounts if mount.origin is not None]
        when = max([below.time, *(read.time for read in reads), *origins])
        when = when if self._shop.epoch is None else self._shop.epoch
        begun = time.monotonic()
        name = run_command(self._shop, op, parent, names, when, output, lambda: group.cancelled, self._get_ready)
        with self._lock:
            self._uppers.append(name)
            if is_foreign(op.platform):
                self.emulated += time.monotonic() - begun
        tree = Tree(standing=name, time=when)

        def write() -> None:
            try:
                before = below.result()
                tree.settle(self._write_upper(vertex, definition, name, before, reads, when))
            except BaseException as error:
                tree.settle(None, error)
                raise

        writing.spawn(write)
        return tree

    def _get_ready(self) -> None:
        """Do what the build needs after its first command, while that command runs."""
        with self._lock:
            modules, self._later = self._later, ()
        for name in modules:
            importlib.import_module(name)
        if modules:
            self._choose()

    def _choose(self) -> None:
        """Have it tried how layers can be kept here, before one has to be."""
        self._shop.snapshots.find_out()

    def _write_upper(
        self,
        vertex: Vertex,
        definition: Mapping[str, Any],
        name: str,
        below: Solved,
        reads: Sequence[Tree],
        when: int,
    ) -> Solved:
        """Make the layer of a RUN from what it left, and enter it."""
        shop = self._shop
        with self._writers:
            diff, size, usage, leak = shop.keep_upper(
                shop.snapshots.upper(name), needles(given_secrets(vertex.op, shop.options))
            )
            if leak is not None:
                with shop.content.open(diff) as tar:
                    raise refuse(leak, place_of(tar, leak[1]), vertex.title)
        solved = shop.place(below, LayerRef(diff, size, usage, when))
        second = result_key(definition, str(below.chain), [str(read.result().chain) for read in reads])
        if not may_leak(vertex.op, shop.options):
            self._cache.put([self.keys[vertex], second], solved, vertex.op.kind, vertex.title)
        return solved

    def _second_key(self, vertex: Vertex, below: Solved, reads: Sequence[Solved]) -> LayerRef | None:
        key = result_key(self._definitions[vertex], str(below.chain), [str(read.chain) for read in reads])
        found = self._look_up(key)
        return found.layers[-1] if found is not None and found.layers else None

    def _files(self, vertex: Vertex, below: Tree, reads: Sequence[Tree], group: TaskGroup) -> Tree:
        """COPY, ADD, WORKDIR: by another key, or by doing it."""
        definition = self._definitions[vertex]
        shop = self._shop
        contents: list[str] = []
        if vertex.reads and isinstance(vertex.op, CopyOp):
            contents = self._contents(vertex.op, reads)
        where = "detached" if vertex.detached else str(below.result().chain)
        key = content_key(definition, where, contents)
        found = None if vertex.fresh else self._look_up(key)
        if found is not None and found.layers:
            layer = found.layers[-1]
            self.outcomes[vertex] = "content"
        else:
            layer = self._make_files(vertex, below, reads, group)
        before = below.result()
        solved = shop.place(before, layer)
        keys = [self.keys[vertex], key]
        if vertex.detached:
            self._cache.put([key], Solved(None, (layer,), layer.time), vertex.op.kind, vertex.title)
            keys.pop()
        self._cache.put(keys, solved, vertex.op.kind, vertex.title)
        return Tree(solved)

    def _make_files(self, vertex: Vertex, below: Tree, reads: Sequence[Tree], group: TaskGroup) -> LayerRef:
        from scow.build.ops.files import run_copy, run_mkdir

        shop = self._shop
        parent = None if vertex.detached else below.stand(shop)
        time_below = 0 if vertex.detached else below.result().time
        if isinstance(vertex.op, MkdirOp):
            diff, size, usage = run_mkdir(shop, vertex.op, parent, time_below)
            return LayerRef(diff, size, usage, time_below if shop.epoch is None else shop.epoch)
        if not isinstance(vertex.op, CopyOp):
            raise ScowError(f"nobody can do {vertex.op.kind!r}")
        names = [read.stand(shop) for read in reads]
        group.spawn(self._choose)
        diff, size, usage, newest = run_copy(shop, vertex.op, parent, names, time_below, group.check)
        when = max(time_below, newest) if shop.epoch is None else shop.epoch
        return LayerRef(diff, size, usage, when)

    def _contents(self, op: CopyOp, reads: Sequence[Tree]) -> list[str]:
        """Digests of the files that a copy takes from other steps."""

        def work(places: Sequence[str]) -> list[str]:
            tree = DirTree(places[0])
            out: list[str] = []
            for part in op.parts:
                if part.origin is None:
                    keep = Filter(part.source.includes, op.excludes)
                    out.append(digest_of([_entry(tree, match, keep) for match in matches(tree, part.source)]))
            return out

        return self._shop.with_trees([read.stand(self._shop) for read in reads], work)

    def _drop_uppers(self) -> None:
        """The directories that steps worked in; their layers are in the store now."""
        for name in reversed(self._uppers):
            self._shop.snapshots.remove(name, force=True)
        self._uppers.clear()


def _entry(tree: DirTree, match: bytes, keep: Filter) -> list[str]:
    return [match.decode("utf-8", "surrogateescape"), fingerprint(tree, match, keep)]
