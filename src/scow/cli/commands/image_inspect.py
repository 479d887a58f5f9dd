# SPDX-License-Identifier: Apache-2.0
"""``scow image inspect``: everything known of images."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS

INSPECT_FORMAT_HELP = """Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template"""

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Display detailed information on one or more images",
    min_args=1,
    aliases=("image inspect",),
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("platform", kind="string", help="With --remote: the image for this platform"),
        *REGISTRY_FLAGS,
        Flag("remote", help="Ask the registry, and download no layer"),
    ),
)


def main(argv: list[str]) -> int:
    """Print docker's JSON for images, or a template over it."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import IMAGE

    options = parse(COMMAND, argv)
    scow = engine(plain=True)
    if options.remote:
        from scow.cli.registryflags import client_options

        with scow.transfers(client_options(options)) as transfers:
            from scow.images.remote import inspect_remote

            platform = options.platform
            return inspect_all(
                options.args, lambda name: (inspect_remote(transfers, name, platform), IMAGE), options.format
            )
    return inspect_all(options.args, lambda name: (scow.inspect_image(name), IMAGE), options.format)
