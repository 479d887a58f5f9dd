# SPDX-License-Identifier: Apache-2.0
"""Archives as docker wrote them before 1.10: a directory for each layer, no image config.

::

    repositories           {"name": {"tag": "<id of the top layer>"}}
    <id>/VERSION           1.0
    <id>/json              the layer's own image, with the id of its parent
    <id>/layer.tar

The config is made from the topmost ``json`` exactly as dockers since 1.10 do it, so that the image ID is theirs.

Source: Docker image specification v1; moby image/v1, "MakeConfigFromV1Config".
"""

from __future__ import annotations

import json

from scow.errors import LimitError
from scow.images.members import ArchiveError
from scow.oci import layout
from scow.oci.decode import MalformedDocumentError, decode_config, decode_json
from scow.oci.reference import Reference
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.images.intake import Layer
    from scow.images.members import Members
    from scow.images.plans import Plan
    from scow.oci.digest import DiffID

_MAX_STACK = 512
_DROPPED = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")
_HEX = frozenset("0123456789abcdef")


def plans_of_legacy(members: Members) -> list[Plan]:
    """Find the images of such an archive; their layers are taken in on the way, for their digests.

    Args:
        members: The archive's files.

    Returns:
        The images.

    Raises:
        ArchiveError: A part is missing.
        CorruptError: A document is damaged.
    """
    tables = decode_json(members.read(layout.REPOSITORIES_FILE), "archive's repositories file", 1 << 20)
    tops: dict[str, list[Reference]] = {}
    for repository, tags in tables.items():
        if not isinstance(tags, dict):
            raise MalformedDocumentError("the archive's repositories file is damaged")
        for tag, identity in tags.items():
            tops.setdefault(_checked(identity), []).append(Reference.parse(f"{repository}:{tag}"))
    taken: dict[str, Layer] = {}
    return [_plan(members, top, names, taken) for top, names in tops.items()]


def _checked(identity: object) -> str:
    if not isinstance(identity, str) or len(identity) != 64 or not _HEX.issuperset(identity):
        raise MalformedDocumentError("the archive has an image whose id is not 64 hexadecimal digits")
    return identity


def _plan(members: Members, top: str, names: list[Reference], taken: dict[str, Layer]) -> Plan:
    from scow.images.plans import Plan, PlannedLayer

    stack: list[tuple[str, dict[str, Any]]] = []
    identity: str | None = top
    while identity:
        if len(stack) >= _MAX_STACK or any(identity == seen for seen, _ in stack):
            raise LimitError(f"the archive's image {top[:12]} has more than {_MAX_STACK} layers")
        value = decode_json(members.read(f"{identity}/json"), "archive's image description", 1 << 20)
        stack.append((identity, value))
        parent = value.get("parent")
        identity = _checked(parent) if parent else None
    stack.reverse()
    layers = []
    for name, _ in stack:
        member = f"{name}/layer.tar"
        if member not in members:
            raise ArchiveError(f"the archive has no file {member!r}")
        if name not in taken:
            taken[name] = members.layer(member, digest=None, diff_id=None)
        layers.append(taken[name])
    config = decode_config(_config(stack, [layer.diff_id for layer in layers]))
    planned = tuple(PlannedLayer(f"{name}/layer.tar", None) for name, _ in stack)
    return Plan(config, planned, tuple(names), taken={layer.diff_id: layer for layer in layers})


def _config(stack: list[tuple[str, dict[str, Any]]], diff_ids: list[DiffID]) -> bytes:
    """Make an image config of the descriptions of all layers."""
    value = {name: item for name, item in stack[-1][1].items() if name not in _DROPPED}
    value["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    value["history"] = [_history(description) for _, description in stack]
    # Go writes the members of a map sorted, and escapes what could end a script element.
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("utf-8", "surrogateescape")


def _history(description: dict[str, Any]) -> dict[str, Any]:
    command = (description.get("container_config") or {}).get("Cmd") or []
    entry = {
        "created": description.get("created"),
        "author": description.get("author"),
        "created_by": " ".join(str(word) for word in command),
        "comment": description.get("comment"),
    }
    return {name: item for name, item in entry.items() if item}
