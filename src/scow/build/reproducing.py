# SPDX-License-Identifier: Apache-2.0
"""Whether a second build gives the same image, and which instruction and file differ when it does not.

The second build takes nothing from the cache and keeps its trees elsewhere: unpacked into another file system, which
lists directories in another order. It begins at least two seconds after the first one ended, under another host name,
another umask (of its own: that of a step is always the same) and on one processor. What it makes is compared and
thrown away. "Another clock" is a later one and no more: a time namespace moves the clocks that count from the start of
the machine, not the calendar, so a command that writes down the day, but not the second, is not caught.
Source: time_namespaces(7).
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from scow.build.builder import Builder
from scow.build.cache import BuildCache
from scow.build.events import quiet
from scow.build.ops.values import BaseOp
from scow.build.output import makers
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, Final

    from scow.base.leases import Lease
    from scow.build.builder import BuildResult, Rooms
    from scow.build.events import BuildProgress
    from scow.build.graph import LayerRef, Vertex
    from scow.build.options import BuildOptions
    from scow.build.output import Made
    from scow.build.plan import Plan
    from scow.build.scratch import Scratch
    from scow.build.solver import Solver
    from scow.build.workshop import Workshop
    from scow.layer.tar import TarEntry
    from scow.runtime.step import Step, StepRunner

HOSTNAME: Final = "another-machine"
UMASK: Final = 0o077
_PAUSE = 2.0
_CHUNK = 1 << 20
_SHOWN = 16
"""Bytes around a difference that are shown."""
_ROOM = 4
"""Memory that must be free for trees in memory, as a multiple of the image."""


class Difference(NamedTuple):
    """Something that two builds did not make alike.

    Attributes:
        title: The step, such as ``[2/4] RUN make``; ``""`` for the configuration.
        line: Its line in the Dockerfile; 0 when it has none.
        path: The file, or the member of the configuration.
        what: How it differs, a few words.
    """

    title: str
    line: int
    path: str
    what: str


class Verified(NamedTuple):
    """Two builds, compared.

    Attributes:
        result: Of the first one.
        layers: How many layers were compared.
        differences: By step, in the order of the Dockerfile.
    """

    result: BuildResult
    layers: int
    differences: tuple[Difference, ...]


class _Seen(NamedTuple):
    """What one build made."""

    made: Made
    steps: list[tuple[Vertex, LayerRef | None]]
    cached: bool


def verify(
    rooms: Rooms,
    options: BuildOptions,
    progress: BuildProgress = quiet,
    *,
    second: BuildProgress | None = None,
    pause: float = _PAUSE,
) -> Verified:
    """Build, build again under other conditions, and compare.

    Args:
        rooms: What to work with.
        options: What to build.
        progress: Told what the first build does.
        second: Told what the second build does; ``None`` tells nobody.
        pause: Seconds between the two.

    Raises:
        InvalidArgumentError: Context or Dockerfile come from a stream, which cannot be read twice.
        ScowError: A build failed.
    """
    from scow.base.files import temporary_directory

    if "-" in (options.context, options.dockerfile):
        raise InvalidArgumentError("a build from standard input cannot be repeated", hint="give it a directory")
    with rooms.leases.hold("verify") as lease:
        first = _Watching(rooms, lease)
        result = first.build(options._replace(explain=True), progress)  # looks at every step
        before = first.seen[0]
        anew = options._replace(no_cache=True, tags=(), outputs=())
        time.sleep(pause)
        with temporary_directory(_place(rooms, before), "scow-verify-", 0o711) as top:
            again = _Elsewhere(rooms, lease, top)
            with _other_conditions():
                again.build(anew, second or quiet)
        after = again.seen[0]
        found = tuple(_compare(rooms, before, after))
        if found and before.cached:
            # What came from the cache may be older than the files it was made of: compare two fresh builds.
            time.sleep(pause)
            fresh = _Forgetful(rooms, lease)
            fresh.build(anew, second or quiet)
            found = tuple(_compare(rooms, fresh.seen[0], after))
    first.collect()
    return Verified(result, len(before.made.solved.layers), found)


def render(verified: Verified, dockerfile: str) -> list[str]:
    """What was found, as lines for a terminal.

    Args:
        verified: The comparison.
        dockerfile: Name of the Dockerfile.
    """
    count = f"{verified.layers} layer{'' if verified.layers == 1 else 's'}"
    if not verified.differences:
        return [f"reproducible: a second build made the same {count} and the same configuration"]
    out = ["NOT reproducible: a second build without the cache made something else"]
    last = ""
    for found in verified.differences:
        head = f"{dockerfile}:{found.line}: {found.title}" if found.line else found.title or "configuration"
        if head != last:
            out.append(f"  {' '.join(head.split())}")
            last = head
        out.append(f"    {found.path}: {found.what}")
    return out


# ---------------------------------------------------------------------- the two builds


class _Watching(Builder):
    """A builder that remembers what it made.

    Args:
        rooms: What to work with.
        lease: Keeps the layers until they are compared.
    """

    def __init__(self, rooms: Rooms, lease: Lease) -> None:
        super().__init__(rooms)
        self.seen: list[_Seen] = []
        self._lease = lease

    def watch(self, plan: Plan, solver: Solver, made: Made) -> None:
        """See :class:`~scow.build.builder.Builder`."""
        steps = [(vertex, solver.layer(vertex)) for vertex in plan.vertices]
        known = makers(plan.target.vertex, made.solved.layers)
        steps = [(vertex, layer if layer is not None else known.get(vertex)) for vertex, layer in steps]
        for _, layer in steps:
            if layer is not None:
                self._lease.add("blob", layer.diff_id)
        cached = any(
            outcome not in ("run", "failed") and not isinstance(vertex.op, BaseOp)
            for vertex, outcome in solver.outcomes.items()
        )
        self.seen.append(_Seen(made, steps, cached))


class _NoMemory(BuildCache):
    """A cache that nothing is put into: what was made under odd conditions must not be found by other builds."""

    def put(self, *_: object) -> None:
        """Forget a result."""

    def note_steps(self, *_: object) -> None:
        """Forget how a build went."""


class _Forgetful(_Watching):
    """A builder whose image nobody keeps."""

    def __init__(self, rooms: Rooms, lease: Lease) -> None:
        super().__init__(rooms, lease)
        self._cache = _NoMemory(rooms.db, rooms.content, rooms.leases, rooms.cache_size)

    def _output(self, *_: object) -> None:
        """Nothing is made of what was built."""


class _Elsewhere(_Forgetful):
    """A builder with its trees in another place."""

    def __init__(self, rooms: Rooms, lease: Lease, top: str) -> None:
        super().__init__(rooms, lease)
        self._top = top

    def _workshop(self, options: BuildOptions, lease: Lease, places: Scratch) -> Workshop:
        from scow.base.database import Database
        from scow.base.leases import Leases
        from scow.snapshot.choose import open_snapshotter

        shop = super()._workshop(options, lease, places)
        open_runner = shop.open_runner
        database = Database(os.path.join(self._top, "scow.db"))
        snapshots = open_snapshotter(self._top, database, shop.content, Leases(database), "overlay")
        shop.open_snapshots = lambda: snapshots
        shop.open_runner = lambda: _OtherMachine(open_runner())
        return shop


class _OtherMachine:
    """Runs steps under another host name.

    Args:
        runner: Runs them.
    """

    def __init__(self, runner: StepRunner) -> None:
        self._runner = runner

    def run(
        self,
        step: Step,
        *,
        output: Callable[[int, bytes], None],
        cancelled: Callable[[], bool] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> int:
        """See :class:`~scow.runtime.step.StepRunner`."""
        other = step if step.hostname else step._replace(hostname=HOSTNAME)
        return self._runner.run(other, output=output, cancelled=cancelled, meanwhile=meanwhile)


def _place(rooms: Rooms, seen: _Seen) -> str:
    """Where the second build's trees go: in memory when they fit, where directories have no sorted order."""
    memory = "/dev/shm"
    size = sum(layer.usage for layer in seen.made.solved.layers)
    size += seen.made.base.size if seen.made.base is not None else 0
    if os.path.ismount(memory) and os.access(memory, os.W_OK):
        free = os.statvfs(memory)
        if free.f_bavail * free.f_frsize > _ROOM * size + (64 << 20):
            return memory
    return os.path.join(rooms.root, "tmp")


@contextmanager
def _other_conditions() -> Iterator[None]:
    """Another umask and one processor, for this process and what it starts."""
    umask = os.umask(UMASK)
    processors = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(processors)})
        yield
    finally:
        os.sched_setaffinity(0, processors)
        os.umask(umask)


# ---------------------------------------------------------------------- comparing


def _compare(rooms: Rooms, before: _Seen, after: _Seen) -> Iterator[Difference]:
    for (vertex, left), (_, right) in zip(before.steps, after.steps, strict=True):
        if left is None or right is None or left.diff_id == right.diff_id:
            continue
        paths = [rooms.content.path(layer.diff_id) for layer in (left, right)]
        with open(paths[0], "rb") as first, open(paths[1], "rb") as second:
            for path, what in compare_layers(first, second):
                yield Difference(vertex.title, vertex.lines[0], path, what)
    old, new = before.made.draft, after.made.draft
    for name in ("config", "history", "platform", "author"):
        if getattr(old, name) != getattr(new, name):
            yield Difference("", 0, name, "differs")
    if before.made.created != after.made.created:
        yield Difference("", 0, "created", f"{before.made.created} / {after.made.created}")


def compare_layers(first: BinaryIO, second: BinaryIO) -> Iterator[tuple[str, str]]:
    """Name what differs between two uncompressed layers.

    Args:
        first: A tar that can be moved in.
        second: The other one.

    Yields:
        Path and how it differs.
    """
    from scow.layer.tar import TarReader

    left = {entry.name: entry for entry in TarReader(first, seek=True)}
    right = {entry.name: entry for entry in TarReader(second, seek=True)}
    alike = True
    for name in sorted({*left, *right}):
        path = "/" + name.decode("utf-8", "backslashreplace").strip("/")
        one, two = left.get(name), right.get(name)
        if one is None or two is None:
            alike = False
            yield path, "only in the second build" if one is None else "only in the first build"
            continue
        said = [*_fields(one, two), *_contents(first, second, one, two)]
        if said:
            alike = False
            yield path, "; ".join(said)
    if alike:
        yield (
            "/",
            "the same files in another order" if list(left) != list(right) else "the same files, written differently",
        )


def _fields(one: TarEntry, two: TarEntry) -> Iterator[str]:
    if one.type != two.type:
        yield "the type differs"
    if one.mode != two.mode:
        yield f"mode {one.mode:04o} / {two.mode:04o}"
    if (one.uid, one.gid) != (two.uid, two.gid):
        yield f"owner {one.uid}:{one.gid} / {two.uid}:{two.gid}"
    if one.linkname != two.linkname:
        yield f"link to {_quoted(one.linkname)} / {_quoted(two.linkname)}"
    if (one.major, one.minor) != (two.major, two.minor):
        yield "the device differs"
    if one.xattrs != two.xattrs:
        yield "attributes differ"
    if one.mtime_ns != two.mtime_ns:
        yield f"time {one.mtime_ns // 10**9} / {two.mtime_ns // 10**9}"


def _contents(first: BinaryIO, second: BinaryIO, one: TarEntry, two: TarEntry) -> Iterator[str]:
    """Where the data of two files differs first."""
    shared = min(one.stored, two.stored)
    at = 0
    while at < shared:
        count = min(_CHUNK, shared - at)
        left, right = _read(first, one.offset + at, count), _read(second, two.offset + at, count)
        if left != right:
            at += next(index for index in range(len(left)) if left[index : index + 1] != right[index : index + 1])
            start = max(0, at - _SHOWN // 2)
            texts = [
                _quoted(_read(file, entry.offset + start, min(_SHOWN * 2, entry.stored - start)))
                for file, entry in ((first, one), (second, two))
            ]
            yield f"content differs at byte {at}: {texts[0]} / {texts[1]}"
            return
        at += count
    if one.stored != two.stored:
        yield f"{one.stored} / {two.stored} bytes, the same up to there"


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _quoted(data: bytes) -> str:
    text = data.decode("utf-8", "backslashreplace")
    return '"' + "".join(char if char.isprintable() else "\\" + f"x{ord(char):02x}" for char in text) + '"'
