# SPDX-License-Identifier: Apache-2.0
"""Plain layers made here, compressed for the journey; the same bytes every time.

What a layer becomes is remembered (:mod:`.origins`), so that a second push knows the digest without compressing. The
compressed blob itself is only leased: the collector may take it, and it can be made again.
"""

from __future__ import annotations

from scow.base.streams import copy_stream
from scow.errors import InvalidArgumentError
from scow.layer.compression import CompressWriter, open_stream
from scow.oci.mediatype import compression_of
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.base.leases import Lease
    from scow.base.streams import Readable
    from scow.content.local import LocalContentStore
    from scow.images.origins import TransferRecords
    from scow.oci.digest import DiffID, Digest
    from scow.oci.model import Descriptor

_LEVELS = {"gzip": (0, 9), "zstd": (1, 19)}
_CHUNK = 256 << 10


class Compression(NamedTuple):
    """How to compress.

    Attributes:
        name: ``gzip``, ``zstd`` or ``none``.
        level: How hard; ``None`` for the usual.
    """

    name: str = "gzip"
    level: int | None = None

    @property
    def method(self) -> str:
        """All that decides the bytes: compression, level and the library that does it."""
        return f"{self.name}:{'' if self.level is None else self.level}:{_engine(self.name, self.level)}"


def parse_compression(text: str) -> Compression:
    """Read ``gzip``, ``zstd``, ``none``, or one with a level such as ``zstd:9``.

    Raises:
        InvalidArgumentError: It is none of these.
    """
    name, colon, level = text.partition(":")
    if name not in {"gzip", "zstd", "none"} or (colon and not level.isdigit()):
        raise InvalidArgumentError(f"{text!r} is not a compression", hint="Use gzip, zstd or none, or zstd:LEVEL.")
    if not colon:
        return Compression(name)
    low, high = _LEVELS.get(name, (0, 0))
    if not low <= int(level) <= high:
        raise InvalidArgumentError(f"the level of {name} goes from {low} to {high}")
    return Compression(name, int(level))


def _engine(name: str, level: int | None) -> str:
    if name == "zstd":
        import zstandard

        return "zstd" + ".".join(map(str, zstandard.ZSTD_VERSION))
    if name == "gzip" and (level is None or level <= 3):
        try:
            from isal import isal_zlib
        except ImportError:
            pass
        else:
            return f"isal{isal_zlib.ISAL_VERSION}" if hasattr(isal_zlib, "ISAL_VERSION") else "isal"
    import zlib

    return f"zlib{zlib.ZLIB_RUNTIME_VERSION}" if name == "gzip" else ""


def pack(
    content: LocalContentStore,
    records: TransferRecords,
    layer: Descriptor,
    diff_id: DiffID,
    compression: Compression,
    lease: Lease,
    report: Callable[[int], None],
) -> tuple[Digest, int]:
    """Compress a layer into the store.

    Args:
        content: Has the layer, and takes the result.
        records: Remembers the result.
        layer: The blob in the store, plain or compressed in another way.
        diff_id: The layer's uncompressed digest.
        compression: How.
        lease: Holds the result.
        report: Told how many uncompressed bytes are done; may raise to stop.

    Returns:
        Digest and size in bytes of the result.

    Raises:
        BlobNotFoundError: The store has lost the layer.
        CorruptError: The layer's bytes are not those of ``diff_id``.
    """
    from scow.base.streams import VerifiedReader

    done = 0
    source = diff_id if diff_id in content else layer.digest
    with content.open(source) as raw, content.ingest() as ingest:
        plain: Readable = raw
        if source != diff_id:
            plain = open_stream(raw, compression_of(layer.media_type))
        checked = VerifiedReader(plain, diff_id)
        with CompressWriter(ingest, compression.name, compression.level) as out:

            def check() -> None:
                nonlocal done
                done = checked.size
                report(done)

            copy_stream(checked, out, check, _CHUNK)
        info = ingest.commit(lease=lease)
    records.pack(diff_id, compression.method, info.digest, info.size)
    return info.digest, info.size
