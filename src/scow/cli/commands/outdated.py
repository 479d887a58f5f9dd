# SPDX-License-Identifier: Apache-2.0
"""``scow outdated``: which local images, or the bases they were made on, have a newer version in their registry."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS, client_options

COMMAND = Command(
    name="outdated",
    usage="[OPTIONS] [IMAGE...]",
    summary="List local images that have a newer version in their registry",
    flags=(
        *REGISTRY_FLAGS,
        Flag("all", "a", help="Show images that are current, too"),
        Flag("exit-code", help="Exit with 1 when something is outdated"),
        Flag("format", kind="string", help="Format output using a Go template"),
        Flag("quiet", "q", help="Only show names"),
    ),
)


def main(argv: list[str]) -> int:
    """Compare."""
    from scow.cli.context import engine
    from scow.cli.format import Listing
    from scow.images.remote import outdated

    options = parse(COMMAND, argv)
    with engine(plain=True).transfers(client_options(options)) as transfers:
        found = outdated(transfers, options.args)
    shown = [row for row in found if options.all or options.args or row.status != "current"]
    listing = Listing(
        {
            "Image": "IMAGE",
            "Kind": "KIND",
            "Source": "SOURCE",
            "Status": "STATUS",
            "Current": "CURRENT",
            "Latest": "LATEST",
            "Error": "ERROR",
        },
        default=(
            *("Image", "Kind", "Source", "Status", "Current", "Latest"),
            *(["Error"] if any(row.error for row in shown) else []),
        ),
        kind="*formatter.outdatedContext",
    )
    length = 19 if options.format in ("", "table") else None
    rows = [
        {
            "Image": row.name,
            "Kind": row.kind,
            "Source": row.source,
            "Status": row.status,
            "Current": row.here[:length],
            "Latest": row.there[:length],
            "Error": row.error,
        }
        for row in shown
    ]
    status = listing.show(rows, options.format, quiet="Image" if options.quiet else "")
    return 1 if options.exit_code and any(row.status == "outdated" for row in found) else status
