# SPDX-License-Identifier: Apache-2.0
"""Copying a directory of a mounted tree, for a cache that begins with it."""

from __future__ import annotations

import os

from scow.build.sources import DirTree, SourceNotFoundError, resolve


def copy_tree(root: str, source: bytes, target: str, scratch: str) -> None:
    """Copy what is in a directory, with owners, modes and times.

    Args:
        root: The mounted tree.
        source: The directory in it.
        target: An existing directory on the host.
        scratch: Directory for temporary files.

    Raises:
        SourceNotFoundError: There is no such directory.
    """
    from scow.layer.diff import tar_tree
    from scow.layer.extract import extract_plain

    tree = DirTree(root)
    path = resolve(tree, source)
    status = tree.look(path)
    if status is None or not status.is_dir:
        raise SourceNotFoundError(f"{'/' + os.fsdecode(source)!r} is no directory to begin a cache with")
    fd = os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w+b") as file:
        tar_tree(os.fsdecode(tree.root + b"/" + path), file)
        file.seek(0)
        extract_plain(file, target)
