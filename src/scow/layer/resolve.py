# SPDX-License-Identifier: Apache-2.0
"""Where an entry's directory really is when links are in its way.

Docker unpacks a layer on top of its parents, so that ``var/run/x`` lands in ``/run`` when ``var/run`` is a link to it.
The same is done here, for trees on disk and for trees in memory alike: links are followed inside the root. A link that
climbs above the root, leads in circles, or leads to something that is not a directory refuses the entry.
"""

from __future__ import annotations

from scow.layer.changeset import LayerError
from scow.layer.names import show
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINKS = 40
_HINT = "A layer with such an entry is broken or malicious; nothing of it was kept."


class Look:
    """What a look at one path of a tree can answer, besides the target of a link."""

    DIRECTORY = 1
    OTHER = 2
    MISSING = 3


def resolve(
    path: bytes,
    look: Callable[[bytes], bytes | int],
    entry: bytes,
    missing: Callable[[bytes], None] | None = None,
) -> bytes:
    """Follow the links in a directory's path.

    Args:
        path: The directory, cleaned.
        look: Says of a path without links what is there: one of ``Look``, or the target of a link.
        entry: What the directory is needed for, for messages.
        missing: Called with directories that a link leads to and that are not there; ``None`` refuses those.

    Returns:
        The directory's path without links. Its last components may not exist yet.

    Raises:
        LayerError: A link leads nowhere, or out.
    """
    done: list[bytes] = []
    # Components still to walk, the next one last, each with the link that led to it.
    left = [(part, b"") for part in reversed(path.split(b"/"))]
    links = 0
    while left:
        part, origin = left.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not done:
                raise LayerError(
                    f"the entry {show(entry)} goes through the link {show(origin)}, which climbs out of the layer",
                    hint=_HINT,
                )
            done.pop()
            continue
        done.append(part)
        here = b"/".join(done)
        found = look(here)
        if isinstance(found, bytes):
            links += 1
            if links > _MAX_LINKS:
                raise LayerError(f"the entry {show(entry)} goes through links that lead in circles", hint=_HINT)
            done.pop()
            if found[:1] == b"/":
                done.clear()
            left.extend((item, here) for item in reversed(found.split(b"/")))
        elif found == Look.OTHER:
            raise LayerError(f"the entry {show(entry)} lies below {show(here)}, which is not a directory")
        elif found == Look.MISSING and origin:
            if missing is None:
                raise LayerError(
                    f"the entry {show(entry)} goes through the link {show(origin)}, which leads to {show(b'/' + here)},"
                    " where the image has no directory",
                    hint=_HINT,
                )
            missing(here)
    return b"/".join(done)
