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
        Flag("filter", "f", kind="filter", help="Filter output based on conditions provided"),
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
    from scow.cli.report import note

    options = parse(COMMAND, argv)
    # docker's client sends no limit below one
    limit = max(options.limit, 0)
    if any(name == "is-automated" for name, _ in options.filter):
        note(
            'WARNING: the "is-automated" filter is deprecated, '
            'and searching for "is-automated=true" will not yield any results in future.'
        )
    with engine(plain=True).transfers(client_options(options)) as transfers:
        if options.list_tags:
            tags = transfers.tags(options.args[0])
            listing = Listing({"Name": "NAME", "Tag": "TAG"}, default=("Name", "Tag"), kind="*registry.searchContext")
            rows = [{"Name": options.args[0], "Tag": tag} for tag in tags[: limit or None]]
            return listing.show(rows, options.format)
        found = transfers.search(options.args[0], limit, options.filter)
    listing = Listing(
        {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"},
        default=("Name", "Description", "StarCount", "IsOfficial"),
        kind="*registry.searchContext",
    )
    return listing.show([_row(entry, whole=options.no_trunc) for entry in found], options.format)


def _row(entry: Found, *, whole: bool) -> dict[str, Any]:
    from scow.cli.format import ellipsis
    from scow.cli.template.values import Mark

    return {
        "Name": entry.name,
        "Description": entry.description if whole else ellipsis(entry.description, _DESCRIPTION),
        "StarCount": str(entry.stars),
        "IsOfficial": Mark("[OK]", "true") if entry.official else Mark("", "false"),
    }
