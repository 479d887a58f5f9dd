# SPDX-License-Identifier: Apache-2.0
"""``scow tag``: another name for an image."""

from __future__ import annotations

from scow.cli.flags import Command, parse

COMMAND = Command(
    name="tag",
    usage="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    summary="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    min_args=2,
    max_args=2,
    aliases=("image tag", "tag"),
)


def main(argv: list[str]) -> int:
    """Give an image another name."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    engine().tag(*options.args)
    return 0
