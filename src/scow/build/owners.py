# SPDX-License-Identifier: Apache-2.0
"""Which numbers ``--chown`` means in a tree.

Source: BuildKit v0.32: a name that the tree's passwd or group file does not have counts as root, a number needs no
entry, and a user without a group brings the group of the passwd file, or the user's own number.
"""

from __future__ import annotations

import os

from scow.build.sources import resolve
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.build.sources import SourceTree

_MAX_FILE = 4 << 20
_MAX_ID = 1 << 32


def find_owner(text: str, tree: SourceTree | None) -> tuple[int, int]:
    """The user and group of ``user[:group]``.

    Args:
        text: As in the instruction.
        tree: Where the names are looked up; ``None`` has none.
    """
    user, colon, group = text.partition(":")
    number = _number(user)
    if number is not None:
        uid = gid = number
    else:
        uid, gid = _find(tree, b"/etc/passwd", user) or (0, 0)
    if colon:
        number = _number(group)
        if number is not None:
            gid = number
        else:
            found = _find(tree, b"/etc/group", group)
            gid = found[0] if found is not None else 0
    return uid, gid


def _number(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _MAX_ID:
        return int(text)
    return None


def _find(tree: SourceTree | None, path: bytes, name: str) -> tuple[int, int] | None:
    """The third and fourth field of the first line that begins with a name."""
    if tree is None or not name:
        return None
    real = resolve(tree, path)
    status = tree.look(real)
    if status is None or not status.is_file:
        return None
    fd = tree.open(real)
    try:
        data = os.read(fd, _MAX_FILE)
    finally:
        os.close(fd)
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if len(fields) > 2 and fields[0] == name:
            first = _number(fields[2])
            if first is not None:
                second = _number(fields[3]) if len(fields) > 3 else None
                return first, second or 0
    return None
