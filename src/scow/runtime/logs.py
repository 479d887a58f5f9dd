# SPDX-License-Identifier: Apache-2.0
"""The output of containers on disk, line by line, and reading it again.

The format is the one ``conmon`` writes, whoever writes the log: ``TIME STREAM P|F TEXT``, where P marks a piece whose
line goes on. Old files are ``log.1``, ``log.2`` ... when a size limit rotates them.

Source: Kubernetes' CRI log format.
"""

from __future__ import annotations

import os
import time

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 14
_FOLLOW_SECONDS = 0.05


class Line(NamedTuple):
    """One piece of output.

    Args:
        when: RFC 3339 with nanoseconds, as written.
        stream: 1 or 2.
        data: The bytes, with the line break when the line is whole.
    """

    when: str
    stream: int
    data: bytes


class LogWriter:
    """Appends output to a log file.

    Args:
        path: The file; made when missing.
    """

    __slots__ = ("_fd", "_open")

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, stream: int, data: bytes) -> None:
        """Write a piece of output down.

        Args:
            stream: 1 or 2.
            data: What came, in one piece with or without line breaks.
        """
        head = f"{_stamp()} {'stdout' if stream == 1 else 'stderr'} ".encode()
        out = bytearray()
        for piece in data.splitlines(keepends=True) if data.count(b"\n") else (data,):
            if piece.endswith(b"\n"):
                out += head + b"F " + piece
            else:
                out += head + b"P " + piece + b"\n"
        os.write(self._fd, out)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _stamp() -> str:
    nanoseconds = time.time_ns()
    moment = time.gmtime(nanoseconds // 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{nanoseconds % 10**9:09d}Z"


def parse_line(line: bytes) -> Line | None:
    """Read one line of a log file; ``None`` when it is malformed (the end of a file being written).

    Args:
        line: With its line break.
    """
    parts = line.split(b" ", 3)
    if len(parts) != 4 or not line.endswith(b"\n") or parts[1] not in {b"stdout", b"stderr"}:
        return None
    text = parts[3] if parts[2] == b"F" else parts[3][:-1]
    return Line(utc(parts[0].decode("ascii", "replace")), 1 if parts[1] == b"stdout" else 2, text)


def utc(stamp: str) -> str:
    """A time stamp as ``...Z``; conmon writes local time with an offset.

    Args:
        stamp: RFC 3339 with a fraction.
    """
    if stamp.endswith("Z") or len(stamp) < 25 or stamp[-6] not in "+-":
        return stamp
    body, sign, hours, minutes = stamp[:-6], stamp[-6], stamp[-5:-3], stamp[-2:]
    seconds, _, fraction = body.partition(".")
    import calendar

    try:
        moment = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
        offset = int(hours) * 3600 + int(minutes) * 60
    except ValueError:
        return stamp
    moment -= offset if sign == "+" else -offset
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{fraction or '0'}Z"


def read_log(path: str, limit: int | None = None) -> Iterator[Line]:
    """All that was logged, rotated files first.

    Args:
        path: The newest file.
        limit: Bytes of the newest file to read; ``None`` for all.
    """
    done = 0
    for name in [*_rotated(path), path]:
        try:
            with open(name, "rb") as file:
                for raw in file:
                    if name == path and limit is not None:
                        done += len(raw)
                        if done > limit:
                            return
                    line = parse_line(raw)
                    if line is not None:
                        yield line
        except FileNotFoundError:
            continue


def _rotated(path: str) -> list[str]:
    found = []
    number = 1
    while os.path.exists(f"{path}.{number}"):
        found.append(f"{path}.{number}")
        number += 1
    return found[::-1]


def tail(lines: Iterator[Line], count: int) -> list[Line]:
    """The last lines, each with all its pieces.

    Args:
        lines: All of them.
        count: How many whole lines.
    """
    if count <= 0:
        return []
    from collections import deque

    kept: deque[list[Line]] = deque(maxlen=count)
    open_line: dict[int, list[Line]] = {}
    for line in lines:
        pieces = open_line.get(line.stream)
        if pieces is None:
            pieces = []
            kept.append(pieces)
            open_line[line.stream] = pieces
        pieces.append(line)
        if line.data.endswith(b"\n"):
            del open_line[line.stream]
    return [line for pieces in kept for line in pieces]


def follow(path: str, offset: int, alive: Callable[[], bool]) -> Iterator[Line]:
    """What is logged from now on, until the container has ended and everything is read.

    Args:
        path: The log file; it may not exist yet.
        offset: Where to begin, in bytes.
        alive: Whether more may come.
    """
    rest = b""
    identity = None
    while True:
        last = not alive()
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno()).st_ino
                if identity is not None and found != identity:
                    offset, rest = 0, b""
                identity = found
                file.seek(offset)
                while data := file.read(1 << 18):
                    offset += len(data)
                    whole, mark, rest = (rest + data).rpartition(b"\n")
                    for raw in (whole + mark).splitlines(keepends=True) if mark else ():
                        line = parse_line(raw)
                        if line is not None:
                            yield line
        except FileNotFoundError:
            pass
        if last:
            return
        time.sleep(_FOLLOW_SECONDS)
