# SPDX-License-Identifier: Apache-2.0
"""Small files of lines that an operator may change while a server runs: accounts and rules."""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError, ScowError, UnavailableError
from scow.typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
_MAX_FILE = 4 << 20


class WatchedFile(Generic[T]):
    """What the lines of a file say; blank ones and comments say nothing.

    Args:
        path: The file.
        read: Makes sense of a line, or raises ``ValueError`` with what it is not.

    Raises:
        InvalidArgumentError: A line makes no sense.
        UnavailableError: The file cannot be read.
    """

    def __init__(self, path: str, read: Callable[[str], T]) -> None:
        self.path = path
        self._read = read
        self._stamp = self._look()
        self.lines = self._parse()

    def refresh(self) -> str:
        """Read the file again if it has changed; one that cannot be read leaves what the last one said.

        Returns:
            What is wrong with it, said once; ``""`` when nothing is.
        """
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return ""
            self._stamp = stamp
            self.lines = self._parse()
        except ScowError as error:
            said = self._stamp != ()
            if isinstance(error, UnavailableError):
                self._stamp = ()
            return error.message if said else ""
        return ""

    def _look(self) -> tuple[int, ...]:
        try:
            info = os.stat(self.path)
        except OSError as error:
            raise UnavailableError(f"{self.path!r} cannot be read: {error.strerror}") from error
        return info.st_ino, info.st_mtime_ns, info.st_size

    def _parse(self) -> Sequence[T]:
        try:
            with open(self.path, "rb") as file:
                text = file.read(_MAX_FILE).decode(errors="replace")
        except OSError as error:
            raise UnavailableError(f"{self.path!r} cannot be read: {error.strerror}") from error
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    found.append(self._read(line.strip()))
                except ValueError as error:
                    raise InvalidArgumentError(f"line {number} of {self.path!r} is not {error}") from error
        return found
