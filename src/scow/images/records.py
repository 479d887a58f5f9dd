# SPDX-License-Identifier: Apache-2.0
"""From an image's documents to its row in the store: what is checked, what is kept for ``run``."""

from __future__ import annotations

import time

from scow.base.clock import parse_time
from scow.errors import CorruptError, InvalidArgumentError, UnsupportedError
from scow.jsontext import dumps, loads
from scow.oci.decode import decode_config, decode_manifest
from scow.oci.digest import chain_ids
from scow.oci.mediatype import DOCKER_CONFIG_V1, OCI_CONFIG_V1
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.content.store import ContentStore
    from scow.oci.digest import ChainID, Digest, ImageID
    from scow.oci.model import Descriptor

_CONFIG_TYPES = frozenset({OCI_CONFIG_V1, DOCKER_CONFIG_V1, "application/octet-stream", ""})


class NotAnImageError(UnsupportedError):
    """The manifest describes something other than a container image."""

    code = "not-an-image"


class MismatchedImageError(CorruptError):
    """An image's manifest and config do not fit each other."""

    code = "mismatched-image"


def describe(
    content: ContentStore, manifest: Descriptor, parent: ImageID | None
) -> tuple[tuple[Any, ...], list[tuple[ChainID, int]], list[Digest]]:
    """Read an image's documents and work out its row.

    Args:
        content: Where manifest and config are.
        manifest: The manifest.
        parent: The local image it was made on.

    Returns:
        The row; the chains, lowest first, with the size the manifest gives; the blobs the image needs.

    Raises:
        NotAnImageError: It is an artifact of another kind.
        MismatchedImageError: Manifest and config have different numbers of layers.
    """
    document = decode_manifest(content.read(manifest), manifest.media_type)
    value = document.value
    if value.config.media_type not in _CONFIG_TYPES:
        raise NotAnImageError(
            f"the manifest {manifest.digest} is no container image but a {value.config.media_type!r}",
            hint="such artifacts are handled by oras",
        )
    raw = content.read(value.config)
    config = decode_config(raw, value.config.media_type).value
    if len(config.diff_ids) != len(value.layers):
        raise MismatchedImageError(
            f"the image has {len(value.layers)} layers in its manifest and {len(config.diff_ids)} in its config"
        )
    chains = chain_ids(config.diff_ids)
    try:
        created = parse_time(config.created) if config.created else 0.0
    except InvalidArgumentError:
        created = 0.0
    row = (
        value.config.digest,
        manifest.digest,
        value.media_type,
        created,
        sum(layer.size for layer in value.layers),
        chains[-1] if chains else "",
        config.platform.os,
        config.platform.architecture,
        config.platform.variant,
        dumps(dict(config.config.labels)),
        parent or "",
        time.time(),
        dumps(loads(raw).get("config") or {}),
    )
    sizes = [(chain, layer.size) for chain, layer in zip(chains, value.layers, strict=True)]
    return row, sizes, [manifest.digest, value.config.digest, *(layer.digest for layer in value.layers)]
