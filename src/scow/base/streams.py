# SPDX-License-Identifier: Apache-2.0
"""Readers and writers that count, hash, bound and verify what passes through.

Verification is a wrapper around the stream, with the size bound inside: nobody reads past what was promised, and the
last read raises when the bytes are not the ones that were promised.
"""

from __future__ import annotations

import hashlib

from scow.errors import CorruptError, LimitError
from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 256 * 1024


class Readable(Protocol):
    """The least a source must do."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; none only at the end."""


class Writable(Protocol):
    """The least a sink must do."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes and say how many."""


class BlobMismatchError(CorruptError):
    """Content is not what its digest or size says."""

    code = "blob-mismatch"


class HashingReader:
    """Counts and hashes what is read.

    Args:
        source: Where the bytes come from; not closed.
        algorithm: A digest algorithm of ``hashlib``.
    """

    def __init__(self, source: Readable, algorithm: str = "sha256") -> None:
        self._source = source
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; all when negative."""
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    @property
    def digest(self) -> Digest:
        """The digest of all bytes read so far."""
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")


class HashingWriter:
    """Counts and hashes what is written.

    Args:
        sink: Where the bytes go, or ``None`` to only hash; not closed.
        algorithm: A digest algorithm of ``hashlib``.
    """

    def __init__(self, sink: Writable | None = None, algorithm: str = "sha256") -> None:
        self._sink = sink
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take bytes; all of them are passed on before the return."""
        if self._sink is not None:
            write_all(self._sink, data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of all bytes written so far."""
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")


class TeeReader:
    """Passes on to a sink what is read.

    Args:
        source: Where the bytes come from; not closed.
        sink: Takes all of them.
    """

    def __init__(self, source: Readable, sink: Writable) -> None:
        self._read = source.read
        self._sink = sink

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes."""
        data = self._read(size)
        if data:
            write_all(self._sink, data)
        return data


class BoundedReader:
    """Refuses to read more than a limit.

    Args:
        source: Where the bytes come from; not closed.
        limit: The most bytes that may be read.
        what: What is read, for the message.
        setting: The name of the setting that moves the limit, for the hint.
    """

    def __init__(self, source: Readable, limit: int, what: str, setting: str = "") -> None:
        self._source = source
        self._limit = limit
        self._what = what
        self._setting = setting
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes.

        Raises:
            LimitError: The source has more bytes than the limit.
        """
        room = self._limit - self.size + 1
        data = self._source.read(room if size < 0 else min(size, room))
        self.size += len(data)
        if self.size > self._limit:
            raise LimitError(
                f"{self._what} is larger than the limit of {self._limit} bytes",
                hint=f"raise it with {self._setting}" if self._setting else "",
            )
        return data


class VerifiedReader:
    """Gives exactly the bytes a digest promises, or raises at the end.

    Args:
        source: Where the bytes come from; not closed.
        digest: What they must hash to.
        size: How many they must be, or ``None`` when that was not promised.
    """

    def __init__(self, source: Readable, digest: Digest, size: int | None = None) -> None:
        self._source = source
        self._expected = digest
        self._size = size
        self._hash = hashlib.new(digest.algorithm)
        self._done = False
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; ``b""`` only after everything has been verified.

        Raises:
            BlobMismatchError: More, fewer or other bytes than promised.
        """
        if self._done or size == 0:
            return b""
        room = size
        if self._size is not None:
            # One byte more than promised is asked for, so that a longer source is noticed at once.
            left = self._size - self.size + 1
            room = left if size < 0 else min(size, left)
        data = self._source.read(room)
        self._hash.update(data)
        self.size += len(data)
        if self._size is not None and self.size > self._size:
            raise BlobMismatchError(f"content of {self._expected} is longer than {self._size} bytes")
        if not data or size < 0:
            self._finish()
        return data

    def _finish(self) -> None:
        if self._size is not None and self.size != self._size:
            raise BlobMismatchError(f"content of {self._expected} has {self.size} bytes instead of {self._size}")
        if self._hash.hexdigest() != self._expected.encoded:
            found = f"{self._expected.algorithm}:{self._hash.hexdigest()}"
            raise BlobMismatchError(f"content of {self._expected} has the digest {found}")
        self._done = True


def write_all(sink: Writable, data: bytes | bytearray | memoryview) -> None:
    """Write every byte, however little the sink takes at a time.

    Args:
        sink: Where to.
        data: What.
    """
    count = sink.write(data)
    if count is None or count >= len(data):
        return
    view = memoryview(data)[count:]
    while view:
        view = view[sink.write(view) :]


def copy_stream(source: Readable, sink: Writable, check: Callable[[], None] | None = None, chunk: int = CHUNK) -> int:
    """Copy until the source ends.

    Args:
        source: Where from.
        sink: Where to.
        check: Called between chunks; raises to stop, for instance ``TaskGroup.check``.
        chunk: How many bytes at a time.

    Returns:
        How many bytes were copied.
    """
    total = 0
    while data := source.read(chunk):
        write_all(sink, data)
        total += len(data)
        if check is not None:
            check()
    return total
