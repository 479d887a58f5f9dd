# SPDX-License-Identifier: Apache-2.0
"""``scow load``: the images of an archive or layout directory."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.base.progress import Event
    from scow.images.archive import Loaded

COMMAND = Command(
    name="load",
    usage="[OPTIONS]",
    summary="Load an image from a tar archive or STDIN",
    max_args=0,
    aliases=("image load", "load"),
    flags=(
        Flag("input", "i", kind="string", help="Read from tar archive file or layout directory, instead of STDIN"),
        Flag("platform", kind="string", help="Load only the given platform variant, such as linux/arm64"),
        Flag("quiet", "q", help="Suppress the load output"),
    ),
)


def main(argv: list[str]) -> int:
    """Load and name what was loaded."""
    import os
    import sys

    from scow.base.progress import silent
    from scow.cli.context import engine
    from scow.errors import InvalidArgumentError

    options = parse(COMMAND, argv)
    progress = silent if options.quiet or not sys.stderr.isatty() else _show
    scow = engine()
    if not options.input:
        if os.isatty(0):
            raise InvalidArgumentError("requested load from stdin, but stdin is empty", hint="name a file with -i")
        return _report(scow.load(0, platform=options.platform, progress=progress))
    if os.path.isdir(options.input):
        return _report(scow.load(options.input, platform=options.platform, progress=progress))
    fd = open_input(options.input)
    try:
        return _report(scow.load(fd, platform=options.platform, progress=progress))
    finally:
        os.close(fd)


def open_input(path: str) -> int:
    """Open a file the user named.

    Args:
        path: The file.

    Returns:
        A descriptor.

    Raises:
        InvalidArgumentError: It cannot be opened.
    """
    import os

    from scow.errors import InvalidArgumentError

    if os.path.isdir(path):
        raise InvalidArgumentError(f"read {path}: is a directory")
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgumentError(f"open {path}: {(error.strerror or '').lower()}") from error


def _report(loaded: list[Loaded]) -> int:
    for image in loaded:
        for name, old in image.replaced.items():
            print(f"The image {name.familiar} already exists, renaming the old one with ID {old} to empty string")
        for name in image.names:
            print(f"Loaded image: {name.familiar}")
        if not image.names:
            print(f"Loaded image ID: {image.record.id}")
    return 0


def _show(event: Event, /) -> None:
    import sys

    sys.stderr.write(f"{event.task}: {event.status}\n")
