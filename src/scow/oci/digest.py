# SPDX-License-Identifier: Apache-2.0
"""Content digests: one validated string type with several meanings.

``DiffID``, ``ChainID`` and ``ImageID`` are the same string to Python and different types to the type checker, which
catches the classic mix-up of a compressed and an uncompressed digest.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class InvalidDigestError(InvalidArgumentError):
    """The text is not a digest."""

    code = "invalid-digest"


class Digest(str):
    """A validated content digest such as ``sha256:6c3c62...``.

    Args:
        value: ``algorithm:encoded``, lower-case hexadecimal.

    Raises:
        InvalidDigestError: Unsupported algorithm, wrong length or alphabet.

    Source: OCI image-spec v1.1, descriptor.md, "Digests".
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:  # noqa: D102
        algorithm, colon, encoded = value.partition(":")
        length = _LENGTHS.get(algorithm)
        if not colon or length is None:
            raise InvalidDigestError(
                f"{value[:200]!r} is not a digest", hint="A digest looks like sha256:<64 hex digits>."
            )
        if len(encoded) != length or not _HEX.issuperset(encoded):
            raise InvalidDigestError(f"{value[:200]!r} is not a digest: {length} lower-case hex digits are needed")
        return super().__new__(cls, value)

    @property
    def algorithm(self) -> str:
        """The part before the colon, such as ``sha256``."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The hexadecimal part."""
        return self.partition(":")[2]


DiffID = NewType("DiffID", Digest)
"""One layer, uncompressed. Source: OCI image-spec, config.md, "Layer DiffID"."""
ChainID = NewType("ChainID", Digest)
"""A stack of DiffIDs. Source: OCI image-spec, config.md, "Layer ChainID"."""
ImageID = NewType("ImageID", Digest)
"""The config blob. Source: OCI image-spec, config.md, "ImageID"."""


def sha256_digest(data: bytes) -> Digest:
    """Digest of ``data`` with SHA-256."""
    from hashlib import sha256

    return Digest("sha256:" + sha256(data).hexdigest())


def chain_id(parent: ChainID | None, diff: DiffID) -> ChainID:
    """Identify the stack made by putting a layer on a parent.

    Args:
        parent: The stack below, or ``None`` for the first layer.
        diff: The layer, uncompressed.

    Returns:
        ``diff`` itself for the first layer, else the digest of ``parent + " " + diff``.

    Source: OCI image-spec v1.1, config.md, "Layer ChainID".
    """
    if parent is None:
        return ChainID(diff)
    return ChainID(sha256_digest(f"{parent} {diff}".encode("ascii")))


def chain_ids(diffs: Iterable[DiffID]) -> list[ChainID]:
    """The ChainID of every prefix of a stack of layers, lowest first."""
    chain: list[ChainID] = []
    for diff in diffs:
        chain.append(chain_id(chain[-1] if chain else None, diff))
    return chain
