# SPDX-License-Identifier: Apache-2.0
"""A new volume's first content: what the image has where the volume is mounted."""

from __future__ import annotations

import os

from scow.layer.clone import Cloner
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.runtime.inside import Root


def fill(root: Root, path: str, target: str) -> None:
    """Copy a directory of a mounted root into an empty directory of the host.

    Owners, modes, times, extended attributes, links (hard ones too) and device nodes are kept; links are copied, never
    followed.

    Args:
        root: The mounted root.
        path: Absolute path inside it; when nothing is there, nothing happens.
        target: An empty directory.
    """
    try:
        source = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    goal = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        Cloner(goal).tree(source, goal)
    finally:
        os.close(source)
        os.close(goal)
