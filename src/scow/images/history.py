# SPDX-License-Identifier: Apache-2.0
"""How an image was made, the newest step first, as ``docker history`` shows it."""

from __future__ import annotations

from scow.base.clock import parse_time
from scow.errors import InvalidArgumentError, NotFoundError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import ImageID

MISSING = "<missing>"


class Step(NamedTuple):
    """One step.

    Args:
        id: The image after it, when that is in the store, else ``<missing>``.
        created: Seconds since the epoch; ``None`` when it does not say.
        created_by: The instruction.
        size: Bytes of file data in its layer.
        comment: What its maker noted.
        tags: The names of the image after it.
    """

    id: str
    created: float | None
    created_by: str
    size: int
    comment: str
    tags: tuple[str, ...]


def history(images: ImageStore, record: ImageRecord) -> list[Step]:
    """List the steps of an image, the newest first.

    Args:
        images: Where it is.
        record: The image.

    Returns:
        The steps; layers beyond what the history tells have steps without text.
    """
    sizes = [size for _, size in images.layer_sizes(record.id)]
    steps: list[Step] = []
    for entry in images.config(record.id).value.history:
        size = sizes.pop(0) if sizes and not entry.empty_layer else 0
        steps.append(Step(MISSING, _moment(entry.created), entry.created_by, size, entry.comment, ()))
    steps += [Step(MISSING, None, "", size, "", ()) for size in sizes]
    steps.reverse()
    identity: ImageID | None = record.id
    for position, step in enumerate(steps):
        if identity is None:
            break
        tags = tuple(ref.familiar for ref in images.names(identity))
        steps[position] = step._replace(id=identity, tags=tags)
        try:
            identity = images.get(identity).parent
        except NotFoundError:
            break
    return steps


def _moment(text: str | None) -> float | None:
    try:
        return parse_time(text) if text else None
    except InvalidArgumentError:
        return None
