# SPDX-License-Identifier: Apache-2.0
"""``scow search``: find images on Docker Hub or in any registry that can be searched or listed."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS, client_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.distribution.registry import Found

COMMAND = Command(
    name="search",
    usage="[OPTIONS] TERM",
    summary="Search a registry for images",
    min_args=1,
    max_args=1,
    flags=(
        *REGISTRY_FLAGS,
        Flag("filter", "f", kind="list", type="filter", help="Filter output based on conditions provided"),
        Flag("format", kind="string", help="Pretty-print search using a Go template"),
        Flag("limit", kind="int", help="Max number of search results"),
        Flag("list-tags", help="List the tags of the repository TERM instead"),
        Flag("no-trunc", help="Don't truncate output"),
    ),
)
_DESCRIPTION = 45


def main(argv: list[str]) -> int:
    """Search."""
    from scow.cli.context import engine
    from scow.cli.format import Listing

    options = parse(COMMAND, argv)
    limit = options.limit if options.changed("limit") else 0
    with engine().transfers(client_options(options)) as transfers:
        if options.list_tags:
            tags = transfers.tags(options.args[0])
            listing = Listing({"Name": "NAME", "Tag": "TAG"}, default=("Name", "Tag"), kind="*formatter.searchContext")
            rows = [{"Name": options.args[0], "Tag": tag} for tag in tags[: limit or None]]
            return listing.show(rows, options.format)
        found = transfers.search(options.args[0], limit, options.filter)
    listing = Listing(
        {
            "Name": "NAME",
            "Description": "DESCRIPTION",
            "StarCount": "STARS",
            "IsOfficial": "OFFICIAL",
            "IsAutomated": "AUTOMATED",
        },
        default=("Name", "Description", "StarCount", "IsOfficial"),
        kind="*formatter.searchContext",
    )
    return listing.show([_row(entry, whole=options.no_trunc) for entry in found], options.format)


def _row(entry: Found, *, whole: bool) -> dict[str, Any]:
    from scow.cli.format import ellipsis

    return {
        "Name": entry.name,
        "Description": entry.description if whole else ellipsis(entry.description, _DESCRIPTION),
        "StarCount": str(entry.stars),
        "IsOfficial": "[OK]" if entry.official else "",
        "IsAutomated": "[OK]" if entry.automated else "",
    }
