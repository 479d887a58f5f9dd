# SPDX-License-Identifier: Apache-2.0
"""One repository of a registry: a source and target of content, a mounter, and a source of referrers.

Promises: every manifest is bounded and matches the digest it was asked by; blobs come through :mod:`.blobs`, which
resumes them; mirrors are asked first for reading and never written to. Safe to share between threads.

Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

from scow.distribution import spec
from scow.distribution.blobs import BlobReader
from scow.distribution.challenge import repository_scope
from scow.errors import InvalidArgumentError, LimitError, NotFoundError, RateLimitError, ScowError, UnsupportedError
from scow.jsontext import loads
from scow.oci.decode import MAX_MANIFEST_SIZE, decode_index
from scow.oci.digest import Digest
from scow.oci.mediatype import OCI_INDEX_V1, is_index
from scow.oci.model import Descriptor, Index
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO, TypeVar

    from scow.distribution import uploads
    from scow.distribution.challenge import Scope
    from scow.distribution.session import Session
    from scow.distribution.wire import Response
    from scow.oci.reference import Reference

    R = TypeVar("R")

_ACCEPT = ", ".join(spec.MANIFEST_TYPES)
_PAGE_LIMIT = 8 << 20
_MAX_PAGES = 10_000
_REFERRERS_LIMIT = 32 << 20


class DigestMismatchError(spec.BadAnswerError):
    """A manifest is not the one that its digest promises."""

    code = "manifest-mismatch"


class Fetched(NamedTuple):
    """A manifest as it came: what it is, and its bytes."""

    descriptor: Descriptor
    raw: bytes


class Repository:
    """A repository at its registry and at the registry's mirrors.

    Args:
        reference: Names it; tag and digest do not matter.
        sessions: Mirrors first, the registry itself last.
    """

    def __init__(self, reference: Reference, sessions: Sequence[Session]) -> None:
        self.reference = reference
        self.sessions = tuple(sessions)
        self._first = 0
        self.warnings: list[str] = []

    @property
    def origin(self) -> Session:
        """The registry itself."""
        return self.sessions[-1]

    @property
    def shown(self) -> str:
        """The repository as users know it."""
        return self.reference.familiar_repository

    def scopes(self, *actions: str, session: Session | None = None) -> tuple[Scope, ...]:
        """The rights for ``actions`` on this repository, at a session's endpoint."""
        return (repository_scope((session or self.origin).endpoint.path, *actions),)

    def sources(self) -> list[Session]:
        """Where to read, the one that served last first, the registry itself last."""
        return list(self.sessions[self._first :])

    def _anywhere(self, call: Callable[[Session], R]) -> R:
        while True:
            at = self._first
            session = self.sessions[at]
            try:
                return call(session)
            except ScowError:
                if session is self.origin:
                    raise
                self._first = max(self._first, at + 1)  # another thread may have given up on it meanwhile

    # ------------------------------------------------------------------ manifests

    def resolve(self, name: str) -> Descriptor:
        """Find what a tag or digest means here.

        Args:
            name: A tag or a digest.

        Raises:
            RegistryNotFoundError: There is no such manifest.
        """
        return self._anywhere(lambda session: self._resolve(session, name))

    def _resolve(self, session: Session, name: str) -> Descriptor:
        what = f"manifest for {self.shown}{'@' if ':' in name else ':'}{name}"
        path = spec.manifest_path(session.endpoint.path, name)
        with session.request(
            what,
            "HEAD",
            path,
            scopes=self.scopes("pull", session=session),
            headers={"Accept": _ACCEPT},
            ok={200, 404, 405},
        ) as response:
            self._note(response)
            digest = response.headers.get(spec.H_DIGEST.lower(), "")
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
            size = spec.number(response.headers.get("content-length", ""))
            if response.status == 200 and digest and size is not None and media_type in spec.MANIFEST_TYPES:
                if ":" in name and digest != name:
                    raise DigestMismatchError(f"{what}: the registry answers with {digest[:80]}")
                return Descriptor(media_type, Digest(digest), size)
        # an error has no body with HEAD, and some registries leave headers out: GET tells
        return self._get(session, name, None).descriptor

    def manifest(self, name: str, expected: Descriptor | None = None) -> Fetched:
        """Fetch a manifest or index, verified when asked for by digest.

        Args:
            name: A tag or a digest.
            expected: What must come, as a parent told.

        Raises:
            RegistryNotFoundError: There is no such manifest.
            DigestMismatchError: Another one came.
            LimitError: It is larger than scow accepts.
        """
        return self._anywhere(lambda session: self._get(session, name, expected))

    def _get(self, session: Session, name: str, expected: Descriptor | None) -> Fetched:

        what = f"manifest for {self.shown}{'@' if ':' in name else ':'}{name}"
        accept = _ACCEPT
        if expected is not None and expected.media_type not in spec.MANIFEST_TYPES:
            accept += f", {expected.media_type}"
        path = spec.manifest_path(session.endpoint.path, name)
        response, raw = session.read(
            what, path, MAX_MANIFEST_SIZE, scopes=self.scopes("pull", session=session), headers={"Accept": accept}
        )
        self._note(response)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        told = response.headers.get(spec.H_DIGEST.lower(), "")
        wanted = expected.digest if expected is not None else name if ":" in name else told
        digest = _digest_of(raw, wanted.partition(":")[0] if wanted else "sha256")
        if (":" in name and digest != name) or (expected is not None and digest != expected.digest):
            raise DigestMismatchError(f"{what}: the registry sent {digest} instead", hint=_TAMPERED)
        if told and told != digest and told.partition(":")[0] == digest.algorithm:
            raise DigestMismatchError(f"{what}: the registry announced {told[:80]} and sent {digest}", hint=_TAMPERED)
        if expected is not None and expected.size != len(raw):
            raise DigestMismatchError(f"{what} has {len(raw)} bytes instead of {expected.size}", hint=_TAMPERED)
        if media_type not in spec.MANIFEST_TYPES:
            media_type = _media_type(raw) or media_type
        return Fetched(Descriptor(media_type, digest, len(raw)), raw)

    def push_manifest(self, desc: Descriptor, raw: bytes, name: str = "") -> None:
        """Store a manifest, and give it a name.

        Args:
            desc: Its descriptor.
            raw: Its bytes.
            name: A tag; ``""`` to store it by digest only.

        Raises:
            ScowError: The registry refuses it, or says that it stored something else.
        """
        session = self.origin
        what = f"pushing the manifest of {self.shown}{':' + name if name else '@' + desc.digest}"
        try:
            with session.request(
                what,
                "PUT",
                spec.manifest_path(session.endpoint.path, name or desc.digest),
                scopes=self.scopes("pull", "push"),
                headers={"Content-Type": desc.media_type},
                body=raw,
                ok={200, 201, 202, 204},
            ) as response:
                self._note(response)
                told = response.headers.get(spec.H_DIGEST.lower(), "")
                indexed = spec.H_SUBJECT.lower() in response.headers
        except ScowError as error:
            if not name or getattr(error, "status", 0) not in _REFUSED or not self._means(name, desc):
                raise
            return  # the tag may not be moved, and need not be
        if told and told != desc.digest and told.partition(":")[0] == desc.digest.algorithm:
            raise DigestMismatchError(f"{what}: the registry stored {told[:80]} instead of {desc.digest}")
        subject = _subject(raw)
        if subject is not None and not indexed:
            self._list_referrer(subject, desc, raw)

    def _means(self, name: str, desc: Descriptor) -> bool:
        """Whether a tag stands for a manifest already."""
        try:
            return self._resolve(self.origin, name).digest == desc.digest
        except ScowError:
            return False

    def delete(self, name: str) -> None:
        """Delete a manifest by digest, or a tag.

        Raises:
            RegistryUnsupportedError: The registry does not allow it.
            RegistryNotFoundError: There is none.
        """
        session = self.origin
        path = spec.manifest_path(session.endpoint.path, name)
        what = f"deleting {self.shown}{'@' if ':' in name else ':'}{name}"
        with session.request(
            what, "DELETE", path, scopes=self.scopes("delete", "pull"), ok={200, 202, 204}
        ) as response:
            self._note(response)

    # ------------------------------------------------------------------ blobs

    def exists(self, desc: Descriptor) -> bool:
        """Whether the registry itself has the manifest or blob."""
        session = self.origin
        is_manifest = desc.media_type in spec.MANIFEST_TYPES
        make = spec.manifest_path if is_manifest else spec.blob_path
        headers = {"Accept": _ACCEPT} if is_manifest else {}
        with session.request(
            f"looking for {desc.digest} in {self.shown}",
            "HEAD",
            make(session.endpoint.path, desc.digest),
            scopes=self.scopes("pull", "push"),
            headers=headers,
            ok={200, 404},
        ) as response:
            return response.status == 200

    def fetch(self, desc: Descriptor, *, offset: int = 0) -> BinaryIO:
        """Open content; interrupted reads resume by themselves. The bytes are not verified, the reader does that."""
        import io

        if desc.media_type in spec.MANIFEST_TYPES:
            return io.BytesIO(self.manifest(desc.digest, desc).raw[offset:])
        return cast("BinaryIO", io.BufferedReader(BlobReader(self, desc, offset)))

    def push(self, desc: Descriptor, content: BinaryIO) -> None:
        """Store a blob or manifest from a stream that can be rewound."""
        if desc.media_type in spec.MANIFEST_TYPES:
            self.push_manifest(desc, content.read(MAX_MANIFEST_SIZE + 1))
            return
        from scow.distribution.pushing import push_blob

        start = content.tell()

        def opened(at: int) -> BinaryIO:
            content.seek(start + at)
            return content

        push_blob(self, desc, opened)

    def tag(self, desc: Descriptor, name: str) -> None:
        """Give a stored manifest a name."""
        fetched = self.manifest(desc.digest, desc)
        self.push_manifest(fetched.descriptor, fetched.raw, name)

    def mount(self, desc: Descriptor, from_path: str) -> bool:
        """Take a blob over from another repository of the same registry without sending it."""
        from scow.distribution import uploads

        upload = self.start_upload(desc, from_path)
        if upload.state == uploads.DONE:
            return True
        with self.origin.request(
            "cancelling an upload",
            "DELETE",
            upload.location,
            scopes=self.scopes("pull", "push"),
            ok=range(200, 500),
            attempts=1,
        ):
            return False

    def start_upload(self, desc: Descriptor, mount_from: str = "") -> uploads.Upload:
        """Begin an upload, or have the blob taken over from another repository.

        Args:
            desc: The blob.
            mount_from: The other repository's path, ``""`` for none.

        Returns:
            The upload: ``DONE`` when the blob was mounted.
        """
        from scow.distribution import uploads

        session = self.origin
        path = spec.uploads_path(session.endpoint.path, mount=desc.digest if mount_from else "", source=mount_from)
        scopes = self.scopes("pull", "push")
        if mount_from:
            scopes = (*scopes, repository_scope(mount_from, "pull"))
        with session.request(f"pushing to {self.shown}", "POST", path, scopes=scopes, ok={201, 202}) as response:
            upload = uploads.started(response.status, response.url, response.headers)
        if upload is None:
            raise spec.BadAnswerError(f"pushing to {self.shown}: the registry did not say where to upload to")
        return upload

    # ------------------------------------------------------------------ lists

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order.

        Raises:
            RegistryNotFoundError: There is no such repository.
        """
        path = spec.tags_path(self.origin.endpoint.path, n=1000)
        for page in pages(self.origin, f"repository {self.shown}", path, self.scopes("pull")):
            yield from texts(page, "tags")

    def referrers(self, desc: Descriptor, artifact_type: str | None = None) -> Iterator[Descriptor]:
        """The manifests that point at ``desc``, by the referrers API or else by the fallback tag.

        Args:
            desc: The subject.
            artifact_type: Only these.
        """
        session = self.origin
        url: str | None = spec.referrers_path(session.endpoint.path, desc.digest, artifact_type or "")
        what = f"referrers of {desc.digest} in {self.shown}"
        seen: set[str] = set()
        left = _REFERRERS_LIMIT
        while url:
            if url in seen or len(seen) >= _MAX_PAGES:
                raise spec.BadAnswerError(f"{what}: the pages of the list do not end")
            seen.add(url)
            entries: Sequence[Descriptor] | None = None
            following = None
            try:
                response, raw = session.read(
                    what, url, MAX_MANIFEST_SIZE, scopes=self.scopes("pull"), headers={"Accept": OCI_INDEX_V1}
                )
            except (InvalidArgumentError, NotFoundError, UnsupportedError, RateLimitError, spec.BadAnswerError):
                pass  # no such page: registries say that in many ways, some by leading elsewhere
            else:
                left -= len(raw)
                if left < 0:
                    raise LimitError(f"{what}: the list has more than {_REFERRERS_LIMIT} bytes")
                if response.headers.get("content-type", "").partition(";")[0].strip() == OCI_INDEX_V1:
                    entries = decode_index(raw, OCI_INDEX_V1).value.manifests
                    following = spec.next_link(response.headers.get("link"), response.url)
            if entries is None:
                entries = self._fallback(desc.digest).manifests
            yield from (entry for entry in entries if not artifact_type or entry.artifact_type == artifact_type)
            url = following

    def _fallback(self, subject: Digest) -> Index:
        try:
            found = self.manifest(spec.referrers_tag(subject))
        except (InvalidArgumentError, NotFoundError):
            return Index(OCI_INDEX_V1, ())
        if found.descriptor.digest == subject or not is_index(found.descriptor.media_type):
            return Index(OCI_INDEX_V1, ())  # GitLab takes the tag for the digest and answers with the subject
        return decode_index(found.raw, OCI_INDEX_V1).value

    def _list_referrer(self, subject: Digest, desc: Descriptor, raw: bytes) -> None:
        """Do what a registry without the referrers API leaves to its clients."""
        from scow.oci.encode import encode_index
        from scow.record import replace

        document = loads(raw)
        config = document.get("config") if isinstance(document.get("config"), dict) else {}
        entry = replace(
            desc,
            artifact_type=document.get("artifactType") or config.get("mediaType"),
            annotations=document.get("annotations") or {},
        )
        index = self._fallback(subject)
        if any(known.digest == desc.digest for known in index.manifests):
            return
        merged = encode_index(Index(OCI_INDEX_V1, (*index.manifests, entry)))
        self.push_manifest(merged.descriptor, merged.raw, spec.referrers_tag(subject))

    def _note(self, response: Response) -> None:
        for text in spec.warnings(response.pairs):
            if text not in self.warnings:
                self.warnings.append(text)


_REFUSED = frozenset({400, 403, 409, 412})
"""How registries refuse to move a tag: ECR, proxies and Artifactory, others, Harbor."""
_TAMPERED = "The registry or something between is faulty or dishonest; nothing was stored."


def pages(session: Session, what: str, path: str, scopes: Sequence[Scope]) -> Iterator[dict[str, Any]]:
    """The pages of a list, following ``Link`` headers.

    Raises:
        BadAnswerError: A page is not a JSON object, or the pages go round in a circle.
    """
    url: str | None = path
    seen: set[str] = set()
    while url:
        if url in seen or len(seen) >= _MAX_PAGES:
            raise spec.BadAnswerError(f"{what}: the pages of the list do not end")
        seen.add(url)
        response, raw = session.read(what, url, _PAGE_LIMIT, scopes=scopes)
        url = spec.next_link(response.headers.get("link"), response.url)
        try:
            page = loads(raw)
        except (ValueError, RecursionError) as error:
            raise spec.BadAnswerError(f"{what}: the registry's answer is not JSON") from error
        if not isinstance(page, dict):
            raise spec.BadAnswerError(f"{what}: the registry's answer is not a JSON object")
        yield page


def texts(page: dict[str, Any], name: str) -> list[str]:
    """The texts of a list in a page; none where there is no list."""
    found = page.get(name)
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def _digest_of(raw: bytes, algorithm: str) -> Digest:
    import hashlib

    if algorithm not in {"sha256", "sha384", "sha512"}:
        algorithm = "sha256"
    return Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")


def _media_type(raw: bytes) -> str:
    try:
        document = loads(raw)
    except (ValueError, RecursionError):
        return ""
    value = document.get("mediaType") if isinstance(document, dict) else None
    if isinstance(value, str):
        return value
    if isinstance(document, dict) and "manifests" in document:
        return OCI_INDEX_V1
    return ""


def _subject(raw: bytes) -> Digest | None:
    try:
        return Digest(loads(raw)["subject"]["digest"])
    except (ValueError, KeyError, TypeError, ScowError):
        return None
