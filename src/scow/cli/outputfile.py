# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes whole or not at all: ``save -o``, ``export -o``."""

from __future__ import annotations

import os

from scow.base.files import is_written_in_place
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MODE = 0o600  # docker's


class Whole:
    """A file that takes all the bytes it is given.

    Args:
        file: Where to.
    """

    def __init__(self, file: object) -> None:
        self._fd: int = file.fileno()  # type: ignore[attr-defined]

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Write everything."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        return len(data)


def write_file(path: str, write: Callable[[Whole], object], *, what: str) -> None:
    """Write beside the file and rename, so that a failure leaves the old one.

    Args:
        path: Where to.
        write: Is given the open file.
        what: Begin of the message when that is no place for a file.

    Raises:
        InvalidArgumentError: Its directory does not exist, or it is a directory.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InvalidArgumentError(
            f"{what}: invalid output path: stat {os.path.dirname(path)}: no such file or directory"
        )
    if os.path.isdir(path):
        raise InvalidArgumentError(f"{what}: cannot write to a directory")
    if is_written_in_place(path):
        with open(path, "wb", buffering=0) as out:
            write(Whole(out))
        return
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, _MODE)) as out:
            write(Whole(out))
        os.rename(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
