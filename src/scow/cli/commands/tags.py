# SPDX-License-Identifier: Apache-2.0
"""``scow tags``: what tags a repository has, by name, version or date."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS, client_options

COMMAND = Command(
    name="tags",
    usage="[OPTIONS] REPOSITORY",
    summary="List the tags of a repository",
    min_args=1,
    max_args=1,
    flags=(
        *REGISTRY_FLAGS,
        Flag("digests", help="Show digest, date and size of each tag, which asks the registry for each"),
        Flag("format", kind="string", help="Format output using a Go template"),
        Flag("json", help="Print JSON"),
        Flag("limit", "n", kind="int", help="Show only the first tags"),
        Flag("match", kind="string", type="pattern", help='Only tags that fit a pattern such as "1.*"'),
        Flag(
            "sort",
            kind="enum",
            default="name",
            choices=("name", "semver", "date"),
            help='Order: "name", "semver" or "date", the newest first',
        ),
    ),
)


def main(argv: list[str]) -> int:
    """List tags."""
    from scow.cli.context import engine
    from scow.cli.format import Listing, human_size
    from scow.images.remote import list_tags

    options = parse(COMMAND, argv)
    details = options.digests or options.json or bool(options.format)
    order = "version" if options.sort == "semver" else options.sort
    with engine(plain=True).transfers(client_options(options)) as transfers:
        found = list_tags(transfers, options.args[0], match=options.match, sort=order, details=details)
    found = found[: options.limit or None]
    if options.json:
        import json

        print(json.dumps([info._asdict() for info in found], indent=2))
        return 0
    if not details:
        for info in found:
            print(info.name)
        return 0
    listing = Listing(
        {"Tag": "TAG", "Digest": "DIGEST", "CreatedAt": "CREATED", "Size": "SIZE"},
        default=("Tag", "Digest", "CreatedAt", "Size"),
        kind="*formatter.tagContext",
    )
    rows = [
        {"Tag": info.name, "Digest": info.digest, "CreatedAt": info.created, "Size": human_size(info.size, 3)}
        for info in found
    ]
    return listing.show(rows, options.format)
