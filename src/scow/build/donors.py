# SPDX-License-Identifier: Apache-2.0
"""Small files that a COPY takes from the layer it made the last time, instead of opening them one by one again.

When one file of many has changed, the layer is written anew. The digests of all other files are remembered, and their
bytes lie one behind the other in the layer that the same instruction made before: reading them there costs one call
each and no seek, where opening ten thousand files costs three calls each and, when they are not in memory, a wait for
the disk. Every file is checked against its digest on the way; what does not match is read from the context.

On disk: table ``layer_donors``, one row for each instruction of a context, the least recently used go. A row names a
blob that may be gone meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array

from scow.build.context import ContextTree
from scow.errors import ScowError
from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from scow.base.database import Database
    from scow.base.leases import Lease
    from scow.build.sources import SourceTree
    from scow.content.local import LocalContentStore
    from scow.oci.digest import DiffID

SCHEMA = """
CREATE TABLE layer_donors (
  request TEXT PRIMARY KEY, diff_id TEXT NOT NULL, used REAL NOT NULL, digests BLOB NOT NULL, places BLOB NOT NULL
);
"""
LARGEST = 1 << 16
"""Files from this size on are read where they are: there may be holes in them, which the layer does not tell of."""
_FEWEST = 64
"""With fewer files than this there is nothing to gain."""
_MOST = 1 << 18
_ROWS_KEPT = 64
_BYTES = 32


class Donors:
    """The layer that an instruction made before, and notes on the one that it makes now; used by one thread.

    Args:
        db: The store's database.
        content: Its blobs.
        lease: Holds the earlier layer while it is read.
        request: Names the instruction and its context.
    """

    def __init__(self, db: Database, content: LocalContentStore, lease: Lease, request: str) -> None:
        self._db = db
        self._content = content
        self._request = request
        self._places: dict[bytes, int] = {}
        self._fd = -1
        self._digests: list[bytes] = []
        self._offsets = array("Q")
        self.taken = 0
        """How many files the earlier layer gave."""
        db.ensure("build-donors", 1, SCHEMA)
        with db.read() as connection:
            row = connection.execute(
                "SELECT diff_id, digests, places FROM layer_donors WHERE request = ?", (request,)
            ).fetchone()
        if row is not None:
            self._open(row[0], row[1], row[2], lease)

    def _open(self, diff_id: str, digests: bytes, places: bytes, lease: Lease) -> None:
        try:
            digest = Digest(diff_id)
            if not self._content.hold(digest, lease):
                return
            offsets = array("Q", places)
            self._fd = os.open(self._content.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except (ScowError, OSError, ValueError):
            return  # it only saves time
        keys = [digests[at : at + _BYTES] for at in range(0, len(digests), _BYTES)]
        self._places = dict(zip(keys, offsets, strict=False))

    def take(self, tree: SourceTree, path: bytes, size: int) -> bytes | None:
        """The content of a file of the context, if the earlier layer has it.

        Args:
            tree: Where the file is.
            path: Its path there.
            size: Bytes.
        """
        if not self._places or not 0 < size < LARGEST or not isinstance(tree, ContextTree):
            return None
        wanted = _binary(tree.known(path))
        place = self._places.get(wanted, -1)
        if place < 0:
            return None
        try:
            data = os.pread(self._fd, size, place)
        except OSError:
            return None
        if hashlib.sha256(data).digest() != wanted:
            return None
        self.taken += 1
        return data

    def note(self, tree: SourceTree, path: bytes, size: int, place: int) -> None:
        """Say where the content of a file lies in the new layer.

        Args:
            tree: Where the file came from.
            path: Its path there.
            size: Bytes.
            place: Where its first byte is in the layer's tar.
        """
        if not 0 < size < LARGEST or len(self._digests) >= _MOST or not isinstance(tree, ContextTree):
            return
        digest = _binary(tree.known(path))
        if digest:
            self._digests.append(digest)
            self._offsets.append(place)

    def save(self, diff_id: DiffID) -> None:
        """Remember the new layer for the next time."""
        if len(self._digests) < _FEWEST:
            return
        values = (self._request, diff_id, time.time(), b"".join(self._digests), self._offsets.tobytes())
        with self._db.write() as connection:
            connection.execute("INSERT OR REPLACE INTO layer_donors VALUES (?, ?, ?, ?, ?)", values)
            connection.execute(
                "DELETE FROM layer_donors WHERE request IN "
                "(SELECT request FROM layer_donors ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (_ROWS_KEPT,),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _binary(digest: str) -> bytes:
    """A digest in bytes; none for what is no plain file, or has more to it than its content."""
    return bytes.fromhex(digest) if len(digest) == 2 * _BYTES else b""


def request_of(trees: Sequence[ContextTree], sources: Sequence[str], target: str) -> str:
    """Names an instruction, whatever the files are that it copies."""
    words = (*(os.fsdecode(tree.root) for tree in trees), "", *sources, "", target)
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
