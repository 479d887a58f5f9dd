# SPDX-License-Identifier: Apache-2.0
"""``scow volume``: directories that outlive containers."""

from __future__ import annotations

import sys

from scow.cli.containervalues import label
from scow.cli.flags import Command, Flag, parse
from scow.errors import NotFoundError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.shapes import Shape
    from scow.containers.volumes import Volume

CREATE = Command(
    name="create",
    usage="[OPTIONS] [VOLUME]",
    summary="Create a volume",
    max_args=1,
    aliases=("volume create",),
    flags=(
        Flag("driver", "d", kind="string", default="local", help="Specify volume driver name"),
        Flag("label", kind="list", check=label, help="Set metadata for a volume"),
        Flag("name", kind="string", hidden=True, help="Specify volume name"),
        Flag("opt", "o", kind="map", help="Set driver specific options"),
    ),
)
LS = Command(
    name="ls",
    usage="[OPTIONS]",
    summary="List volumes",
    max_args=0,
    aliases=("volume ls", "volume list"),
    flags=(
        Flag("cluster", hidden=True, help="Display only cluster volumes, and use cluster volume list formatting"),
        Flag("filter", "f", kind="filter", help='Provide filter values (e.g. "dangling=true")'),
        Flag("format", kind="string", help="Format output using a custom template"),
        Flag("quiet", "q", help="Only display volume names"),
    ),
)
INSPECT = Command(
    name="inspect",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    summary="Display detailed information on one or more volumes",
    min_args=1,
    aliases=("volume inspect",),
    flags=(Flag("format", "f", kind="string", help="Format output using a custom template"),),
)
RM = Command(
    name="rm",
    usage="[OPTIONS] VOLUME [VOLUME...]",
    summary="Remove one or more volumes",
    min_args=1,
    aliases=("volume rm", "volume remove"),
    flags=(Flag("force", "f", help="Force the removal of one or more volumes"),),
)
PRUNE = Command(
    name="prune",
    usage="[OPTIONS]",
    summary="Remove unused local volumes",
    max_args=0,
    aliases=("volume prune",),
    flags=(
        Flag("all", "a", help="Remove all unused volumes, not just anonymous ones"),
        Flag("filter", kind="filter", help='Provide filter values (e.g. "label=<label>")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
    ),
)


def create(argv: list[str]) -> int:
    """Make a volume and print its name."""
    from scow.cli.containerrequest import labels
    from scow.cli.context import engine

    options = parse(CREATE, argv)
    if options.name and options.args:
        raise ScowError("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    name = options.args[0] if options.args else options.name
    if options.driver != "local":
        raise ScowError(
            f'create {name}: error looking up volume plugin {options.driver}: plugin "{options.driver}" not found'
        )
    volume = engine().containers.volumes.create(name, labels=labels(options.label), options=options.opt)
    sys.stdout.write(volume.name + "\n")
    return 0


def ls(argv: list[str]) -> int:
    """List volumes."""
    from scow.cli.context import engine
    from scow.cli.format import Listing, config_format
    from scow.containers.volumes import select

    options = parse(LS, argv)
    volumes = engine().containers.volumes
    filters = options.filter
    for key, _ in filters:
        if key in {"label!", "all"}:  # those of prune only
            raise ScowError(f"Invalid filter '{key}'")
    rows = [volume_row(volume) for volume in select(volumes, filters)]
    listing = Listing(
        {
            "Driver": "DRIVER",
            "Name": "VOLUME NAME",
            "Scope": "SCOPE",
            "Mountpoint": "MOUNTPOINT",
            "Labels": "LABELS",
            "Links": "LINKS",
            "Size": "SIZE",
            "Status": "STATUS",
            "Group": "GROUP",
            "Availability": "AVAILABILITY",
            "Label": "",
        },
        default=("Driver", "Name"),
        kind="*formatter.volumeContext",
        raw="name: {{.Name}}\ndriver: {{.Driver}}\n",
        raw_quiet="name: {{.Name}}",
    )
    template = options.format or ("" if options.quiet else config_format("volumesFormat"))
    return listing.show(rows, template, quiet="Name" if options.quiet else "")


def volume_row(volume: Volume) -> dict[str, Any]:
    """One line of the table, as the fields that a template may name."""
    from scow.cli.format import Method

    return {
        "Name": volume.name,
        "Driver": "local",
        "Scope": "local",
        "Mountpoint": volume.path,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(volume.labels.items())),
        **dict.fromkeys(("Links", "Size"), "N/A"),  # system df counts them
        **dict.fromkeys(("Status", "Group", "Availability"), "N/A"),  # of cluster volumes
        "Label": Method(lambda name: volume.labels.get(name, "")),
    }


def inspect(argv: list[str]) -> int:
    """Print what is known of volumes."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import VOLUME

    options = parse(INSPECT, argv)
    volumes = engine().containers.volumes

    def get(name: str) -> tuple[dict[str, Any], Shape]:
        from scow.containers.volumes import inspect

        return inspect(volumes.get(name)), VOLUME

    return inspect_all(options.args, get, options.format)


def rm(argv: list[str]) -> int:
    """Remove volumes."""
    from scow.cli.context import engine
    from scow.cli.report import report

    options = parse(RM, argv)
    volumes = engine().containers.volumes
    status = 0
    for name in options.args:
        try:
            volumes.remove(name)
        except ScowError as error:
            if not (options.force and isinstance(error, NotFoundError)):
                sys.stdout.flush()
                code = report(error)
                status = status or code
                continue
        sys.stdout.write(name + "\n")
    return status


def prune(argv: list[str]) -> int:
    """Remove volumes that nothing uses."""
    from scow.cli.context import engine
    from scow.cli.format import human_size
    from scow.cli.prompt import confirm
    from scow.containers.usage import tree_size
    from scow.containers.volumes import select

    options = parse(PRUNE, argv)
    filters = [pair for pair in options.filter if pair[0] != "all"]
    every = options.all or any(pair in {("all", "true"), ("all", "1")} for pair in options.filter)
    kind = "local" if every else "anonymous local"
    warning = f"WARNING! This will remove {kind} volumes not used by at least one container."
    if not options.force and not confirm(warning):
        return 0
    volumes = engine().containers.volumes
    gone, size = [], 0
    for volume in select(volumes, [*filters, ("dangling", "true")]):
        if volume.anonymous or every:
            own = tree_size(volume.path)
            try:
                volumes.remove(volume.name)
            except ScowError:
                continue  # a container took it meanwhile
            size += own
            gone.append(volume.name)
    if gone:
        sys.stdout.write("Deleted Volumes:\n" + "".join(f"{name}\n" for name in gone) + "\n")
    sys.stdout.write(f"Total reclaimed space: {human_size(size)}\n")
    return 0
