# SPDX-License-Identifier: Apache-2.0
"""``scow save``: images as an archive that docker, podman, skopeo and umoci read."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="save",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Save one or more images to a tar archive (streamed to STDOUT by default)",
    min_args=1,
    aliases=("image save", "save"),
    flags=(
        Flag(
            "format", kind="enum", default="docker", choices=("docker", "oci"), help='Archive format ("docker"|"oci")'
        ),
        Flag("output", "o", kind="string", help="Write to a file, instead of STDOUT"),
    ),
)


def main(argv: list[str]) -> int:
    """Write the archive."""
    import os

    from scow.cli.context import engine
    from scow.cli.outputfile import Whole, write_file
    from scow.errors import InvalidArgumentError

    options = parse(COMMAND, argv)
    scow = engine()
    if options.output:
        write_file(
            options.output, lambda out: scow.save(options.args, out, form=options.format), what="failed to save image"
        )
        return 0
    if os.isatty(1):
        raise InvalidArgumentError("cowardly refusing to save to a terminal", hint="use the -o flag or redirect")
    with open(1, "wb", buffering=0, closefd=False) as out:
        scow.save(options.args, Whole(out), form=options.format)
    return 0
