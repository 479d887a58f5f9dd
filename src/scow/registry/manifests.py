# SPDX-License-Identifier: Apache-2.0
"""Manifests: given, checked and kept, deleted; and what refers to one.

Bytes are kept as they came. A manifest is taken only when it is well formed and everything it is made of is in the
repository with the size it says; what it is *about* (its subject) need not be there.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Pushing Manifests", "Listing Referrers", "Deleting tags",
"Deleting Manifests"; OCI image-spec v1.1, manifest.md and image-index.md.
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import urlencode

from scow.content.store import BlobNotFoundError
from scow.distribution.spec import (
    API_VERSION,
    H_API_VERSION,
    H_DIGEST,
    H_FILTERS,
    H_SUBJECT,
    manifest_path,
    referrers_path,
)
from scow.errors import LimitError, ScowError
from scow.oci.decode import MAX_MANIFEST_SIZE, decode_config, decode_index, decode_json, decode_manifest
from scow.oci.digest import Digest
from scow.oci.mediatype import OCI_INDEX_V1, is_foreign, is_index, is_manifest
from scow.oci.model import Index
from scow.oci.reference import valid_tag
from scow.registry.metadata import NewManifest
from scow.registry.protocol import Answer, RefusedError, digest_of, stored_at, unchanged
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from scow.oci.model import Descriptor, Manifest
    from scow.registry.metadata import StoredManifest
    from scow.registry.protocol import Request
    from scow.registry.storage import RegistryStore

H_TAG = "OCI-Tag"
MAX_TAGS = 100
"""Tags that one request may set."""
_PAGE = 1000
_PAGE_BYTES = 2 << 20
"""A page of referrers ends after so many descriptors or bytes."""
_CONFIG_SIZE = 1 << 20
"""A config up to this size is read for its description."""
_DESCRIPTION_LENGTH = 1000
_DESCRIPTION = "org.opencontainers.image.description"


class Manifests:
    """The manifests of a registry.

    Args:
        store: Where they are.
        sparse: Whether a manifest may be taken whose parts are missing.
    """

    def __init__(self, store: RegistryStore, *, sparse: bool = False) -> None:
        self._store = store
        self._sparse = sparse

    # ------------------------------------------------------------------ reading

    def get(self, request: Request, name: str, ref: str) -> Answer:
        """Give a manifest, or describe it for ``HEAD``.

        Raises:
            RefusedError: It is not there, or the client takes none of its kind.
        """
        found = self._find(name, ref)
        if not accepts(request.headers.get("Accept", ""), found.media_type):
            raise RefusedError(
                404, "MANIFEST_UNKNOWN", f"the manifest is of the type {found.media_type}, which was not asked for"
            )
        headers = {
            "Content-Type": found.media_type,
            H_DIGEST: found.digest,
            "ETag": f'"{found.digest}"',
            H_API_VERSION: API_VERSION,
        }
        if unchanged(request, f'"{found.digest}"'):
            return Answer(304, headers)
        if request.method == "HEAD":
            return Answer(200, headers | {"Content-Length": str(found.size)})
        try:
            return Answer(200, headers, self._store.content.read(found.digest))
        except BlobNotFoundError as error:
            raise _unknown(ref) from error

    def _find(self, name: str, ref: str) -> StoredManifest:
        if ":" in ref:
            digest_of(ref)
        elif not valid_tag(ref):
            raise _unknown(ref)
        found = self._store.metadata.manifest(name, ref)
        if found is None:
            raise _unknown(ref)
        return found

    def referrers(self, request: Request, name: str, ref: str) -> Answer:
        """List what refers to a manifest, a page at a time; nothing when nobody knows of it."""
        subject = digest_of(ref)
        wanted = request.first("artifactType")
        rows = self._store.metadata.referrers(name, subject, wanted, request.first("last"), _PAGE + 1)
        page: list[str] = []
        size = 0
        while rows[len(page) :] and len(page) < _PAGE and size < _PAGE_BYTES:
            size += len(rows[len(page)])
            page.append(rows[len(page)])
        body = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX_V1}","manifests":[{",".join(page)}]}}'
        headers = {"Content-Type": OCI_INDEX_V1, H_API_VERSION: API_VERSION}
        if wanted:
            headers[H_FILTERS] = "artifactType"
        if len(page) < len(rows):
            more = {"artifactType": wanted} if wanted else {}
            query = urlencode({**more, "last": json.loads(page[-1])["digest"]})
            headers["Link"] = f'<{referrers_path(name, subject)}?{query}>; rel="next"'
        return Answer(200, headers, body.encode())

    # ------------------------------------------------------------------ writing

    def put(self, request: Request, name: str, ref: str, raw: bytes) -> Answer:
        """Check a manifest and keep it.

        Args:
            request: Says its type.
            name: The repository.
            ref: A tag, or its digest; then tags may stand in the query.
            raw: Its bytes.

        Raises:
            RefusedError: It is malformed, or parts of it are missing.
        """
        kind, value = _decode(request, raw)
        digest, tags = _names(request, ref, raw)
        parts = _parts(value)
        for part in parts:
            self._check_size(name, part)
        new = self._entry(name, kind, value, digest, len(raw), [part.digest for part in parts])
        missing = self._store.store_manifest(name, raw, new, tags, sparse=self._sparse)
        if missing:
            raise RefusedError(
                400,
                "MANIFEST_BLOB_UNKNOWN",
                f"the manifest is made of {' and '.join(missing[:3])}, which the repository does not have",
            )
        more = {H_SUBJECT: new.subject} if new.subject else {}
        if request.query.get("tag"):
            more[H_TAG] = ", ".join(tags)
        return stored_at(manifest_path(name, digest), digest, **more)

    def _check_size(self, name: str, part: Descriptor) -> None:
        if not self._store.has(name, part.digest):
            return
        size = self._store.content.stat(part.digest).size
        if size != part.size:
            raise RefusedError(
                400, "SIZE_INVALID", f"the manifest gives {part.digest} {part.size} bytes instead of {size}"
            )

    def _entry(
        self, name: str, kind: str, value: Manifest | Index, digest: Digest, size: int, parts: Sequence[Digest]
    ) -> NewManifest:
        artifact_type = value.artifact_type or ("" if isinstance(value, Index) else value.config.media_type)
        if not (artifact_type.isascii() and artifact_type.isprintable()):
            raise RefusedError(400, "MANIFEST_INVALID", f"{artifact_type[:300]!r} is not the type of an artifact")
        descriptor: dict[str, Any] = {"mediaType": kind, "digest": digest, "size": size}
        if artifact_type:
            descriptor["artifactType"] = artifact_type
        if value.annotations:
            descriptor["annotations"] = dict(value.annotations)
        subject = value.subject.digest if value.subject else ""
        description = value.annotations.get(_DESCRIPTION) or self._told(name, value)
        text = json.dumps(descriptor, separators=(",", ":")) if subject else ""
        shown = "".join(char if char.isprintable() else " " for char in description[:_DESCRIPTION_LENGTH]).strip()
        return NewManifest(digest, kind, size, parts, subject, artifact_type, text, shown)

    def _told(self, name: str, value: Manifest | Index) -> str:
        """What an image's config says about it, if it is one and says something."""
        if (
            isinstance(value, Index)
            or value.config.size > _CONFIG_SIZE
            or not self._store.has(name, value.config.digest)
        ):
            return ""
        try:
            config = decode_config(self._store.content.read(value.config.digest)).value
        except ScowError:
            return ""  # the config of an artifact is its own business
        return config.config.labels.get(_DESCRIPTION, "")

    def delete(self, name: str, ref: str) -> Answer:
        """Take a tag away, or a manifest with all its tags.

        Raises:
            RefusedError: It is not there.
        """
        if ":" in ref:
            gone = self._store.metadata.delete_manifest(name, digest_of(ref))
        else:
            gone = self._store.metadata.delete_tag(name, ref)
        if not gone:
            raise _unknown(ref)
        return Answer(202)


def accepts(header: str, media_type: str) -> bool:
    """Whether a client that sends this ``Accept`` can read a manifest of this type.

    Args:
        header: All values, joined by commas; ``""`` accepts everything.
        media_type: The manifest's.
    """
    kinds = {part.partition(";")[0].strip().lower() for part in header.split(",")} - {""}
    return not kinds or not kinds.isdisjoint({media_type, "*/*", "application/*", "application/json"})


def _decode(request: Request, raw: bytes) -> tuple[str, Manifest | Index]:
    try:
        document = decode_json(raw, "manifest", MAX_MANIFEST_SIZE)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() or document.get("mediaType")
        if not isinstance(kind, str) or not (is_index(kind) or is_manifest(kind)):
            raise RefusedError(400, "MANIFEST_INVALID", f"manifests of the type {kind!r} are not kept here")
        if document.get("schemaVersion") != 2:
            raise RefusedError(400, "MANIFEST_INVALID", "the manifest's schemaVersion is not 2")
        # one document that two clients could read as two things (CVE-2021-41190)
        strange = {"layers", "config"} if is_index(kind) else {"manifests"}
        if not strange.isdisjoint(document):
            raise RefusedError(400, "MANIFEST_INVALID", "the manifest could be read as an image and as an index")
        return kind, (decode_index(raw, kind) if is_index(kind) else decode_manifest(raw, kind)).value
    except RefusedError:
        raise
    except LimitError as error:
        raise RefusedError(413, "MANIFEST_INVALID", error.message) from error
    except ScowError as error:
        raise RefusedError(400, "MANIFEST_INVALID", error.message) from error


def _names(request: Request, ref: str, raw: bytes) -> tuple[Digest, list[str]]:
    """The digest a manifest is kept under, and the tags it gets."""
    tags = list(request.query.get("tag", ())) if ":" in ref else [ref]
    if len(tags) > MAX_TAGS:
        raise RefusedError(414, "UNSUPPORTED", f"one request sets at most {MAX_TAGS} tags")
    for tag in tags:
        if not valid_tag(tag):
            raise RefusedError(400, "MANIFEST_INVALID", f"{tag[:300]!r} is not a valid tag")
    algorithm = digest_of(ref).algorithm if ":" in ref else "sha256"
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")
    if ":" in ref and digest != ref:
        raise RefusedError(400, "DIGEST_INVALID", f"the manifest has the digest {digest}, not {ref}")
    return digest, tags


def _parts(value: Manifest | Index) -> list[Descriptor]:
    """What must be in the repository too: not what is fetched from elsewhere, nor the subject."""
    if isinstance(value, Index):
        return list(value.manifests)
    return [value.config, *(layer for layer in value.layers if not is_foreign(layer))]


def _unknown(ref: str) -> RefusedError:
    return RefusedError(404, "MANIFEST_UNKNOWN", f"the repository has no manifest {ref[:300]}")
