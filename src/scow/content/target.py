# SPDX-License-Identifier: Apache-2.0
"""Where images come from and go to: a registry's repository, a layout directory, the local store.

Every transfer is a copy from a ``Source`` to a ``Target``. Optional powers are protocols of their own, asked for with
``isinstance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from scow.oci.model import Descriptor


class Source(Protocol):
    """Gives content by name and by descriptor."""

    def resolve(self, name: str) -> Descriptor:
        """Find what a tag or a digest means here.

        Raises:
            NotFoundError: The name is unknown.
        """

    def fetch(self, desc: Descriptor, *, offset: int = 0) -> BinaryIO:
        """Open content; the bytes are not verified, the reader does that.

        Args:
            desc: What.
            offset: How many bytes to skip.

        Raises:
            NotFoundError: It is not here.
        """


class Target(Source, Protocol):
    """Takes content too."""

    def exists(self, desc: Descriptor) -> bool:
        """Whether the content is here already."""

    def push(self, desc: Descriptor, content: BinaryIO) -> None:
        """Store content, verified; what it points to was pushed before it.

        Raises:
            BlobMismatchError: The bytes are not those of the descriptor.
        """

    def tag(self, desc: Descriptor, name: str) -> None:
        """Give stored content a name; a name that was taken moves."""


@runtime_checkable
class Mounter(Protocol):
    """Can take a blob over from a neighbour without moving bytes."""

    def mount(self, desc: Descriptor, from_path: str) -> bool:
        """Take a blob over from another repository.

        Args:
            desc: The blob.
            from_path: The repository's path.

        Returns:
            False when it must be pushed after all.
        """


@runtime_checkable
class ReferrerSource(Protocol):
    """Knows what points at a manifest."""

    def referrers(self, desc: Descriptor, artifact_type: str | None = None) -> Iterator[Descriptor]:
        """List the manifests whose subject is ``desc``.

        Args:
            desc: The subject.
            artifact_type: Only these.
        """
