# SPDX-License-Identifier: Apache-2.0
"""``scow image delete --remote``: delete tags and images in a registry."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS, client_options
from scow.errors import InvalidArgumentError, ScowError

COMMAND = Command(
    name="delete",
    usage="[OPTIONS] --remote NAME[:TAG|@DIGEST] [NAME...]",
    summary="Delete an image from a registry",
    min_args=1,
    aliases=("image delete",),
    flags=(*REGISTRY_FLAGS, Flag("remote", help="Confirm that the image in the registry is meant")),
)


def main(argv: list[str]) -> int:
    """Delete."""
    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.images.remote import delete_remote

    options = parse(COMMAND, argv)
    if not options.remote:
        raise InvalidArgumentError(
            "nothing was deleted: this command deletes in a registry",
            hint="Add --remote, or use 'scow rmi' for images of the local store.",
        )
    status = 0
    with engine(plain=True).transfers(client_options(options)) as transfers:
        for name in options.args:
            try:
                print(f"Deleted: {delete_remote(transfers, name)}")
            except ScowError as error:
                status = report(error)
    return status
