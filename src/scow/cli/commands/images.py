# SPDX-License-Identifier: Apache-2.0
"""``scow images`` / ``scow image ls``: the images of the store."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scow.cli.flags import Parsed
    from scow.engine import Engine
    from scow.images.listing import Row

FORMAT_HELP = """Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template"""

COMMAND = Command(
    name="images",
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    summary="List images",
    max_args=1,
    aliases=("image ls", "image list", "images"),
    flags=(
        Flag("all", "a", help="Show all images (default hides intermediate images)"),
        Flag("digests", help="Show digests"),
        Flag("filter", "f", kind="filter", help="Filter output based on conditions provided"),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only show image IDs"),
    ),
)
_HEADINGS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
_RAW = (
    "repository: {{.Repository}}\n{{if .Tag}}tag: {{.Tag}}\n{{end}}{digest}image_id: {{.ID}}\n"
    "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
)


def main(argv: list[str]) -> int:
    """List images."""
    from scow.cli.context import engine
    from scow.cli.format import Listing, config_format

    options = parse(COMMAND, argv)
    columns: tuple[str, ...] = ("Repository", "Tag", "ID", "CreatedSince", "Size")
    if options.digests:
        columns = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
    raw = _RAW.replace("{digest}", "digest: {{.Digest}}\n" if options.digests else "")
    listing = Listing(
        _HEADINGS, default=columns, kind="*formatter.imageContext", raw=raw, raw_quiet="image_id: {{.ID}}"
    )
    template = options.format
    if not template and not options.quiet:
        template = config_format("imagesFormat")
    return listing.show(_rows(engine(plain=True), options, template), template, quiet="ID" if options.quiet else "")


def _rows(scow: Engine, options: Parsed, template: str) -> Iterator[dict[str, Any]]:
    from scow.images.listing import rows

    filters = [*options.filter]
    filters += [("reference", name) for name in options.args if name]
    wants_digests = options.digests or ".Digest" in template
    for row in rows(scow.list_images(filters, every=options.all), digests=wants_digests):
        yield image_row(row, full=options.no_trunc)


def image_row(row: Row, *, full: bool) -> dict[str, Any]:
    """One line of the table, as the fields that a template may name.

    Args:
        row: The image under one of its names.
        full: Whether its whole ID is shown.
    """
    from scow.base.clock import now
    from scow.cli.format import human_age, human_size

    record = row.record
    return {
        "ID": record.id if full else record.id[7:19],
        "Repository": row.repository,
        "Tag": row.tag,
        "Digest": row.digest,
        "CreatedSince": human_age(record.created, now()) if record.created else "N/A",
        "CreatedAt": go_time(record.created),
        "Size": human_size(record.size, 3),
        "VirtualSize": human_size(record.size),
        **dict.fromkeys(("Containers", "SharedSize", "UniqueSize"), "N/A"),  # system df counts them
    }


def go_time(when: float) -> str:
    """Write a moment as Go's ``time.Time`` prints itself, in local time without fraction.

    Args:
        when: Seconds since the epoch.

    Returns:
        Such as ``2020-01-02 03:04:06 +0000 UTC``.
    """
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(int(when)))
