# SPDX-License-Identifier: Apache-2.0
"""What a store of blobs promises, whoever keeps them.

A blob is found by its digest and never changes. An unfinished write (*ingest*) is visible to nobody until it is
committed; committing checks the bytes against what was promised and gives the blob to a lease in the same
transaction, so that no collector can take it before it is linked to something durable.
"""

from __future__ import annotations

from scow.errors import NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

    from scow.base.leases import Lease
    from scow.oci.digest import Digest
    from scow.oci.model import Descriptor


class BlobNotFoundError(NotFoundError):
    """The store has no such blob."""

    code = "blob-not-found"


class BlobInfo(NamedTuple):
    """One stored blob.

    Args:
        digest: Its digest.
        size: Its size in bytes.
        created: When it was committed, seconds since the epoch.
    """

    digest: Digest
    size: int
    created: float


class Ingest(Protocol):
    """One unfinished write.

    Only one process or thread has a key's ingest at a time; others wait for it. Leaving the ``with`` block without
    ``commit`` keeps the bytes of a named ingest, so that the same key resumes at ``offset``; a nameless one is
    discarded.
    """

    @property
    def offset(self) -> int:
        """How many bytes are there already."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append bytes; all of them."""

    def commit(
        self, expected_digest: Digest | None = None, expected_size: int | None = None, *, lease: Lease | None
    ) -> BlobInfo:
        """Make the bytes a blob.

        Args:
            expected_digest: What the bytes must hash to; ``None`` takes them as they are.
            expected_size: How many they must be; ``None`` takes any.
            lease: Keeps the blob alive until it is linked to something durable.

        Returns:
            The blob, which may have been there before.

        Raises:
            BlobMismatchError: Other bytes than expected; they are dropped.
        """

    def discard(self) -> None:
        """Drop the bytes; harmless after ``commit``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ContentStore(Protocol):
    """Blobs by digest. Safe for any number of threads and processes."""

    def open(self, target: Descriptor | Digest) -> BinaryIO:
        """Open a blob for reading from its begin; the caller closes it. The bytes are not verified again.

        Raises:
            BlobNotFoundError: It is not there.
        """

    def read(self, target: Descriptor | Digest, limit: int = ...) -> bytes:
        """Read a small blob whole and verify it.

        Raises:
            BlobNotFoundError: It is not there.
            BlobMismatchError: The stored bytes are damaged.
            LimitError: It is larger than ``limit`` bytes.
        """

    def ingest(self, key: str = "") -> Ingest:
        """Begin, or resume, a write.

        Args:
            key: Names the write so that it can be resumed, usually the expected digest; ``""`` for a nameless one.
        """

    def put(self, data: bytes, lease: Lease | None) -> Digest:
        """Store a small blob at once."""

    def hold(self, digest: Digest, lease: Lease) -> bool:
        """Find a blob and keep it alive, in one step.

        Returns:
            False when it is not there.
        """

    def stat(self, digest: Digest) -> BlobInfo:
        """Describe a blob.

        Raises:
            BlobNotFoundError: It is not there.
        """

    def __contains__(self, digest: object, /) -> bool: ...

    def __iter__(self) -> Iterator[BlobInfo]: ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob, whoever needs it; absent is not an error."""
