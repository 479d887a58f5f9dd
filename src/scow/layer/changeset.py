# SPDX-License-Identifier: Apache-2.0
"""The values and contracts of changesets: what applying and making a layer answer, its bounds, and its errors.

A changeset is a tar stream that says how one file tree differs from the one below it: added and changed entries, and
whiteouts for removed ones. Source: OCI image-spec v1.1, layer.md.
"""

from __future__ import annotations

from scow.errors import CorruptError, LimitError
from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from scow.oci.digest import DiffID

SIZE_SETTING = "SCOW_MAX_LAYER_SIZE"
ENTRIES_SETTING = "SCOW_MAX_LAYER_ENTRIES"
RATIO_SETTING = "SCOW_MAX_RATIO"


class LayerError(CorruptError):
    """A layer says something that cannot or must not be done, such as leaving its root."""

    code = "bad-layer"


class Limits(NamedTuple):
    """Bounds on what a layer may make of itself.

    Attributes:
        max_size: Most bytes of the uncompressed layer.
        max_entries: Most entries.
        max_ratio: Most bytes one compressed byte may expand to, beyond the first 64 MiB.
    """

    max_size: int = 256 << 30
    max_entries: int = 10_000_000
    max_ratio: int = 1000


class Pending(NamedTuple):
    """What a layer that was read without its parent still needs from it.

    Attributes:
        implicit: Directories that entries need and no entry describes, parents first; they take the metadata (or, if
            it is a link there, the place) that the parent gives them.
        links: Hard links to files the layer does not have: (name, target).
        required: Directories that links of the layer lead to and that must exist in the parent.
        whiteouts: What the layer removes; overlayfs would list those that hide nothing.
    """

    implicit: tuple[bytes, ...] = ()
    links: tuple[tuple[bytes, bytes], ...] = ()
    required: tuple[bytes, ...] = ()
    whiteouts: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return any(self)


class Applied(NamedTuple):
    """What was read or written.

    Attributes:
        diff_id: Digest of the whole uncompressed tar stream.
        size: Bytes of that stream.
        entries: How many entries it has.
        usage: Bytes of file data in them.
        pending: What only the parent can answer.
    """

    diff_id: DiffID
    size: int
    entries: int
    usage: int
    pending: Pending = Pending()


class Readable(Protocol):
    """The least a source must do."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes; none only at the end."""


class Writable(Protocol):
    """The least a sink must do."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all the bytes and say how many."""


class Applier(Protocol):
    """Turns a changeset into a tree."""

    def __call__(self, stream: Readable, into: str, *, limits: Limits) -> Applied:
        """Apply an uncompressed tar stream below the directory ``into``."""


class Differ(Protocol):
    """Turns a tree's differences into a changeset."""

    def __call__(self, upper: str, out: Writable, *, lower: str | None = None, epoch: int | None = None) -> Applied:
        """Write the differences as an uncompressed tar stream."""


def too_large(limit: int) -> LimitError:
    """The error for a layer of too many bytes."""
    return LimitError(
        f"the layer is larger than the limit of {limit} bytes", hint=f"Raise it with {SIZE_SETTING} if you trust it."
    )


def too_many(limit: int) -> LimitError:
    """The error for a layer of too many entries."""
    return LimitError(
        f"the layer has more than the limit of {limit} entries",
        hint=f"Raise it with {ENTRIES_SETTING} if you trust it.",
    )


def too_dense(ratio: int) -> LimitError:
    """The error for a stream that expands too much."""
    return LimitError(
        f"the compressed stream expands more than {ratio} times, as only bombs do",
        hint=f"Raise the limit with {RATIO_SETTING} if you trust it.",
    )
