# SPDX-License-Identifier: Apache-2.0
"""What a set of layers leaves to be answered by what lies below it, read from their tables."""

from __future__ import annotations

from scow.layer.erofsformat import FT_DIRECTORY, INODE
from scow.layer.toc import KIND_LINK, KIND_OPAQUE, KIND_WHITEOUT, read_records
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scow.layer.erofs import Source


class Survey(NamedTuple):
    """What was found.

    Attributes:
        open: Whether an entry lies in a directory that no layer of the set describes, or links to a file that none
            has: then the set means something only together with what is below.
        hides_all: Whether the root is opaque, so that nothing below is seen.
        root: Metadata of the root directory as records keep them, ``""`` when no layer describes it.
        whited: Directories with whiteouts in them. Those must exist below, or overlayfs shows the whiteouts: it
            filters them in merged directories only.
    """

    open: bool
    hides_all: bool
    root: str
    whited: frozenset[bytes]


def survey(layers: Sequence[Source]) -> Survey:
    """Look through tables.

    Args:
        layers: The lowest first.

    Raises:
        CorruptError: A table is damaged.
    """
    described = {b""}
    others: set[bytes] = set()
    needed: set[bytes] = set()
    targets: set[bytes] = set()
    whited: set[bytes] = set()
    opaque: set[bytes] = set()
    root = b""
    for layer in layers:
        with open(layer.table, "rb", buffering=256 * 1024) as file:
            for kind, name, body in read_records(file):
                if kind == FT_DIRECTORY:
                    described.add(name)
                    if not name:
                        root = body
                elif kind == KIND_OPAQUE:
                    needed.add(name)
                    opaque.add(name)
                elif kind == KIND_WHITEOUT:
                    whited.add(name.rpartition(b"/")[0])
                else:
                    others.add(name)
                    if kind == KIND_LINK:
                        targets.add(body)
                needed.add(name.rpartition(b"/")[0])
    # A directory that another layer replaces by a link leads to who knows where.
    is_open = bool(needed - described) or bool(needed & others) or bool(targets - others)
    is_open = is_open or any(above in opaque for path in whited for above in _ancestors(path))
    return Survey(is_open, b"" in opaque, root_metadata(root) if root else "", frozenset(whited - {b""}))


def _ancestors(path: bytes) -> Iterator[bytes]:
    """A path and those above it, without the root."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def root_metadata(inode: bytes) -> str:
    """What records keep of a root directory: mode, owner, group and time, of its inode."""
    _, _, mode, _, _, _, _, uid, gid, seconds, nanoseconds, _ = INODE.unpack_from(inode)
    return f"{mode & 0o7777} {uid} {gid} {seconds * 1_000_000_000 + nanoseconds}"
