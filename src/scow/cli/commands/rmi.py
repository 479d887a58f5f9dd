# SPDX-License-Identifier: Apache-2.0
"""``scow rmi``: names and images taken away."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

COMMAND = Command(
    name="rmi",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Remove one or more images",
    min_args=1,
    aliases=("image rm", "image remove", "rmi"),
    flags=(
        Flag("force", "f", help="Force removal of the image"),
        Flag("no-prune", help="Do not delete untagged parents"),
    ),
)


def main(argv: list[str]) -> int:
    """Remove each argument, then complain about those that could not be."""
    from scow.cli.context import engine
    from scow.cli.report import report
    from scow.errors import NotFoundError, ScowError

    options = parse(COMMAND, argv)
    scow = engine()
    failures: list[ScowError] = []
    for name in options.args:
        try:
            removed = scow.remove_image(name, force=options.force, prune_parents=not options.no_prune)
        except ScowError as error:
            failures.append(error)
            continue
        for removal in removed:
            print(f"{removal.kind}: {removal.what}")
    status = 0
    for failure in failures:
        code = report(failure)
        if not (options.force and isinstance(failure, NotFoundError)):
            status = code
    return status
