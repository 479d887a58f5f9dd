# SPDX-License-Identifier: Apache-2.0
"""``scow import``: a tarball of a file system becomes an image."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.base.streams import Readable
    from scow.cli.flags import Parsed
    from scow.engine import Engine

COMMAND = Command(
    name="import",
    usage="[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    summary="Import the contents from a tarball to create a filesystem image",
    min_args=1,
    aliases=("image import", "import"),
    flags=(
        Flag("change", "c", kind="list", help="Apply Dockerfile instruction to the created image"),
        Flag("message", "m", kind="string", help="Set commit message for imported image"),
        Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
    ),
)


def main(argv: list[str]) -> int:
    """Import and print the new image's ID."""
    import os

    from scow.cli.commands.load import open_input
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    scow = engine()
    source = options.args[0]
    if source.startswith(("http://", "https://")):
        from scow import __version__
        from scow.images.importing import UrlSource

        body = UrlSource(source, scow.settings.environ, f"scow/{__version__}")
        try:
            return _import(scow, options, body, source)
        finally:
            body.close()
    fd = 0 if source == "-" else open_input(source)
    try:
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return _import(scow, options, file, "-")
    finally:
        if fd:
            os.close(fd)


def _import(scow: Engine, options: Parsed, source: Readable, shown: str) -> int:
    record = scow.import_image(
        source,
        options.args[1] if len(options.args) > 1 else "",
        changes=options.change,
        message=options.message or f"Imported from {shown}",
        platform=options.platform,
    )
    print(record.id)
    return 0
