# SPDX-License-Identifier: Apache-2.0
"""Blobs in memory, for tests and examples. One process, any number of threads; nothing is ever collected."""

from __future__ import annotations

import hashlib
import io
import threading
import time

from scow.base.streams import BlobMismatchError
from scow.content.store import BlobInfo, BlobNotFoundError
from scow.errors import LimitError
from scow.oci.digest import Digest, sha256_digest
from scow.typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

    from scow.base.leases import Lease
    from scow.oci.model import Descriptor


class MemoryIngest:
    """One unfinished write; see ``content.store.Ingest`` for the contract.

    Args:
        store: Where the blob goes.
        key: The name to resume under, or ``""``.
    """

    def __init__(self, store: MemoryContentStore, key: str) -> None:
        self._store = store
        self._key = key
        self._lock = store.lock_of(key)
        self._lock.acquire()
        self._data = bytearray(store.unfinished.get(key, b""))

    @property
    def offset(self) -> int:
        """How many bytes are there already."""
        return len(self._data)

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append bytes."""
        self._data += data
        return len(data)

    def commit(
        self, expected_digest: Digest | None = None, expected_size: int | None = None, *, lease: Lease | None
    ) -> BlobInfo:
        """Make the bytes a blob.

        Raises:
            BlobMismatchError: Other bytes than expected; they are dropped.
        """
        data = bytes(self._data)
        algorithm = expected_digest.algorithm if expected_digest else "sha256"
        found = Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")
        self.discard()
        if expected_size is not None and len(data) != expected_size:
            raise BlobMismatchError(f"content of {expected_digest or found} has {len(data)} bytes")
        if expected_digest is not None and expected_digest != found:
            raise BlobMismatchError(f"content of {expected_digest} has the digest {found}")
        info = self._store.enter(found, data)
        if lease is not None:
            lease.add("blob", found)
        return info

    def discard(self) -> None:
        """Drop the bytes; harmless after ``commit``."""
        self._data = bytearray()
        self._store.unfinished.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._key and self._data:
            self._store.unfinished[self._key] = bytes(self._data)
        self._lock.release()


class MemoryContentStore:
    """Blobs by digest; see ``content.store.ContentStore`` for the contract."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, tuple[BlobInfo, bytes]] = {}
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self.unfinished: dict[str, bytes] = {}
        """Bytes of named writes that were left uncommitted."""

    def lock_of(self, key: str) -> threading.Lock:
        """Find the lock that one write at a time holds; a nameless write has its own."""
        with self._guard:
            return self._locks.setdefault(key, threading.Lock()) if key else threading.Lock()

    def enter(self, digest: Digest, data: bytes) -> BlobInfo:
        """Keep verified bytes; what is there already stays."""
        with self._guard:
            return self._blobs.setdefault(digest, (BlobInfo(digest, len(data), time.time()), data))[0]

    def _find(self, target: Descriptor | Digest) -> tuple[BlobInfo, bytes]:
        digest = target if isinstance(target, Digest) else target.digest
        try:
            return self._blobs[digest]
        except KeyError:
            raise BlobNotFoundError(f"the store has no blob {digest}") from None

    def open(self, target: Descriptor | Digest) -> BinaryIO:
        """Open a blob for reading."""
        return cast("BinaryIO", io.BytesIO(self._find(target)[1]))

    def read(self, target: Descriptor | Digest, limit: int = 8 << 20) -> bytes:
        """Read a small blob whole."""
        info, data = self._find(target)
        if info.size > limit:
            raise LimitError(f"blob {info.digest} is larger than {limit} bytes")
        return data

    def ingest(self, key: str = "") -> MemoryIngest:
        """Begin or resume a write."""
        return MemoryIngest(self, key)

    def put(self, data: bytes, lease: Lease | None) -> Digest:
        """Store a small blob at once."""
        digest = self.enter(sha256_digest(data), bytes(data)).digest
        if lease is not None:
            lease.add("blob", digest)
        return digest

    def hold(self, digest: Digest, lease: Lease) -> bool:
        """Find a blob and keep it alive."""
        if digest not in self:
            return False
        lease.add("blob", digest)
        return True

    def stat(self, digest: Digest) -> BlobInfo:
        """Describe a blob."""
        return self._find(digest)[0]

    def __contains__(self, digest: object, /) -> bool:
        return digest in self._blobs

    def __iter__(self) -> Iterator[BlobInfo]:
        with self._guard:
            return iter(sorted(info for info, _ in self._blobs.values()))

    def delete(self, digest: Digest) -> None:
        """Remove a blob; absent is not an error."""
        with self._guard:
            self._blobs.pop(digest, None)
