# SPDX-License-Identifier: Apache-2.0
"""``scow export``: a container's files as one tar archive."""

from __future__ import annotations

import os
import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import ScowError

COMMAND = Command(
    name="export",
    usage="[OPTIONS] CONTAINER",
    summary="Export a container's filesystem as a tar archive",
    min_args=1,
    max_args=1,
    aliases=("container export", "export"),
    flags=(Flag("output", "o", kind="string", help="Write to a file, instead of STDOUT"),),
)


def main(argv: list[str]) -> int:
    """Write the archive."""
    from scow.cli.context import engine
    from scow.containers.exporting import export

    options = parse(COMMAND, argv)
    if not options.output and os.isatty(1):
        raise ScowError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    containers = engine().containers
    container = containers.find(options.args[0])
    if not options.output:
        export(containers, container, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    from scow.cli.outputfile import write_file

    write_file(options.output, lambda file: export(containers, container, file), what="failed to export container")
    return 0
