# SPDX-License-Identifier: Apache-2.0
"""``scow version``: what is running, in docker's shape."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="version",
    usage="[OPTIONS]",
    summary="Show the scow version information",
    max_args=0,
    flags=(Flag("format", "f", kind="string", help="Format output using a custom template"),),
)


def main(argv: list[str]) -> int:
    """Print the versions."""
    from scow import __version__

    parse(COMMAND, argv)
    print(f"scow version {__version__}")
    return 0
