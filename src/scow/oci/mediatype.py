# SPDX-License-Identifier: Apache-2.0
"""Media types as constants, and the questions asked about them.

Source: OCI image-spec v1.1, media-types.md; Docker image manifest v2, schema 2.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.oci.model import Descriptor

OCI_MANIFEST_V1 = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX_V1 = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG_V1 = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_LAYER_NONDIST = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_LAYER_NONDIST_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_LAYER_NONDIST_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"

DOCKER_MANIFEST_V1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_MANIFEST_V1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_MANIFEST_V2 = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST_V2 = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG_V1 = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

NONE, GZIP, ZSTD = "none", "gzip", "zstd"

_INDEXES = frozenset({OCI_INDEX_V1, DOCKER_MANIFEST_LIST_V2})
_MANIFESTS = frozenset({OCI_MANIFEST_V1, DOCKER_MANIFEST_V2})
_LAYERS = {
    OCI_LAYER: NONE,
    OCI_LAYER_GZIP: GZIP,
    OCI_LAYER_ZSTD: ZSTD,
    OCI_LAYER_NONDIST: NONE,
    OCI_LAYER_NONDIST_GZIP: GZIP,
    OCI_LAYER_NONDIST_ZSTD: ZSTD,
    DOCKER_LAYER: NONE,
    DOCKER_LAYER_GZIP: GZIP,
    DOCKER_LAYER_ZSTD: ZSTD,
    DOCKER_FOREIGN_LAYER: NONE,
    DOCKER_FOREIGN_LAYER_GZIP: GZIP,
    # written by old tools; accepted everywhere
    "application/vnd.docker.image.rootfs.diff.tar+gzip": GZIP,
}
_NONDISTRIBUTABLE = frozenset(
    {
        OCI_LAYER_NONDIST,
        OCI_LAYER_NONDIST_GZIP,
        OCI_LAYER_NONDIST_ZSTD,
        DOCKER_FOREIGN_LAYER,
        DOCKER_FOREIGN_LAYER_GZIP,
    }
)
_LAYER_TYPES = {
    (NONE, False): OCI_LAYER,
    (GZIP, False): OCI_LAYER_GZIP,
    (ZSTD, False): OCI_LAYER_ZSTD,
    (NONE, True): DOCKER_LAYER,
    (GZIP, True): DOCKER_LAYER_GZIP,
    (ZSTD, True): DOCKER_LAYER_ZSTD,
}


def is_index(media_type: str) -> bool:
    """Whether it names a list of manifests."""
    return media_type in _INDEXES


def is_manifest(media_type: str) -> bool:
    """Whether it names the manifest of one image."""
    return media_type in _MANIFESTS


def is_layer(media_type: str) -> bool:
    """Whether it names a file system layer that scow can read."""
    return media_type in _LAYERS


def is_nondistributable(media_type: str) -> bool:
    """Whether the layer may not be pushed; it is fetched from its ``urls``."""
    return media_type in _NONDISTRIBUTABLE


def is_foreign(desc: Descriptor) -> bool:
    """Whether a blob is elsewhere: it may not be pushed, and its descriptor says where it is fetched from.

    Source: OCI image-spec v1.1, layer.md, "Non-Distributable Layers"; descriptor.md, ``urls``.
    """
    return bool(desc.urls) and is_nondistributable(desc.media_type)


def is_docker(media_type: str) -> bool:
    """Whether it is one of Docker's own types rather than OCI's."""
    return media_type.startswith("application/vnd.docker.")


def compression_of(media_type: str) -> str:
    """``none``, ``gzip`` or ``zstd``; ``none`` for what is not a layer."""
    return _LAYERS.get(media_type, NONE)


def layer_type(compression: str, *, docker: bool = False) -> str:
    """The layer media type for a compression.

    Raises:
        KeyError: ``compression`` is none of ``none``, ``gzip``, ``zstd``.
    """
    return _LAYER_TYPES[compression, docker]
