# SPDX-License-Identifier: Apache-2.0
"""``scow push``: send an image, or every local tag of a repository, to a registry."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import PROGRESS_FLAG, REGISTRY_FLAGS, client_options, load_transfers
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

    from scow.cli.signing import Signer
    from scow.engine import Engine
    from scow.images.sending import Pushed
    from scow.oci.reference import Reference

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
    from contextlib import ExitStack

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
    scow = engine(options, meanwhile=load_transfers)
    with ExitStack() as stack:
        signer = _signer(scow, stack, reference, every=options.all_tags) if scow.settings.content_trust else None
        progress = stack.enter_context(bars.shown(options.progress, quiet=options.quiet, stream=sys.stdout))
        transfers = stack.enter_context(scow.transfers(client_options(options), progress))
        if not (reference.tag or options.all_tags):
            progress.line("Using default tag: latest")
        progress.line(f"The push refers to repository [{reference.repository}]")

        def each(pushed: Pushed) -> None:
            progress.line(f"{pushed.reference.tag}: digest: {pushed.digest} size: {pushed.size}")

        if options.all_tags:
            done = transfers.push_all(options.args[0], compression=compression, platform=options.platform, each=each)
            shown = reference.familiar_repository
        else:
            done = [transfers.push(options.args[0], compression=compression, platform=options.platform)]
            each(done[0])
            shown = done[0].reference.familiar
        if signer is not None:
            signer.finish(done, progress.line)
    if options.quiet:
        print(shown)
    return 0


def _signer(scow: Engine, stack: ExitStack, reference: Reference, *, every: bool) -> Signer:
    """What signs every tag that will be pushed; it has unlocked all keys that this takes."""
    from scow.cli.signing import Signer, open_trust
    from scow.images.transfer import pushed_names

    names = pushed_names(scow.images, reference, every=every)
    return Signer(stack.enter_context(open_trust(scow)), names)
