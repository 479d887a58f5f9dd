# SPDX-License-Identifier: Apache-2.0
"""The seam between snapshots and the ways of keeping a layer."""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from scow.base.leases import Lease
    from scow.layer.changeset import Applied, Limits, Pending, Readable
    from scow.oci.digest import DiffID
    from scow.snapshot.records import Record


class Linked(NamedTuple):
    """What linking a layer onto a parent made of it.

    Attributes:
        stack: What to mount, the top first; ``""`` when that is decided later.
        root: Metadata of the root directory, or ``""``.
    """

    stack: str
    root: str


class LayerForm(Protocol):
    """Keeps layers in one way."""

    @property
    def name(self) -> str:
        """``tree`` or ``index``."""

    def fill(
        self, directory: str, tar: Readable, *, lease: Lease, expected: DiffID | None, limits: Limits | None
    ) -> Applied:
        """Read a layer's tar to its end and keep it.

        Args:
            directory: Empty, the layer's own.
            tar: The uncompressed stream.
            lease: Keeps blobs alive that get made.
            expected: What the digest must be; the caller checks it again.
            limits: Bounds.
        """

    def fill_from_blob(self, directory: str, diff_id: DiffID, *, lease: Lease | None, limits: Limits | None) -> Applied:
        """Keep a layer whose tar is a blob."""

    def place(self, record: Record, parent: Record | None, pending: Pending) -> Linked:
        """Fit a layer onto a parent: what it only implied is completed; its files may be written anew.

        Args:
            record: The staged layer.
            parent: What it goes onto.
            pending: What it needs from there.
        """
