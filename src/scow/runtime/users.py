# SPDX-License-Identifier: Apache-2.0
"""Which numbers ``USER`` means: names looked up in the image's own passwd and group files. Pure.

The two files come from the image, so they are hostile: malformed lines are skipped, numbers are bounded, and the
caller reads a bounded part of each without following links out of the root.
"""

from __future__ import annotations

from scow.errors import NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FILE = 4 << 20
"""Bytes of a passwd or group file that are looked at."""
_MAX_ID = (1 << 31) - 1


class UserNotFoundError(NotFoundError):
    """The image's passwd or group file has no such entry."""

    code = "user-not-found"


class Identity(NamedTuple):
    """Who a process is.

    Args:
        uid: User id.
        gid: Primary group id.
        groups: Supplementary group ids.
        home: Home directory, ``/`` when unknown.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def resolve(user: str, passwd: bytes, group: bytes, extra: Iterable[str] = ()) -> Identity:
    """Find the identity that a ``USER`` or ``--user`` text names.

    Args:
        user: ``""``, ``name``, ``uid``, ``name:group``, ``uid:gid`` and mixtures.
        passwd: Content of the image's ``/etc/passwd``; empty when there is none.
        group: Content of the image's ``/etc/group``.
        extra: From ``--group-add``: names or numbers.

    Raises:
        UserNotFoundError: A name has no entry, or a number is out of range.

    Source: docker's behaviour (libcontainer ``GetExecUser``): a number needs no entry, an entry whose *name* is the
    text wins over the number.
    """
    name, _, rest = user.partition(":")
    wanted_group = rest.partition(":")[0]
    uid, gid, home = 0, 0, "/"
    found = _find_user(name, passwd)
    if found is not None:
        name, uid, gid, home = found
    elif name:
        uid = _number(name)
        if uid < 0:
            if name.removeprefix("-").isdigit() and name.isascii():
                raise UserNotFoundError("uids and gids must be in range 0-2147483647")
            raise UserNotFoundError(f"unable to find user {name}: no matching entries in passwd file")
    groups: list[int] = []
    if wanted_group:
        gid = _group_id(wanted_group, group)
    elif found is not None:
        groups = [number for _, number, members in _groups(group) if name in members]
    for text in extra:
        number = _group_id(text, group)
        if number not in groups:
            groups.append(number)
    return Identity(uid, gid, tuple(groups), home or "/")


def _find_user(name: str, passwd: bytes) -> tuple[str, int, int, str] | None:
    """The entry with this name, else the first with this number; ``""`` means number 0."""
    number = _number(name) if name else 0
    by_number = None
    for fields in _lines(passwd):
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid < 0 or gid < 0:
            continue
        if (name and fields[0] == name) or (uid == number and by_number is None):
            entry = (fields[0], uid, gid, fields[5] if len(fields) > 5 else "")
            if not name or fields[0] == name:
                return entry
            by_number = entry
    return by_number


def _group_id(text: str, group: bytes) -> int:
    for name, number, _ in _groups(group):
        if name == text:
            return number
    number = _number(text)
    if number < 0:
        raise UserNotFoundError(f"unable to find group {text}: no matching entries in group file")
    return number


def _groups(group: bytes) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(group):
        if len(fields) >= 3:
            number = _number(fields[2])
            if number >= 0:
                yield fields[0], number, fields[3].split(",") if len(fields) > 3 else []


def _lines(content: bytes) -> Iterator[list[str]]:
    for line in content[:MAX_FILE].decode("utf-8", "surrogateescape").split("\n"):
        text = line.strip()
        if text and text[0] != "#":
            yield text.split(":")


def _number(text: str) -> int:
    """The text as an id, or -1; a plus sign may stand before it."""
    text = text[text.startswith("+") :]
    if not text.isdigit() or not text.isascii() or len(text) > 10:
        return -1
    value = int(text)
    return value if value <= _MAX_ID else -1
