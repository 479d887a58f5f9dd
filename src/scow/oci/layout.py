# SPDX-License-Identifier: Apache-2.0
"""File names of an OCI image layout, and annotation keys.

Source: OCI image-spec v1.1, image-layout.md and annotations.md.
"""

from __future__ import annotations

LAYOUT_FILE = "oci-layout"
LAYOUT_VERSION = "1.0.0"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"
BLOBS_DIRECTORY = "blobs"

REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
CONTAINERD_IMAGE_NAME = "io.containerd.image.name"
"""The full name that containerd, and docker since 25, put beside :data:`REF_NAME`, which holds only the tag there."""

# docker save's own files, beside the layout
MANIFEST_FILE = "manifest.json"
REPOSITORIES_FILE = "repositories"


def blob_path(digest: str) -> str:
    """Where a blob lies inside the layout, relative to its root."""
    algorithm, _, encoded = digest.partition(":")
    return f"{BLOBS_DIRECTORY}/{algorithm}/{encoded}"
