# SPDX-License-Identifier: Apache-2.0
"""One layer from a stream into the store, every byte read once.

While the compressed bytes pass they are hashed and kept as a blob; what they expand to is hashed and staged as a
snapshot at the same time. Nothing is linked anywhere: until an image is entered everything belongs to the lease.
"""

from __future__ import annotations

from scow.base.streams import CHUNK, BlobMismatchError
from scow.layer.changeset import Limits
from scow.layer.compression import detect, open_stream
from scow.oci.digest import DiffID
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from scow.base.leases import Lease
    from scow.base.streams import Readable
    from scow.content.ingest import LocalIngest
    from scow.content.local import LocalContentStore
    from scow.oci.digest import Digest
    from scow.snapshot.snapshotter import Snapshotter, Staged

_KEPT = frozenset({"gzip", "zstd"})
"""Compressions that a layer's media type can name; others are kept as the plain tar."""


class Layer(NamedTuple):
    """One layer in the store.

    Args:
        digest: Its blob.
        size: The blob's size in bytes.
        compression: ``none``, ``gzip`` or ``zstd``.
        diff_id: The digest of its uncompressed tar.
        usage: Bytes of file data in it; ``None`` when it was not counted.
        staged: The snapshot in waiting, or ``None`` when there is none.
    """

    digest: Digest
    size: int
    compression: str
    diff_id: DiffID
    usage: int | None
    staged: Staged | None


class _Tee:
    """Passes bytes on and keeps a copy; may be told to stop between reads."""

    def __init__(self, source: Readable, ingest: LocalIngest | None, check: Callable[[], None] | None) -> None:
        self._source = source
        self._ingest = ingest
        self._check = check

    def read(self, size: int = -1, /) -> bytes:
        if self._check is not None:
            self._check()
        data = self._source.read(size)
        if self._ingest is not None:
            self._ingest.write(data)
        return data

    def drain(self) -> None:
        while self.read(CHUNK):
            pass


class Intake:
    """Takes layers in; usable from several threads.

    Args:
        content: Where blobs go.
        snapshots: Where trees go.
        lease: What holds both.
        limits: Bounds for each layer.
        check: Called between reads; raises to stop.
    """

    def __init__(
        self,
        content: LocalContentStore,
        snapshots: Snapshotter,
        lease: Lease,
        limits: Limits | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.content = content
        self.snapshots = snapshots
        self.lease = lease
        self.limits = limits or Limits()
        self.check = check
        self.tokens: list[str] = []
        """Every staged snapshot that was made; those that find no place are for the caller to drop."""

    def take(
        self,
        source: Readable,
        *,
        digest: Digest | None = None,
        diff_id: DiffID | None = None,
        keep_compressed: bool = True,
    ) -> Layer:
        """Read one layer to the end of its stream.

        Args:
            source: Plain or compressed; which one is found out.
            digest: What the stream must hash to.
            diff_id: What the uncompressed tar must hash to.
            keep_compressed: Keep the compressed bytes, when they are gzip or zstd, as the layer's blob, and not the
                plain tar.

        Returns:
            The layer, held by the lease.

        Raises:
            BlobMismatchError: Other bytes than promised.
            CorruptError: The stream is damaged or no layer.
            LimitError: It is larger than allowed.
        """
        peeked = Peeked(source)
        compression = detect(peeked.head)
        if compression in _KEPT and keep_compressed:
            return self._take_compressed(peeked, compression, digest, diff_id)
        expected = diff_id
        if compression == "none" and digest is not None:
            if expected is not None and expected != digest:
                raise BlobMismatchError(f"layer {digest} is a plain tar but its DiffID is {expected}")
            expected = DiffID(digest)
        return self._take_plain(peeked, compression, expected)

    def _take_compressed(
        self, source: Readable, compression: str, digest: Digest | None, diff_id: DiffID | None
    ) -> Layer:
        with self.content.ingest() as ingest:
            tee = _Tee(source, ingest, self.check)
            staged = self._stage(open_stream(tee, compression, limits=self.limits), diff_id)
            tee.drain()
            info = ingest.commit(digest, lease=self.lease)
        return Layer(info.digest, info.size, compression, staged.diff_id, self._usage(staged), staged)

    def _take_plain(self, source: Readable, compression: str, diff_id: DiffID | None) -> Layer:
        plain = open_stream(_Tee(source, None, self.check), compression, limits=self.limits)
        if self.snapshots.kind == "erofs":  # keeps the tar as a blob itself
            staged = self._stage(plain, diff_id)
            size = self.content.stat(staged.diff_id).size
        else:
            with self.content.ingest() as ingest:
                tee = _Tee(plain, ingest, None)
                staged = self._stage(tee, diff_id)
                tee.drain()
                size = ingest.commit(staged.diff_id, lease=self.lease).size
        return Layer(staged.diff_id, size, "none", staged.diff_id, self._usage(staged), staged)

    def _stage(self, tar: Readable, diff_id: DiffID | None) -> Staged:
        staged = self.snapshots.stage(cast("BinaryIO", tar), diff_id=diff_id, limits=self.limits, lease=self.lease)
        self.tokens.append(staged.token)
        return staged

    def _usage(self, staged: Staged) -> int:
        return self.snapshots.stat(staged.token).size

    def again(self, layer: Layer) -> Staged:
        """Stage a layer once more from its blob, for a second place in another stack.

        Args:
            layer: What ``take`` gave.

        Returns:
            Another snapshot in waiting.
        """
        if layer.diff_id in self.content:
            staged = self.snapshots.stage_blob(layer.diff_id, limits=self.limits, lease=self.lease)
            self.tokens.append(staged.token)
            return staged
        with self.content.open(layer.digest) as raw:
            return self._stage(open_stream(raw, layer.compression, limits=self.limits), layer.diff_id)


class Peeked:
    """A stream whose first bytes can be looked at before they are read.

    Args:
        source: The stream.
        size: How many bytes to look at.
    """

    def __init__(self, source: Readable, size: int = 512) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < size and (data := source.read(size - len(self.head))):
            self.head += data
        self._left = self.head

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes."""
        if self._left:
            if size < 0:
                data, self._left = self._left + self._source.read(), b""
            else:
                data, self._left = self._left[:size], self._left[size:]
            return data
        return self._source.read(size)
