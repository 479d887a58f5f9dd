# SPDX-License-Identifier: Apache-2.0
"""``scow image inspect``: everything known of images."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

INSPECT_FORMAT_HELP = """Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template"""

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Display detailed information on one or more images",
    min_args=1,
    aliases=("image inspect",),
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
)


def main(argv: list[str]) -> int:
    """Print docker's JSON for images, or a template over it."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import IMAGE

    options = parse(COMMAND, argv)
    scow = engine()
    return inspect_all(options.args, lambda name: (scow.inspect_image(name), IMAGE), options.format)
