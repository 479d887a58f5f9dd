# SPDX-License-Identifier: Apache-2.0
"""Layers as unpacked directories, one each, for hosts that cannot mount an EROFS index."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scow.base.files import storage_error
from scow.snapshot.forms import Linked
from scow.snapshot.overlay import root_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.base.leases import Lease
    from scow.layer.changeset import Applied, Limits, Pending
    from scow.oci.digest import DiffID
    from scow.snapshot.overlay import Snapshots
    from scow.snapshot.records import Record

_UNTOUCHED = 0o700
"""Mode of a layer's root until an entry describes it; then it is ``_DEFAULT`` or what the entry says."""


class Trees:
    """The form ``tree``; see ``forms.LayerForm``.

    Args:
        snapshots: Whose layers these are.
    """

    name = "tree"

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def fill(
        self, directory: str, tar: BinaryIO, *, lease: Lease, expected: DiffID | None, limits: Limits | None
    ) -> Applied:
        """Unpack a stream; see the protocol."""
        del lease, expected
        from scow.layer.extract import extract

        into = f"{directory}/fs"
        try:
            os.mkdir(into, 0o755)
            os.utime(into, ns=(0, 0))
        except OSError as error:
            raise storage_error(error, into) from error
        return extract(tar, into, limits=limits, user_xattrs=os.geteuid() != 0)

    def fill_from_blob(self, directory: str, diff_id: DiffID, *, limits: Limits | None) -> Applied:
        """Unpack a blob; see the protocol."""
        from scow.layer.extract import extract

        into = f"{directory}/fs"
        with self._snapshots.content.open(diff_id) as tar:
            try:
                os.mkdir(into, 0o755)
                os.utime(into, ns=(0, 0))
            except OSError as error:
                raise storage_error(error, into) from error
            return extract(tar, into, limits=limits, user_xattrs=os.geteuid() != 0)

    def place(self, record: Record, parent: Record | None, pending: Pending) -> Linked:
        """Complete what the layer only implied; see the protocol."""
        del pending
        own = f"{self._snapshots.records.directory(record.id)}/fs"
        below = parent.stack if parent else ""
        return Linked(f"{record.own} {below}".rstrip(), root_of(own))
