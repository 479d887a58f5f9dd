# SPDX-License-Identifier: Apache-2.0
"""A container's files for others: all of them as one archive, and the list of those it changed."""

from __future__ import annotations

from scow.containers.roots import in_difference, whole_tree
from scow.layer import compare, diff
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.layer.changeset import Applied, Writable


def export(service: Containers, container: Container, out: Writable) -> Applied:
    """Write a container's whole tree as an uncompressed tar; what is mounted in it is left out.

    Args:
        service: The room.
        container: Running or not.
        out: Takes the archive.
    """
    return whole_tree(service, container, lambda path: diff.tar_tree(path, out))


def differences(service: Containers, container: Container) -> list[diff.Change]:
    """List what a container added, changed and deleted, sorted by path; what scow itself made there is left out."""
    skip = {path.rstrip("/") for path in container.stubs}

    def collect(upper: str, lower: str | None) -> list[diff.Change]:
        found = [change for change in diff.changes_upper(upper, lower) if change.path not in skip]
        return _without_idle(found, upper, lower)

    return in_difference(service, container, collect, frozen=False)


def _without_idle(found: list[diff.Change], upper: str, lower: str | None) -> list[diff.Change]:
    """Leave out what was only copied up. A directory stays when something in it does, whatever its own time says.

    An entry made in the second that the layer records for the directory leaves no other trace on the directory.
    """
    kept: list[diff.Change] = []
    for change in reversed(found):  # sorted by path: what is in a directory comes before it here
        inner = bool(kept) and kept[-1].path.startswith(change.path + "/")
        if inner or not _is_idle(change, upper, lower):
            kept.append(change)
    return kept[::-1]


def _is_idle(change: diff.Change, upper: str, lower: str | None) -> bool:
    """Whether a directory is only there because it was copied up, and is as it was."""
    if change.kind != "C" or lower is None:
        return False
    path = change.path.encode("utf-8", "surrogateescape")
    return compare.same(upper.encode() + path, lower.encode() + path)
