# SPDX-License-Identifier: Apache-2.0
"""Build caches from elsewhere and to elsewhere: what ``--cache-from`` and ``--cache-to`` ask for."""

from __future__ import annotations

from scow.dockerfile.platforms import INLINE_CACHE_ARGUMENT
from scow.dockerfile.text import TRUE
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from scow.build.builder import Rooms
    from scow.build.cache import BuildCache
    from scow.build.cacheremote import Entry
    from scow.build.events import Ledger
    from scow.build.graph import Vertex
    from scow.build.options import BuildOptions
    from scow.build.output import Made
    from scow.build.plan import Plan
    from scow.build.solver import Solver


def import_caches(options: BuildOptions, rooms: Rooms, solver: Solver, ledger: Ledger) -> None:
    """Open the caches to read; one that is not there yet, or not to be believed, is no reason to stop.

    Args:
        options: Of the build.
        rooms: Where registries are.
        solver: Gets them.
        ledger: Told of each.
    """
    from scow.build.cacheremote import RemoteCache, open_place
    from scow.errors import CorruptError, NotFoundError, UnavailableError, UntrustedError

    for attributes in options.cache_from:
        name = attributes.get("src") or attributes.get("ref") or attributes.get("type", "")
        title = f"importing cache manifest from {name}"
        step = ledger.begin(title)
        try:
            if rooms.pinned is not None and attributes.get("ref"):
                attributes = {**attributes, "ref": rooms.pinned(attributes["ref"])}
            place = open_place(attributes, rooms.repository, write=False)
            solver.remotes.append(RemoteCache.read(place))
        except (CorruptError, NotFoundError, UnavailableError, UntrustedError) as error:
            ledger.tell(step, "failed", title, error.message)
            continue
        ledger.tell(step, "done", title)


def export_caches(
    rooms: Rooms, cache: BuildCache, options: BuildOptions, plan: Plan, solver: Solver, ledger: Ledger
) -> None:
    """Write the caches that are kept beside the image; those inside it went with it.

    Args:
        rooms: Where layers and registries are.
        cache: The records.
        options: Of the build.
        plan: Its steps.
        solver: Knows their keys.
        ledger: Told of each.
    """
    from scow.build.cacheremote import export, open_place

    for attributes in options.cache_to:
        if attributes.get("type") == "inline":
            continue
        name = attributes.get("dest") or attributes.get("ref") or attributes.get("type", "")
        with ledger.internal(f"exporting cache to {name}"):
            wanted = _chain_of(plan) if attributes.get("mode", "min") == "min" else plan.vertices
            place = open_place(attributes, rooms.repository, write=True)
            export(place, _entries(cache, solver, wanted), rooms.content, attributes.get("compression", ""))


def note_inline(options: BuildOptions, cache: BuildCache, plan: Plan, solver: Solver, made: Made) -> None:
    """Write the image's own steps into its configuration, when a cache of ``type=inline`` is asked for.

    A squashed image has no layers that steps could be found by.

    Args:
        options: Of the build.
        cache: The records.
        plan: Its steps.
        solver: Knows their keys.
        made: What was built; its draft is changed.
    """
    asked = any(attributes.get("type") == "inline" for attributes in options.cache_to)
    if options.squash or not (asked or options.build_args.get(INLINE_CACHE_ARGUMENT, "") in TRUE):
        return
    from scow.build.cacheremote import INLINE, records_of

    layers = made.solved.layers
    entries = [
        entry
        for entry in _entries(cache, solver, _chain_of(plan))
        if entry.solved.base == made.solved.base and entry.solved.layers == layers[: len(entry.solved.layers)]
    ]
    made.draft.extra = {INLINE: records_of(entries)}


def _entries(cache: BuildCache, solver: Solver, wanted: Collection[Vertex]) -> list[Entry]:
    """The records of steps, each once."""
    from scow.build.cacheremote import Entry

    found: dict[str, Entry] = {}
    for vertex in wanted:
        solved = cache.get(solver.keys[vertex])
        if solved is not None and solved.layers:
            found[repr(solved)] = Entry(tuple(cache.keys_of(solved)), solved, vertex.op.kind, vertex.title)
    return list(found.values())


def _chain_of(plan: Plan) -> list[Vertex]:
    """The steps of the target itself, without those it only copies from."""
    out: list[Vertex] = []
    vertex = plan.target.vertex
    while vertex is not None:
        out.append(vertex)
        vertex = vertex.below
    return out[::-1]
