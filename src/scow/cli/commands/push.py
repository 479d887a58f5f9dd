# SPDX-License-Identifier: Apache-2.0
"""``scow push``: send an image, or every local tag of a repository, to a registry."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import PROGRESS_FLAG, REGISTRY_FLAGS, client_options, load_transfers
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.images.sending import Pushed

COMMAND = Command(
    name="push",
    usage="[OPTIONS] NAME[:TAG]",
    summary="Upload an image to a registry",
    min_args=1,
    max_args=1,
    aliases=("image push", "push"),
    flags=(
        Flag("all-tags", "a", help="Push all tags of an image to the repository"),
        *REGISTRY_FLAGS,
        Flag(
            "compression",
            kind="string",
            help='Compress every layer: "gzip", "zstd", either with ":LEVEL", or "none"; else only plain ones, by gzip',
        ),
        Flag("disable-content-trust", default=True, help="Skip image signing"),
        Flag("platform", kind="string", help="Push only when the image is for this platform"),
        PROGRESS_FLAG,
        Flag("quiet", "q", help="Suppress verbose output"),
    ),
)


def main(argv: list[str]) -> int:
    """Push."""
    import sys

    from scow.cli import bars
    from scow.cli.context import engine
    from scow.images.packing import parse_compression
    from scow.oci.reference import Reference

    options = parse(COMMAND, argv)
    compression = parse_compression(options.compression) if options.compression else None
    reference = Reference.parse(options.args[0])
    if options.all_tags and (reference.tag or reference.digest):
        raise InvalidArgumentError("tag can't be used with --all-tags/-a")
    if reference.digest:
        raise InvalidArgumentError("cannot push a digest reference")
    scow = engine(meanwhile=load_transfers)
    with (
        bars.shown(options.progress, quiet=options.quiet, stream=sys.stdout) as progress,
        scow.transfers(client_options(options), progress) as transfers,
    ):
        if not (reference.tag or options.all_tags):
            progress.line("Using default tag: latest")
        progress.line(f"The push refers to repository [{reference.repository}]")

        def each(pushed: Pushed) -> None:
            progress.line(f"{pushed.reference.tag}: digest: {pushed.digest} size: {pushed.size}")

        if options.all_tags:
            transfers.push_all(options.args[0], compression=compression, platform=options.platform, each=each)
            shown = reference.familiar_repository
        else:
            pushed = transfers.push(options.args[0], compression=compression, platform=options.platform)
            each(pushed)
            shown = pushed.reference.familiar
    if options.quiet:
        print(shown)
    return 0
