# SPDX-License-Identifier: Apache-2.0
"""``scow save``: images as an archive that docker, podman, skopeo and umoci read."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.engine import Engine

COMMAND = Command(
    name="save",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Save one or more images to a tar archive (streamed to STDOUT by default)",
    min_args=1,
    aliases=("image save", "save"),
    flags=(
        Flag(
            "format", kind="enum", default="docker", choices=("docker", "oci"), help='Archive format ("docker"|"oci")'
        ),
        Flag("output", "o", kind="string", help="Write to a file, instead of STDOUT"),
    ),
)


def main(argv: list[str]) -> int:
    """Write the archive."""
    import os

    from scow.cli.context import engine
    from scow.errors import InvalidArgumentError

    options = parse(COMMAND, argv)
    scow = engine()
    if options.output:
        _to_file(scow, options.args, options.output, options.format)
        return 0
    if os.isatty(1):
        raise InvalidArgumentError("cowardly refusing to save to a terminal", hint="use the -o flag or redirect")
    with open(1, "wb", buffering=0, closefd=False) as out:
        scow.save(options.args, Whole(out), form=options.format)
    return 0


class Whole:
    """A file that takes all the bytes it is given.

    Args:
        file: Where to.
    """

    def __init__(self, file: object) -> None:
        self._fd: int = file.fileno()  # type: ignore[attr-defined]

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Write everything."""
        import os

        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        return len(data)


def _to_file(scow: Engine, names: list[str], path: str, form: str) -> None:
    """Write beside the file and rename, so that a failure leaves the old one."""
    import os
    import stat

    from scow.errors import InvalidArgumentError

    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InvalidArgumentError(
            f"failed to save image: invalid output path: stat {os.path.dirname(path)}: no such file or directory"
        )
    if os.path.isdir(path):
        raise InvalidArgumentError("failed to save image: cannot write to a directory")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):  # a pipe or device is written directly
        with open(path, "wb", buffering=0) as out:
            scow.save(names, Whole(out), form=form)
        return
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb", buffering=0) as out:
            scow.save(names, Whole(out), form=form)
        os.rename(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
