# SPDX-License-Identifier: Apache-2.0
"""``scow system df``, ``prune``, ``fsck`` and ``boot``: what the store holds, freeing it, checking it, its restart."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.containers.usage import DiskUsage
    from scow.engine import Engine

DF = Command(
    name="df",
    usage="[OPTIONS]",
    summary="Show disk usage",
    max_args=0,
    flags=(
        Flag("format", kind="string", help="'table', 'json', 'table TEMPLATE' or a Go TEMPLATE"),
        Flag("verbose", "v", help="Show detailed information on space usage"),
    ),
)
FSCK = Command(
    name="fsck",
    usage="[OPTIONS]",
    summary="Check every digest and every link of the store",
    max_args=0,
    flags=(
        Flag("format", kind="string", help="'json' or a Go TEMPLATE, one line for each finding"),
        Flag("repair", help="Take away what cannot be used and put counters right"),
    ),
)
BOOT = Command(
    name="boot",
    usage="",
    summary="Start the containers whose restart policy asks for it, after the machine has started",
    max_args=0,
)
PRUNE = Command(
    name="prune",
    usage="[OPTIONS]",
    summary="Remove unused data",
    max_args=0,
    flags=(
        Flag("all", "a", help="Remove all unused images not just dangling ones"),
        Flag("filter", kind="filter", help='Provide filter values (e.g. "label=<key>=<value>")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
        Flag("volumes", help="Prune anonymous volumes"),
    ),
)


def df(argv: list[str]) -> int:
    """Show what takes space."""
    from scow.cli.context import engine

    options = parse(DF, argv)
    scow = engine()
    usage = scow.disk_usage()
    if options.verbose and options.format not in {"", "table"}:
        from scow.cli.diskusage import everything
        from scow.cli.inspection import show_one

        return show_one(everything(scow, usage), options.format)
    if options.verbose:
        return _verbose(scow, usage)
    return _summary(usage, options)


def _summary(usage: DiskUsage, options: Parsed) -> int:
    from scow.cli.format import Listing, human_size

    listing = Listing(
        {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"},
        default=("Type", "TotalCount", "Active", "Size", "Reclaimable"),
        kind="*formatter.diskUsageContext",
        raw="type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n"
        "reclaimable: {{.Reclaimable}}\n",
    )
    rows = []
    for row in usage.rows:
        share = f" ({row.reclaimable * 100 // row.size}%)" if row.size and row.kind != "Build Cache" else ""
        rows.append(
            {
                "Type": row.kind,
                "TotalCount": str(row.total),
                "Active": str(row.active),
                "Size": human_size(row.size),
                "Reclaimable": human_size(row.reclaimable) + share,
            }
        )
    return listing.show(rows, options.format)


def _verbose(scow: Engine, usage: DiskUsage) -> int:
    from scow.base.clock import now
    from scow.cli.format import human_age, human_size, table

    print("Images space usage:\n")
    print(table(_image_lines(scow)))
    print("Containers space usage:\n")
    print(table(_container_lines(scow)))
    print("Local Volumes space usage:\n")
    lines = [["VOLUME NAME", "LINKS", "SIZE"]]
    lines += [[name, str(links), human_size(size)] for name, links, size in usage.volumes]
    print(table(lines))
    print(f"Build cache usage: {human_size(sum(record.size for record in usage.cache))}\n")
    lines = [["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]]
    at = now()
    for record in usage.cache:
        ages = [human_age(record.created, at), human_age(record.used, at)]
        shared = str(record.shared).lower()
        lines.append([record.id[:12], record.kind, human_size(record.size), *ages, str(record.uses), shared])
    print(table(lines))
    print(f"Blobs: {usage.blobs} files, {human_size(usage.blob_size)} on disk")
    return 0


def _image_lines(scow: Engine) -> list[list[str]]:
    from scow.base.clock import now
    from scow.cli.format import human_age, human_size
    from scow.images.listing import rows

    shared = scow.images.shared_sizes()
    lines = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for record, repository, tag, _ in rows(scow.list_images()):
        common = shared.get(record.id, 0)
        sizes = [human_size(record.size, 3), human_size(common), human_size(record.size - common)]
        age = human_age(record.created, now()) if record.created else "N/A"
        lines.append([repository, tag, record.id[7:19], age, *sizes, str(len(scow.image_users(record.id)))])
    return lines


def _container_lines(scow: Engine) -> list[list[str]]:
    from scow.base.clock import now
    from scow.cli.format import ellipsis, human_age, human_size
    from scow.containers.sizes import sizes

    lines = [["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"]]
    for container in scow.containers.all():
        words = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
        volumes = sum(mount.get("Type") == "volume" for mount in container.mounts)
        size, _ = sizes(scow.containers, container)
        lines.append(
            [
                container.id[:12],
                container.image_name,
                '"' + ellipsis(" ".join(words), 20) + '"',
                str(volumes),
                human_size(size, 3),
                human_age(container.created, now()),
                container.status.capitalize(),
                container.name,
            ]
        )
    return lines


def boot(argv: list[str]) -> int:
    """Start the containers and print their names."""
    import sys

    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.containers.booting import start_again

    parse(BOOT, argv)
    status = 0
    for container, error in start_again(engine().containers):
        if error is None:
            sys.stdout.write(f"{container.name}\n")
            sys.stdout.flush()
        else:
            status = report(error)
    return status


def fsck(argv: list[str]) -> int:
    """Check the store; 1 when something is damaged and was not repaired. What only takes space is no damage."""
    import sys

    from scow.cli.context import engine

    options = parse(FSCK, argv)
    damaged = leftovers = count = 0
    for finding in engine().fsck(repair=options.repair):
        count += 1
        damaged += not finding.repaired and not finding.harmless
        leftovers += not finding.repaired and finding.harmless
        if options.format:
            print(_formatted(finding._asdict(), options.format))
        else:
            print(f"{finding.kind}: {finding.message}{' (repaired)' if finding.repaired else ''}")
        sys.stdout.flush()
    if not options.format:
        print(_verdict(damaged, leftovers, count, repair=options.repair))
    return 1 if damaged else 0


def _verdict(damaged: int, leftovers: int, count: int, *, repair: bool) -> str:
    if damaged:
        again = "" if repair else ", run 'scow system fsck --repair'"
        return f"{damaged} of {count} findings are left{again}"
    if leftovers:
        return f"The store is clean but for {leftovers} leftovers of killed commands, which 'fsck --repair' sweeps"
    return "The store is clean" if not count else "The store is clean now"


def _formatted(value: dict[str, Any], template: str) -> str:
    from scow.cli.template.evaluator import Template

    named = {name.capitalize(): item for name, item in value.items()}
    return Template("{{json .}}" if template == "json" else template).render(named, strict=True)


def prune(argv: list[str]) -> int:
    """Remove stopped containers, unused images, volumes when asked, and build cache."""
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.prompt import confirm

    options = parse(PRUNE, argv)
    if options.volumes and any(name == "until" for name, _ in options.filter):
        raise InvalidArgumentError('The "until" filter is not supported with "--volumes"')
    if not options.force and not confirm(_warning(options)):
        return 0
    pruned = engine().prune(
        every=options.all, volumes=options.volumes, filters=[pair for pair in options.filter if pair[0] != "dangling"]
    )
    for title, names in (
        ("Deleted Containers:", pruned.containers),
        ("Deleted Networks:", pruned.networks),
        ("Deleted Volumes:", pruned.volumes),
        ("Deleted Images:", [f"{removal.kind.lower()}: {removal.what}" for removal in pruned.images]),
        ("Deleted build cache objects:", pruned.cache),
    ):
        if names:
            print("\n".join((title, *names)), end="\n\n")
    print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def _warning(options: Parsed) -> str:
    what = ["all stopped containers", "all networks not used by at least one container"]
    if options.volumes:
        what.append("all anonymous volumes not used by at least one container")
    if options.all:
        what.append("all images without at least one container associated to them")
    else:
        what.append("all dangling images")
    what.append("all build cache" if options.all else "unused build cache")
    lines = "".join(f"  - {item}\n" for item in what)
    filters = "".join(f"  - {name}={value}\n" for name, value in options.filter)
    if filters:
        lines += f"\n  Items to be pruned will be filtered with:\n{filters}"
    return f"WARNING! This will remove:\n{lines}"
