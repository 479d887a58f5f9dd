# SPDX-License-Identifier: Apache-2.0
"""The output of containers on disk, line by line, and reading it again.

The format is the one ``conmon`` writes, whoever writes the log: ``TIME STREAM P|F TEXT``, where P marks a piece whose
line goes on. Old files are ``log.1``, ``log.2`` ... when a size limit rotates them. conmon itself knows one file only,
so that it writes a log with a bound into a pipe, and a small process beside it does the rest.

Source: Kubernetes' CRI log format.
"""

from __future__ import annotations

import fcntl
import os
import time

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

PIPE = ".pipe"
"""What the name of a log's pipe ends with."""
_WRITER = ".writer"
_FRESH = ".new"
_PORTION = 1 << 18
_LINE = 1 << 14
"""Bytes by which a file may be too long for the sake of the line that it is in."""
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
    """Appends output to a log file, and begins another one when it is full.

    Args:
        path: The file; made when missing.
        size: Bytes it may have, and those of the rest of a line; 0 for any number.
        files: How many files are kept, this one included.
    """

    __slots__ = ("_fd", "_files", "_free", "_open", "_path", "_size")

    def __init__(self, path: str, size: int = 0, files: int = 1) -> None:
        self._path = path
        self._size = size
        self._files = files
        self._fd = _append_to(path)
        self._free = size - os.fstat(self._fd).st_size
        self._open: set[bytes] = set()

    def write(self, stream: int, data: bytes) -> None:
        """Write a piece of output down.

        Args:
            stream: 1 or 2.
            data: What came, in one piece with or without line breaks.
        """
        head = f"{_stamp()} {'stdout' if stream == 1 else 'stderr'} ".encode()
        pieces = data.splitlines(keepends=True) if data.count(b"\n") else (data,)
        self.append([head + (b"F " + one if one.endswith(b"\n") else b"P " + one + b"\n") for one in pieces])

    def append(self, records: list[bytes]) -> None:
        """Write lines of a log file.

        Args:
            records: Each with its line break.
        """
        if not self._size:
            os.write(self._fd, b"".join(records))
            return
        out = bytearray()
        for record in records:
            full = len(record) > self._free and self._free < self._size
            # the oldest file must not begin with the end of a line: a monitor gives a terminal's lines in pieces
            if full and (not self._open or self._free < -_LINE):
                os.write(self._fd, out)
                out.clear()
                self._rotate()
            out += record
            self._free -= len(record)
            stream, kind = [*record.split(b" ", 3), b"", b""][1:3]
            (self._open.add if kind == b"P" else self._open.discard)(stream)
        os.write(self._fd, out)

    def _rotate(self) -> None:
        """Begin a new file; the oldest one goes when there are too many."""
        fresh = _append_to(self._path + _FRESH)  # before anything moves: there may be no room for it
        try:
            for number in range(self._files - 1, 0, -1):
                try:
                    os.rename(_numbered(self._path, number - 1), _numbered(self._path, number))
                except FileNotFoundError:
                    continue
            os.rename(self._path + _FRESH, self._path)
        except BaseException:
            os.close(fresh)
            raise
        os.close(self._fd)
        self._fd = fresh
        self._free = self._size

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def open_pipe(path: str) -> tuple[int, int, int]:
    """Make the pipe through which a monitor gives what it would write into a log to a process with :func:`keep`.

    Args:
        path: The log; the pipe is beside it.

    Returns:
        The end to read from, an end to write to, and a lock. That process has the first and the last; whoever starts
        the monitor closes the second one when that has opened the pipe, or never will.
    """
    pipe = path + PIPE
    if os.path.lexists(pipe):
        os.unlink(pipe)
    os.mkfifo(pipe, 0o600)
    lock = os.open(path + _WRITER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    writer = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
    return os.open(pipe, os.O_RDONLY | os.O_CLOEXEC), writer, lock


def keep(source: int, lock: int, path: str, size: int, files: int) -> None:
    """Write what a monitor says into a log with a bound, until the monitor has ended.

    Args:
        source: Its pipe.
        lock: From :func:`open_pipe`.
        path: The log.
        size: Bytes of a file.
        files: Number of files.
    """
    fcntl.lockf(lock, fcntl.LOCK_EX)  # the one of the container's former run may have a few lines left
    writer = LogWriter(path, size, files)
    rest = b""
    while data := os.read(source, _PORTION):
        *whole, rest = (rest + data).split(b"\n")
        try:
            writer.append([record + b"\n" for record in whole])
        except OSError:
            continue  # no room on the disk: the container goes on without its log


def wait_written(path: str) -> None:
    """Wait until the log of a container that has ended holds all that it said."""
    try:
        lock = os.open(path + _WRITER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


def _append_to(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _numbered(path: str, number: int) -> str:
    """A log's file by age, 0 for the one that is written."""
    return f"{path}.{number}" if number else path


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


class LogReader:
    """Reads a log from its beginning, over the files that rotation makes of it, while it is written.

    Args:
        path: The newest file; it may not exist yet.
    """

    __slots__ = ("_file", "_path", "_rest")

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BufferedReader | None = None
        self._rest = b""

    def more(self) -> Iterator[Line]:
        """All that was logged and has not been read, oldest first; not what is logged meanwhile."""
        newer = self._newer()
        if self._file is not None:
            yield from self._lines(self._file)  # nothing more comes to it when there is a newer one
        for file in newer:
            if self._file is not None:
                self._file.close()
            self._file, self._rest = file, b""
            yield from self._lines(file)

    def close(self) -> None:
        """Close the file that was read last."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _newer(self) -> list[BufferedReader]:
        """The files after the one that is being read; all of them in the beginning, and when that one is gone.

        A file moves only to a higher number. So none is missed on the way up, though one may be met twice.
        """
        own = None if self._file is None else os.fstat(self._file.fileno()).st_ino
        found: dict[int, BufferedReader] = {}
        for number in range(_oldest(self._path) + 2):
            try:
                file = open(_numbered(self._path, number), "rb")  # noqa: SIM115 - closed when it has been read
            except FileNotFoundError:
                continue
            inode = os.fstat(file.fileno()).st_ino
            if inode == own:
                file.close()
                break
            if inode in found:
                file.close()
            else:
                found[inode] = file
        return list(found.values())[::-1]

    def _lines(self, file: BufferedReader) -> Iterator[Line]:
        left = os.fstat(file.fileno()).st_size - file.tell()
        while left > 0 and (data := file.read(min(left, _PORTION))):
            left -= len(data)
            *whole, self._rest = (self._rest + data).split(b"\n")
            for raw in whole:
                line = parse_line(raw + b"\n")
                if line is not None:
                    yield line


def _oldest(path: str) -> int:
    """The highest number that a log's file has."""
    directory, name = os.path.split(path)
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return 0
    return max(
        (int(tail) for head, _, tail in (e.rpartition(".") for e in entries) if head == name and tail.isdigit()),
        default=0,
    )


def read_log(path: str) -> Iterator[Line]:
    """All that was logged, rotated files first.

    Args:
        path: The newest file.
    """
    reader = LogReader(path)
    yield from reader.more()
    reader.close()


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


def follow(reader: LogReader, alive: Callable[[], bool]) -> Iterator[Line]:
    """What is logged from now on, until the container has ended and everything is read.

    Args:
        reader: It goes on where it has stopped.
        alive: Whether more may come; once it says no, everything has been written.
    """
    going = True
    while going:
        going = alive()
        yield from reader.more()
        if going:
            time.sleep(_FOLLOW_SECONDS)
    reader.close()
