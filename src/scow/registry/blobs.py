# SPDX-License-Identifier: Apache-2.0
"""Blobs: given whole or in part, mounted from a neighbour, deleted.

Source: OCI distribution-spec v1.1, "Pulling blobs", "Mounting a blob from another repository", "Deleting Blobs"; RFC
9110, 13.1.5 (If-Range) and 14 (ranges).
"""

from __future__ import annotations

import os

from scow.content.store import BlobNotFoundError
from scow.distribution.spec import API_VERSION, H_API_VERSION, H_DIGEST, blob_path
from scow.registry.protocol import Answer, RefusedError, Slice, digest_of, stored_at, unchanged
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from scow.oci.digest import Digest
    from scow.registry.protocol import Request
    from scow.registry.storage import RegistryStore

SMALL = 64 << 10
"""Bytes up to which a blob is sent from memory; a larger one goes from its file to the socket."""


class ByteRange(NamedTuple):
    """A part of a blob: its first byte and how many."""

    first: int
    size: int


class Blobs:
    """The blobs of a registry.

    Args:
        store: Where they are.
        sees: Whether who asks may know of a repository.
    """

    def __init__(self, store: RegistryStore, sees: Callable[[Request, str], bool]) -> None:
        self._store = store
        self._sees = sees

    def _find(self, name: str, ref: str) -> tuple[Digest, float]:
        digest = digest_of(ref)
        linked = self._store.metadata.linked(name, digest)
        if linked is None:
            raise _unknown(digest)
        return digest, linked

    def head(self, request: Request, name: str, ref: str) -> Answer:
        """Describe a blob; whoever asks is often about to push what needs it.

        Raises:
            RefusedError: It is not there.
        """
        digest, linked = self._find(name, ref)
        self._store.refresh(name, digest, linked)
        try:
            size = self._store.content.stat(digest).size
        except BlobNotFoundError as error:
            raise _unknown(digest) from error
        status = 304 if unchanged(request, f'"{digest}"') else 200
        return Answer(status, _headers(digest) | {"Content-Length": str(size)})

    def get(self, request: Request, name: str, ref: str) -> Answer:
        """Give a blob, or the part that is asked for.

        Raises:
            RefusedError: It is not there, or has no such part (416).
        """
        digest, _ = self._find(name, ref)
        if unchanged(request, f'"{digest}"'):
            return Answer(304, _headers(digest))
        try:
            file = self._store.content.open(digest)
        except BlobNotFoundError as error:
            raise _unknown(digest) from error
        try:
            size = os.fstat(file.fileno()).st_size
            part = wanted_range(request, size, f'"{digest}"')
        except BaseException:
            file.close()
            raise
        headers = _headers(digest)
        if part is None:
            return _content(200, headers, file, ByteRange(0, size))
        headers["Content-Range"] = f"bytes {part.first}-{part.first + part.size - 1}/{size}"
        return _content(206, headers, file, part)

    def delete(self, name: str, ref: str) -> Answer:
        """Take a blob from a repository.

        Raises:
            RefusedError: It is not there.
        """
        digest = digest_of(ref)
        if not self._store.metadata.unlink_blob(name, digest):
            raise _unknown(digest)
        return Answer(202)

    def mount(self, request: Request, name: str) -> Answer | None:
        """Take a blob over from another repository, or from any that has it and that who asks may know of.

        Returns:
            ``None`` when it must be uploaded after all.

        Raises:
            RefusedError: The digest is none.
        """
        digest = digest_of(request.first("mount"))
        source = request.first("from")
        for neighbour in [source] if source else self._store.metadata.holders(digest):
            if self._sees(request, neighbour) and self._store.mount(name, digest, neighbour):
                return stored_at(blob_path(name, digest), digest)
        return None


def _content(status: int, headers: dict[str, str], file: BinaryIO, part: ByteRange) -> Answer:
    if part.size > SMALL:
        return Answer(status, headers, file=Slice(file, part.first, part.size))
    with file:
        file.seek(part.first)
        return Answer(status, headers, file.read(part.size))


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        H_DIGEST: digest,
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
        H_API_VERSION: API_VERSION,
    }


def wanted_range(request: Request, size: int, tag: str) -> ByteRange | None:
    """The part of a blob that a request wants; ``None`` for all of it.

    Several ranges at once, other units and what is no range at all count as none, as RFC 9110 allows.

    Args:
        request: May have a ``Range`` and an ``If-Range``.
        size: Of the blob, in bytes.
        tag: The blob's entity tag.

    Raises:
        RefusedError: The range begins behind the end (416).
    """
    unit, _, text = request.headers.get("Range", "").strip().partition("=")
    first, dash, last = text.strip().partition("-")
    only_if = request.headers.get("If-Range")
    if unit.strip().lower() != "bytes" or not dash or (only_if is not None and only_if.strip() != tag):
        return None
    numbers = [part for part in (first, last) if part]
    if not numbers or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        return None
    if not first:
        count = min(int(last), size)
        found = ByteRange(size - count, count)
    else:
        end = min(int(last), size - 1) if last else size - 1
        found = ByteRange(int(first), end - int(first) + 1)
    if found.size <= 0:
        raise RefusedError(
            416, "SIZE_INVALID", f"the blob has {size} bytes and no such range", {"Content-Range": f"bytes */{size}"}
        )
    return found


def _unknown(digest: Digest) -> RefusedError:
    return RefusedError(404, "BLOB_UNKNOWN", f"the repository has no blob {digest}")
