# SPDX-License-Identifier: Apache-2.0
"""``scow copy``: an image from any place to any other, with all platforms and all that refers to it."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import PROGRESS_FLAG, REGISTRY_FLAGS, client_options, load_transfers

COMMAND = Command(
    name="copy",
    usage="[OPTIONS] SOURCE DESTINATION",
    summary="Copy an image between registries, the store, archives and layouts",
    min_args=2,
    max_args=2,
    flags=(
        *REGISTRY_FLAGS,
        Flag("platform", kind="string", help="Copy only the image for this platform; else all of them"),
        PROGRESS_FLAG,
        Flag("quiet", "q", help="Print only the digest"),
        Flag("referrers", default=True, help="Copy signatures and attestations too"),
    ),
)


def main(argv: list[str]) -> int:
    """Copy."""
    import sys

    from scow.cli import bars
    from scow.cli.context import engine
    from scow.images.places import Copier, parse_place

    options = parse(COMMAND, argv)
    source, target = parse_place(options.args[0]), parse_place(options.args[1])
    scow = engine(meanwhile=load_transfers)
    with (
        bars.shown(options.progress, quiet=options.quiet, stream=sys.stderr) as progress,
        scow.transfers(client_options(options), progress) as transfers,
    ):
        digest = Copier(transfers, options.platform, referrers=options.referrers).copy(source, target)
    print(digest)
    return 0
