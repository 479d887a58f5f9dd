# SPDX-License-Identifier: Apache-2.0
"""A container's differences as one new layer, and an image made of it."""

from __future__ import annotations

from scow.base.clock import now, rfc3339
from scow.containers.roots import in_difference
from scow.images.changes import apply_changes
from scow.images.mutate import new_image
from scow.layer import diff
from scow.oci.decode import decode_container_config
from scow.oci.digest import ImageID, chain_id
from scow.oci.model import History
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.base.leases import Lease
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.images.store import ImageRecord
    from scow.layer.changeset import Applied
    from scow.oci.digest import ChainID, DiffID
    from scow.oci.reference import Reference


def commit(
    service: Containers,
    container: Container,
    *,
    names: Iterable[Reference] = (),
    author: str = "",
    message: str = "",
    changes: Iterable[str] = (),
    pause: bool = True,
) -> ImageRecord:
    """Make an image of a container.

    Args:
        service: The room.
        container: Running or not.
        names: Tags for the image.
        author: Who is to be named.
        message: A comment for the history.
        changes: Dockerfile instructions for the config, such as ``CMD ["sh"]``.
        pause: Whether a running container is halted meanwhile, so that the layer is of one moment.

    Returns:
        The image: its base's layers and one more with the differences, or none when there are none.

    Raises:
        ImageNotFoundError: The container's image is gone.
        InvalidArgumentError: A change cannot be read.
    """
    base = service.images.resolve(container.image)
    parent = service.images.config(ImageID(base.id)).value
    config = apply_changes(decode_container_config(container.config), changes)
    with service.leases.hold(f"commit {container.id}") as lease:
        applied = write_layer(service, container, lease, pause=pause)
        created = rfc3339(now())
        empty = applied.entries == 0
        step = History(
            created=created,
            created_by=" ".join(container.config.get("Cmd") or ()),
            author=author,
            comment=message,
            empty_layer=empty,
        )
        image = replace(parent, config=config, created=created, author=author, history=(*parent.history, step))
        layers = [] if empty else [(applied.diff_id, applied.size)]
        sizes = {} if empty else {_chain(base, applied.diff_id): applied.usage}
        record = new_image(service.images, service.content, base, image, layers, lease, names, parent=base, sizes=sizes)
    service.note("commit", container, comment=message, imageID=record.id)
    return record


def _chain(base: ImageRecord, layer: DiffID) -> ChainID:
    return chain_id(base.chain, layer)


def write_layer(service: Containers, container: Container, lease: Lease, *, pause: bool) -> Applied:
    """Put a container's differences into the store as an uncompressed layer, held by the lease."""
    skip = frozenset(path.strip("/").encode("utf-8", "surrogateescape") for path in container.stubs)
    with service.content.ingest() as ingest:
        applied = in_difference(
            service,
            container,
            lambda upper, lower: diff.diff_upper(upper, ingest, lower=lower, skip=skip),
            frozen=pause,
        )
        if applied.entries:
            ingest.commit(applied.diff_id, applied.size, lease=lease)
        else:
            ingest.discard()
    return applied
