# SPDX-License-Identifier: Apache-2.0
"""The names of entries: made relative and plain, and refused when they climb out of the tree."""

from __future__ import annotations

from scow.layer.changeset import LayerError

_MAX_PATH = 4095
_MAX_COMPONENT = 255
_MARKER = b".wh."


def show(name: bytes) -> str:
    """A name as text for messages, cut when it is very long."""
    text = name.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 200 else text[:197] + "...")


def clean(name: bytes) -> bytes:
    """Make an entry's name relative to the root, without ``.`` or empty components.

    A leading slash and ``./`` mean the root; ``a/../b`` is ``b``, as Docker reads it.

    Args:
        name: As in the archive.

    Returns:
        Components joined by slashes, or ``b""`` for the root itself.

    Raises:
        LayerError: The name climbs above the root or is longer than a path may be.
    """
    original = name
    if name[:2] == b"./":
        name = name[2:]
    if name[-1:] == b"/":
        name = name[:-1]
    if (
        b"//" in name
        or b"./" in name
        or name[:1] in (b"/", b".")
        or name[-1:] == b"/"
        or name[-2:] in (b"/.", b"..")
        or len(name) > _MAX_COMPONENT
    ):
        return _clean_slowly(original)
    return name


def _clean_slowly(name: bytes) -> bytes:
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not parts:
                raise LayerError(
                    f"the entry {show(name)} climbs out of the layer",
                    hint="A layer with such an entry is broken or malicious; nothing of it was kept.",
                )
            parts.pop()
            continue
        # A marker file is longer than the name it hides.
        if len(part) > _MAX_COMPONENT + (len(_MARKER) if part.startswith(_MARKER) else 0):
            raise LayerError(f"the entry {show(name)} has a component of more than {_MAX_COMPONENT} bytes")
        parts.append(part)
    cleaned = b"/".join(parts)
    if len(cleaned) > _MAX_PATH:
        raise LayerError(f"the name of the entry {show(name)} has more than {_MAX_PATH} bytes")
    return cleaned
