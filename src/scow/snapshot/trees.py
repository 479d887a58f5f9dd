# SPDX-License-Identifier: Apache-2.0
"""Layers as unpacked directories, one each, for hosts that cannot mount an EROFS index."""

from __future__ import annotations

import os

from scow.base.files import storage_error
from scow.layer.extract import extract
from scow.layer.settle import settle
from scow.linux.idmaps import in_user_namespace
from scow.snapshot.forms import Linked
from scow.snapshot.overlay import DEFAULT_ROOT, apply_root, root_of
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.base.leases import Lease
    from scow.layer.changeset import Applied, Limits, Pending, Readable
    from scow.oci.digest import DiffID
    from scow.snapshot.overlay import Snapshots
    from scow.snapshot.records import Record

_UNTOUCHED = 0o5701
"""Mode of a layer's root that no entry has described: none would ask for this one."""


class Trees:
    """The form ``tree``; see ``forms.LayerForm``.

    Args:
        snapshots: Whose layers these are.
    """

    name = "tree"

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def fill(
        self, directory: str, tar: Readable, *, lease: Lease, expected: DiffID | None, limits: Limits | None
    ) -> Applied:
        """Unpack a stream; see the protocol."""
        del lease, expected
        return _unpack(tar, f"{directory}/fs", limits)

    def fill_from_blob(self, directory: str, diff_id: DiffID, *, lease: Lease | None, limits: Limits | None) -> Applied:
        """Unpack a blob; see the protocol."""
        del lease
        with self._snapshots.content.open(diff_id) as tar:
            return _unpack(tar, f"{directory}/fs", limits)

    def place(self, record: Record, parent: Record | None, pending: Pending) -> Linked:
        """Complete what the layer only implied; see the protocol."""
        if parent is not None and not parent.stack:
            parent = self._snapshots.ready(parent.name)
        below = parent.stack if parent else ""
        own = f"{self._snapshots.records.directory(record.id)}/fs"
        if pending:
            self._settle(own, below, pending)
        try:
            root = root_of(own)
            if int(root.split()[0]) == _UNTOUCHED:
                root = (parent.root if parent else "") or DEFAULT_ROOT
            apply_root(own, root)  # settling may have changed its time
        except OSError as error:
            raise storage_error(error, own) from error
        return Linked(f"{record.own} {below}".rstrip(), root)

    def _settle(self, upper: str, stack: str, pending: Pending) -> None:
        """Complete a layer from those below; indexes among them are mounted where nobody else sees it."""
        indexes, options = self._snapshots.lowers(stack)
        lowers = [option.removeprefix("lowerdir+=") for option in options]
        if not indexes:
            settle(upper, lowers, pending)
            return
        from scow.linux.mount import mount_all
        from scow.linux.namespaces import run_private

        def work() -> None:
            for index in indexes:
                mount_all([index._replace(target="")], index.target)
            settle(upper, lowers, pending)

        run_private(work)


def _unpack(tar: Readable, into: str, limits: Limits | None) -> Applied:
    try:
        os.mkdir(into, 0o700)
        os.chmod(into, _UNTOUCHED)
    except OSError as error:
        raise storage_error(error, into) from error
    return extract(tar, into, limits=limits, user_xattrs=in_user_namespace())
