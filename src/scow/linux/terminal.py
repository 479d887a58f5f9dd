# SPDX-License-Identifier: Apache-2.0
"""The user's terminal: raw mode and back, its size, and the keys that mean "leave"."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


def size(fd: int) -> tuple[int, int]:
    """Rows and columns of a terminal; ``(0, 0)`` when they are not known."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0
    return rows, columns


class RawMode:
    """Hands every key through as it is, until the block ends; does nothing when there is no terminal.

    Args:
        fd: The terminal; negative for none.
    """

    __slots__ = ("_before", "_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._fd >= 0 and os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            raw = termios.tcgetattr(self._fd)
            raw[_IFLAG] &= ~(
                termios.IGNBRK
                | termios.BRKINT
                | termios.PARMRK
                | termios.ISTRIP
                | termios.INLCR
                | termios.IGNCR
                | termios.ICRNL
                | termios.IXON
            )
            raw[_OFLAG] &= ~termios.OPOST
            raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            raw[_CFLAG] = (raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            raw[_CC][termios.VMIN] = 1
            raw[_CC][termios.VTIME] = 0
            termios.tcsetattr(self._fd, termios.TCSADRAIN, raw)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


def parse_keys(text: str) -> bytes:
    """Read a key sequence such as ``ctrl-p,ctrl-q`` or ``a,ctrl-@``.

    Raises:
        InvalidArgumentError: A key is not a letter and not ``ctrl-`` with one of a-z, @, [, backslash, ], ^ or _.

    Source: docker's ``--detach-keys``.
    """
    keys = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and key[5].lower() in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            letter = key[5]
            keys.append(ord(letter.upper()) - 64)
        else:
            raise InvalidArgumentError(f"Unknown character: '{key}'")
    return bytes(keys)


class DetachKeys:
    """Finds the sequence of keys that means "leave" in what is typed.

    Args:
        keys: The sequence; empty for none.
    """

    __slots__ = ("_keys", "_seen")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Take what was typed.

        Returns:
            What to pass on (the begin of the sequence is kept back until it is clear), and whether to leave.
        """
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    self._seen = 0
                    return bytes(out), True
                continue
            if self._seen:
                out += self._keys[: self._seen]
                self._seen = 1 if byte == self._keys[0] else 0
                if self._seen:
                    continue
            out.append(byte)
        return bytes(out), False
