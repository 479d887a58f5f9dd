# SPDX-License-Identifier: Apache-2.0
"""Uploads of blobs on the server's side: begun, gone on with, asked about, cancelled, ended.

An upload is a named write of the content store and nothing else: its file says how far it is, so it outlives the
server, and any server of the same directory can go on with it. What was hashed is remembered in the process, so that
the usual PATCH and PUT read nothing twice; another process hashes the file anew. The table of states is
``distribution.uploads``, which the client reads too.

Source: OCI distribution-spec v1.1, "Pushing Blobs".
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from threading import Lock

from scow.base.streams import BlobMismatchError
from scow.distribution.spec import API_VERSION, H_API_VERSION, H_UPLOAD_UUID, blob_path
from scow.errors import ConflictError, NotFoundError
from scow.registry.protocol import Answer, RefusedError, digest_of, stored_at
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from scow.content.ingest import LocalIngest
    from scow.oci.digest import Digest
    from scow.registry.protocol import Request
    from scow.registry.storage import RegistryStore

_REMEMBERED = 256
"""Hashes of unfinished uploads kept in memory."""
ALGORITHMS = ("sha256", "sha512", "sha384")


class Span(NamedTuple):
    """The part of the blob that a body says it is; both ends are included."""

    first: int
    last: int


class Receiving:
    """One request's body on its way into an upload; nobody else can write meanwhile.

    Args:
        uploads: All uploads.
        ingest: The write, locked.
        key: Names the upload.
        limit: The most bytes the blob may have after this request.
        end: How many bytes it must have after this request, ``None`` when the request does not say.
    """

    def __init__(self, uploads: Uploads, ingest: LocalIngest, key: str, limit: int, end: int | None) -> None:
        self._uploads = uploads
        self._ingest = ingest
        self._begin = ingest.state
        self.key = key
        self.limit = limit
        self.end = end
        self._over = False

    @property
    def offset(self) -> int:
        """How many bytes the upload has."""
        return self._ingest.offset

    def write(self, pieces: list[bytes]) -> None:
        """Append bytes.

        Raises:
            NoSpaceError: The disk is full.
        """
        for piece in pieces:
            self._ingest.write(piece)

    def back(self) -> None:
        """Drop what this request brought."""
        self._ingest.cut(self._begin)

    def keep(self) -> None:
        """End the request, whatever happened: what is there stays for the next one."""
        if not self._over:
            self._uploads.remember(self.key, self._ingest.state)
            self._ingest.__exit__(None, None, None)
            self._over = True

    def discard(self) -> None:
        """Drop the upload."""
        self._over = True
        self._ingest.discard()
        self._uploads.forget(self.key)

    def commit(self, repository: str, digest: Digest) -> None:
        """End the upload: its bytes become a blob of the repository.

        Raises:
            BlobMismatchError: The bytes are others; the upload is gone.
            NoSpaceError: The disk is full.
        """
        try:
            self._uploads.store.commit(repository, self._ingest, digest)
        except BlobMismatchError:
            self.discard()
            raise
        self.discard()


class Uploads:
    """All uploads of one registry.

    Args:
        store: Where blobs go.
        max_size: The most bytes a blob may have.
        max_open: The most uploads that may be unfinished at once.
    """

    def __init__(self, store: RegistryStore, max_size: int, max_open: int) -> None:
        self.store = store
        self._max_size = max_size
        self._max_open = max_open
        self._guard = Lock()
        self._states: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    # ------------------------------------------------------------------ what the process remembers

    def remember(self, key: str, state: tuple[int, Any]) -> None:
        """Keep a hash for the next request of an upload."""
        with self._guard:
            self._states[key] = state
            self._states.move_to_end(key)
            while len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)

    def forget(self, key: str) -> None:
        """Drop what is remembered of an upload that has ended."""
        with self._guard:
            self._states.pop(key, None)

    # ------------------------------------------------------------------ the verbs

    def begin(self, name: str, request: Request) -> str:
        """Begin an upload; the file it makes is what says that it exists.

        Args:
            name: The repository.
            request: May say which digest the blob will have, or with which algorithm.

        Returns:
            What names the upload.

        Raises:
            RefusedError: The algorithm is unknown, or too many uploads are unfinished.
        """
        wanted = request.first("digest-algorithm") or request.first("digest").partition(":")[0] or "sha256"
        if wanted not in ALGORITHMS:
            raise RefusedError(400, "DIGEST_INVALID", f"{wanted[:100]!r} is not a digest algorithm known here")
        if self._count() >= self._max_open:
            raise RefusedError(
                429, "TOOMANYREQUESTS", f"{self._max_open} uploads are unfinished", {"Retry-After": "60"}
            )
        key = f"{wanted}-{os.urandom(16).hex()}-{_tie(name)}"
        with self.store.content.ingest(key, wanted):
            pass
        return key

    def _count(self) -> int:
        try:
            with os.scandir(os.path.join(self.store.root, "ingest")) as found:
                return sum(1 for _ in found)
        except FileNotFoundError:
            return 0

    def open(self, name: str, key: str, request: Request, length: int | None, algorithm: str = "") -> Receiving:
        """Take an upload up to write to it, or to end it.

        Args:
            name: The repository.
            key: Names the upload.
            request: May have a ``Content-Range``.
            length: How many bytes its body has, ``None`` when that is not known.
            algorithm: What the digest will be of; ``""`` for what the upload was begun with.

        Raises:
            RefusedError: There is no such upload (404), another request is writing (409), the chunk does not begin
                where the last one ended (416), its length is not what its range says (400), or it is too large (413).
        """
        begun_with = self._check(name, key)
        with self._guard:
            known = self._states.get(key)
        try:
            ingest = self.store.content.resume(key, algorithm or begun_with, known)
        except NotFoundError as error:
            raise _unknown() from error
        except ConflictError as error:
            raise RefusedError(
                409, "BLOB_UPLOAD_INVALID", "another request is writing to this upload", {"Retry-After": "1"}
            ) from error
        try:
            span = _span(request)
            self._fits(name, key, ingest.offset, span, length)
        except BaseException:
            self.remember(key, ingest.state)
            ingest.__exit__(None, None, None)
            raise
        return Receiving(self, ingest, key, self._max_size, None if span is None else span.last + 1)

    def _fits(self, name: str, key: str, offset: int, span: Span | None, length: int | None) -> None:
        end = offset + (length or 0)
        if span is not None:
            if span.first != offset:
                raise RefusedError(
                    416,
                    "BLOB_UPLOAD_INVALID",
                    f"the next chunk begins at {offset}, not at {span.first}",
                    self.headers(name, key, offset),
                )
            if length is not None and span.last - span.first + 1 != length:
                raise RefusedError(
                    400, "SIZE_INVALID", f"a chunk that says {span.first}-{span.last} has {length} bytes"
                )
            end = span.last + 1
        if end > self._max_size:
            raise RefusedError(413, "SIZE_INVALID", f"a blob may have {self._max_size} bytes here")

    def status(self, name: str, key: str) -> Answer:
        """Tell how far an upload is.

        Raises:
            RefusedError: There is no such upload.
        """
        self._check(name, key)
        try:
            size = os.stat(os.path.join(self.store.root, "ingest", key)).st_size
        except FileNotFoundError as error:
            raise _unknown() from error
        return Answer(204, self.headers(name, key, size))

    def cancel(self, name: str, key: str, request: Request) -> Answer:
        """Drop an upload.

        Raises:
            RefusedError: There is no such upload, or another request is writing.
        """
        self.open(name, key, request, None).discard()
        return Answer(204)

    def headers(self, name: str, key: str, offset: int) -> dict[str, str]:
        """What an answer says about an upload."""
        return {
            "Location": f"/v2/{name}/blobs/uploads/{key}",
            "Range": f"0-{max(offset - 1, 0)}",
            H_UPLOAD_UUID: key,
            H_API_VERSION: API_VERSION,
        }

    def _check(self, name: str, key: str) -> str:
        """Make sure that a key is one of ours and of this repository; return its algorithm."""
        algorithm, _, rest = key.partition("-")
        identity, _, tie = rest.partition("-")
        ours = algorithm in ALGORITHMS and len(identity) == 32 and identity.isascii() and identity.isalnum()
        if not ours or tie != _tie(name):
            raise _unknown()
        return algorithm


def _tie(name: str) -> str:
    """What ties an upload to its repository."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _unknown() -> RefusedError:
    return RefusedError(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload here; it may have ended or expired")


def _span(request: Request) -> Span | None:
    """The ``Content-Range`` of a chunk: ``first-last``, with or without a unit and a total.

    Raises:
        RefusedError: It cannot be read (400).
    """
    header = request.headers.get("Content-Range")
    if header is None:
        return None
    first, dash, last = header.strip().removeprefix("bytes").strip(" =").partition("/")[0].partition("-")
    if not (dash and _number(first) and _number(last) and int(first) <= int(last)):
        raise RefusedError(400, "BLOB_UPLOAD_INVALID", f"{header[:100]!r} is not the range of a chunk")
    return Span(int(first), int(last))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def wanted_digest(request: Request) -> Digest:
    """The digest that ends an upload.

    Raises:
        RefusedError: There is none, or it is not one.
    """
    text = request.first("digest")
    if not text:
        raise RefusedError(400, "DIGEST_INVALID", "the digest is missing")
    return digest_of(text)


def ended(name: str, digest: Digest) -> Answer:
    """The answer to the request that ended an upload."""
    return stored_at(blob_path(name, digest), digest)
