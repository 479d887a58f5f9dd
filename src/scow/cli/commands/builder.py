# SPDX-License-Identifier: Apache-2.0
"""``scow builder df`` and ``scow builder prune``: the build cache."""

from __future__ import annotations

import time

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.build.cache import CacheRecord

DF = Command(
    name="df",
    usage="[OPTIONS]",
    summary="Show the disk usage of the build cache",
    max_args=0,
    flags=(
        Flag("filter", kind="filter", help="Provide filter values"),
        Flag("verbose", help="Provide a more verbose output"),
    ),
)
PRUNE = Command(
    name="prune",
    usage="",
    summary="Remove build cache",
    max_args=0,
    flags=(
        Flag("all", "a", help="Remove all unused build cache, not just dangling ones"),
        Flag("filter", kind="filter", help='Provide filter values (e.g. "until=24h")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
        Flag("keep-storage", kind="bytes", help="Amount of disk space to keep for cache"),
        Flag("max-used-space", kind="bytes", help="Maximum amount of disk space allowed to keep for cache"),
    ),
)
_DANGLING = "WARNING! This will remove all dangling build cache."
_ALL = "WARNING! This will remove all build cache."


def df(argv: list[str]) -> int:
    """List the records of the build cache and what they take."""
    from scow.build.cachemounts import cache_mounts
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.sizes import human_age

    options = parse(DF, argv)
    here = engine()
    now = time.time()
    wanted = _wanted(options.filter)
    records = [record for record in here.builder.cache.records() if wanted(record)]
    mounts = cache_mounts(here.settings.root)
    rows = [("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION")]
    for record in records:
        free = "false" if record.shared else "true"
        rows.append((record.id[:24], free, human_size(record.size), f"{human_age(record.used, now)}", record.title))
    rows += [
        (mount.name[:24], "true", human_size(mount.size), human_age(mount.used, now), f"cache mount {mount.id}")
        for mount in mounts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("   ".join((*cells, row[4][:80])).rstrip())
    shared = sum(record.size for record in records if record.shared)
    total = sum(record.size for record in records) + sum(mount.size for mount in mounts)
    print(f"Shared:       {human_size(shared)}")
    print(f"Reclaimable:  {human_size(total - shared)}")
    print(f"Total:        {human_size(total)}")
    return 0


def prune(argv: list[str]) -> int:
    """Ask, remove, and say what that freed."""
    from scow.build.cachemounts import cache_mounts, remove_cache_mount
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.prompt import confirm

    options = parse(PRUNE, argv)
    if not options.force and not confirm(_ALL if options.all else _DANGLING, " "):
        return 0
    here = engine()
    wanted = _wanted(options.filter)
    keep = options["keep-storage"] or options["max-used-space"] or None
    gone = here.builder.cache.prune(lambda record: (options.all or not record.shared) and wanted(record), keep)
    freed = here.builder.collect()
    names = [record.id[:24] for record in gone]
    if options.all and keep is None:
        for mount in cache_mounts(here.settings.root):
            if _old_enough(options.filter, mount.used) and remove_cache_mount(here.settings.root, mount.name):
                names.append(mount.name[:24])
                freed += mount.size
    if names:
        print("Deleted build cache objects:")
        for name in names:
            print(name)
        print()
    print(f"Total reclaimed space: {human_size(freed)}")
    return 0


def _wanted(filters: Sequence[tuple[str, str]]) -> Callable[[CacheRecord], bool]:
    """What filters let through."""
    for key, _ in filters:
        if key not in ("until", "unused-for", "id", "type", "description"):
            raise InvalidArgumentError(f"invalid filter '{key}'")

    def keep(record: CacheRecord) -> bool:
        if not _old_enough(filters, record.used):
            return False
        return all(
            (key != "id" or record.id.startswith(value))
            and (key != "type" or record.kind == value)
            and (key != "description" or value in record.title)
            for key, value in filters
        )

    return keep


def _old_enough(filters: Sequence[tuple[str, str]], used: float) -> bool:
    from scow.base.clock import parse_moment

    return all(used <= parse_moment(value, time.time()) for key, value in filters if key in ("until", "unused-for"))
