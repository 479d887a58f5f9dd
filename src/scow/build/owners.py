# SPDX-License-Identifier: Apache-2.0
"""Which numbers ``--chown`` means in a tree.

Source: BuildKit v0.32 (client/llb, solver/llbsolver/ops): a user that the tree's passwd file does not have counts as
root, a number needs no entry, a user without a known group brings the group of the passwd file, or its own number, and
a name cannot be looked up where there is no tree: at the start of a stage from scratch, and with ``COPY --link``.
"""

from __future__ import annotations

import os
import re

from scow.build.sources import resolve
from scow.errors import InvalidArgumentError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.build.sources import SourceTree

_MAX_FILE = 4 << 20
_MAX_ID = 1 << 32
_LIMIT = 1 << 31


def find_owner(text: str, tree: SourceTree | None) -> tuple[int, int]:
    """The user and group of ``user[:group]``.

    Args:
        text: As in the instruction.
        tree: Where the names are looked up; ``None`` has none.

    Raises:
        InvalidArgumentError: There is a name, and nowhere to look it up.
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
            found = _find(tree, b"/etc/group", group) if group else (0, 0)
            gid = found[0] if found is not None else gid
    return uid, gid


def _number(text: str) -> int | None:
    """An owner given as a number: 32 bits with a sign, of which the files keep the bits."""
    if text == "root":
        return 0
    if re.fullmatch("[+-]?[0-9]{1,10}", text) and -_LIMIT <= int(text) < _LIMIT:
        return int(text) % _MAX_ID
    return None


def _field(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _MAX_ID:
        return int(text)
    return None


def _find(tree: SourceTree | None, path: bytes, name: str) -> tuple[int, int] | None:
    """The third and fourth field of the first line that begins with a name."""
    if not name:
        return None
    if tree is None:
        raise InvalidArgumentError(
            f"the name {name!r} cannot be looked up: there is no {path.decode()} below this step",
            hint="give the owner as numbers",
        )
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
            first = _field(fields[2])
            if first is not None:
                second = _field(fields[3]) if len(fields) > 3 else None
                return first, second or 0
    return None
