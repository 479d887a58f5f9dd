# SPDX-License-Identifier: Apache-2.0
"""``scow history``: how an image was made."""

from __future__ import annotations

from scow.cli.commands.images import FORMAT_HELP
from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.images.history import Step

COMMAND = Command(
    name="history",
    usage="[OPTIONS] IMAGE",
    summary="Show the history of an image",
    min_args=1,
    max_args=1,
    aliases=("image history", "history"),
    flags=(
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("human", "H", default=True, help="Print sizes and dates in human readable format"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only show image IDs"),
    ),
)
_WIDTH = 45


def main(argv: list[str]) -> int:
    """Show the steps, the newest first."""
    from scow.cli.context import engine
    from scow.cli.format import Listing

    options = parse(COMMAND, argv)
    listing = Listing(
        {
            "ID": "IMAGE",
            "CreatedSince": "CREATED" if options.human else "CREATED AT",
            "CreatedAt": "CREATED AT",
            "CreatedBy": "CREATED BY",
            "Size": "SIZE",
            "Comment": "COMMENT",
        },
        default=("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
        kind="*image.historyContext",
    )
    rows = (_row(step, options) for step in engine(plain=True).history(options.args[0]))
    return listing.show(rows, options.format, quiet="ID" if options.quiet else "")


def _row(step: Step, options: Parsed) -> dict[str, str]:
    import time

    from scow.base.clock import now
    from scow.cli.format import ellipsis, human_age, human_size

    known = step.id.startswith("sha256:")
    created_by = step.created_by.replace("\t", " ")
    created_at = ""
    if step.created is not None:
        moment = time.localtime(int(step.created))
        zone = time.strftime("%z", moment)
        created_at = time.strftime("%Y-%m-%dT%H:%M:%S", moment) + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")
    since = created_at
    if options.human:
        since = "N/A" if step.created is None else human_age(step.created, now())
    return {
        "ID": step.id if options.no_trunc or not known else step.id[7:19],
        "CreatedSince": since,
        "CreatedAt": created_at,
        "CreatedBy": created_by if options.no_trunc else ellipsis(created_by, _WIDTH),
        "Size": human_size(step.size, 3) if options.human else str(step.size),
        "Comment": step.comment,
    }
