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
    interspersed=False,
    aliases=("image tag", "tag"),
)


def main(argv: list[str]) -> int:
    """Give an image another name."""
    from scow.cli.context import engine
    from scow.errors import InvalidArgumentError
    from scow.oci.reference import InvalidReferenceError, Reference

    source, target = parse(COMMAND, argv).args
    scow = engine(plain=True)
    for name, read in ((target, Reference.parse), (source, scow.images.resolve)):
        try:
            read(name)
        except InvalidReferenceError as error:
            raise InvalidArgumentError(
                f'Error parsing reference: "{name}" is not a valid repository/tag: {error.message}', hint=error.hint
            ) from None
    scow.tag(source, target)
    return 0
