# SPDX-License-Identifier: Apache-2.0
"""Uploading blobs: never twice, mounted when possible, resumed where they broke off, also after a kill.

An upload's address is remembered (:class:`UploadMemory`) before its first byte is sent, so that the next process can
ask the registry how far it came.
"""

from __future__ import annotations

from scow.distribution import spec, uploads
from scow.distribution.session import AGAIN
from scow.distribution.wire import Body, ConnectionLostError
from scow.errors import DeniedError, NotFoundError, ScowError, UnauthenticatedError
from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from scow.distribution.repository import Repository
    from scow.distribution.session import Session
    from scow.oci.model import Descriptor

EXISTS, MOUNTED, PUSHED = "exists", "mounted", "pushed"
_WHOLE = 0
_CHUNKS = (_WHOLE, 16 << 20, 4 << 20, 1 << 20)
"""Bytes of one request, tried in turn: proxies take 100 MB and less, and ghcr.io no more than 4 MiB of a chunk.

Source: ocx-sh/ocx#237, podman#24919 (issues on GitHub).
"""
_TOO_MUCH = frozenset({404, 405, 411, 413, 416, 501})


class UploadMemory(Protocol):
    """Remembers unfinished uploads across processes."""

    def recall(self, repository: str, digest: str) -> str:
        """The address of an unfinished upload, or ``""``."""

    def remember(self, repository: str, digest: str, location: str) -> None:
        """Keep an upload's address."""

    def forget(self, repository: str, digest: str) -> None:
        """The upload is over."""


class _Nothing:
    def recall(self, _repository: str, _digest: str) -> str:
        return ""

    def remember(self, repository: str, digest: str, location: str) -> None:
        del repository, digest, location

    def forget(self, repository: str, digest: str) -> None:
        del repository, digest


class _Part:
    """A slice of a blob that tells how far it has been read."""

    def __init__(self, source: BinaryIO, start: int, length: int, report: Callable[[int], None]) -> None:
        self._source = source
        self._at = start
        self._left = length
        self._report = report

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        self._at += len(data)
        self._left -= len(data)
        self._report(self._at)
        return data

    def close(self) -> None:
        self._source.close()


def push_blob(
    repository: Repository,
    desc: Descriptor,
    opened: Callable[[int], BinaryIO],
    *,
    mounts: Iterable[str] = (),
    memory: UploadMemory | None = None,
    report: Callable[[int], None] = lambda _sent: None,
    check_exists: bool = True,
) -> str:
    """Make sure the registry has a blob.

    Args:
        repository: Where to.
        desc: The blob.
        opened: Opens the blob at an offset; called again after every interruption.
        mounts: Paths of repositories of the same registry that may have it.
        memory: Where unfinished uploads are remembered.
        report: Told how many bytes have been sent.
        check_exists: Ask first whether it is there.

    Returns:
        ``exists``, ``mounted`` or ``pushed``.

    Raises:
        ScowError: The registry refuses it, or cannot be reached.
    """
    if check_exists and repository.exists(desc):
        return EXISTS
    kept = memory or _Nothing()
    place = f"{repository.origin.endpoint.host}/{repository.origin.endpoint.path}"
    upload = _resume(repository, kept.recall(place, desc.digest))
    if upload is None:
        upload = _start(repository, desc, mounts)
        if upload.state == uploads.DONE:
            return MOUNTED
    patience = _Patience(repository.origin, upload.offset)

    def moved(now: uploads.Upload) -> None:
        kept.remember(place, desc.digest, now.location)

    while True:
        moved(upload)
        try:
            if _send(repository, desc, upload, opened, report, patience.chunk, moved):
                kept.forget(place, desc.digest)
                return PUSHED
        except ConnectionLostError as error:
            patience.lost(error)
        except ScowError as error:
            if not patience.refused(error):
                kept.forget(place, desc.digest)
                raise
        location = "" if patience.anew else upload.location
        upload = _resume(repository, location) or _start(repository, desc, ())
        patience.reached(upload.offset)


class _Patience:
    """What to try next when an upload does not come through.

    Args:
        session: The way to the registry.
        offset: Bytes it has.

    Attributes:
        chunk: Bytes of one request, ``_WHOLE`` for all.
        anew: Begin another upload instead of going on with the old one.
    """

    def __init__(self, session: Session, offset: int) -> None:
        self._session = session
        self._fails = 0
        self._offset = offset
        self._smaller = iter(_CHUNKS)
        self._missing = False
        self.chunk = next(self._smaller)
        self.anew = False

    def reached(self, offset: int) -> None:
        """Being further than before makes up for what went wrong."""
        if offset > self._offset:
            self._fails, self._offset = 0, offset

    def lost(self, error: ConnectionLostError) -> None:
        """The connection broke: wait, or raise the error when it did so too often."""
        session = self._session
        session.stopper.check()
        self._fails += 1
        self.anew = False
        if error.refused or self._fails >= session.retry.attempts:
            raise error
        session.stopper.wait(session.retry.delay(self._fails) if self._fails > 1 else 0.05)

    def refused(self, error: ScowError) -> bool:
        """The registry refused: find another way, wait, or raise the error when waiting did not help.

        Returns:
            False when there is no other way.
        """
        status = getattr(error, "status", 0)
        self.anew = False
        if status in AGAIN:
            session = self._session
            self._fails += 1
            pause = getattr(error, "retry_after", None) or session.retry.delay(self._fails)
            if self._fails >= session.retry.attempts or pause > session.retry.patience:
                raise error
            session.stopper.wait(pause)
            return True
        if status not in _TOO_MUCH:
            return False
        if status == 404 and not self._missing:
            self._missing = True  # the registry has forgotten the upload
            return True
        # a limit on the size of one request, or a server that wants pieces: Artifactory says 404 to that, too
        self.chunk = next(self._smaller, _WHOLE)
        self.anew = True
        return self.chunk != _WHOLE


def _start(repository: Repository, desc: Descriptor, mounts: Iterable[str]) -> uploads.Upload:
    upload = None
    for path in list(mounts)[:3]:
        if upload is not None:
            _cancel(repository, upload)
        try:
            upload = repository.start_upload(desc, path)
        except ScowError as error:
            # the registry, or its token server, may refuse the right to read the other repository
            refused = isinstance(error, (UnauthenticatedError, DeniedError))
            if not refused and getattr(error, "status", 0) not in {400, 404, 405, 500}:
                raise
            upload = None
            continue
        if upload.state == uploads.DONE:
            return upload
    return upload or repository.start_upload(desc)


def _cancel(repository: Repository, upload: uploads.Upload) -> None:
    scopes = repository.scopes("pull", "push")
    try:
        with repository.origin.request(
            "cancelling an upload", "DELETE", upload.location, scopes=scopes, ok=range(200, 500), attempts=1
        ):
            return
    except ScowError:
        return


def _resume(repository: Repository, location: str) -> uploads.Upload | None:
    """Ask how far an upload came; ``None`` when it is gone or the registry cannot tell."""
    if not location:
        return None
    session = repository.origin
    try:
        with session.request(
            f"resuming a push to {repository.shown}",
            "GET",
            location,
            scopes=repository.scopes("pull", "push"),
            ok={200, 202, 204},
            attempts=2,
        ) as response:
            known = uploads.Upload(uploads.OPEN, location)
            if spec.uploaded(response.headers.get("range")) is None:
                return None
            return uploads.advanced(known, "GET", response.status, response.headers)
    except ConnectionLostError:
        raise
    except ScowError:
        return None


def _send(
    repository: Repository,
    desc: Descriptor,
    upload: uploads.Upload,
    opened: Callable[[int], BinaryIO],
    report: Callable[[int], None],
    chunk: int,
    moved: Callable[[uploads.Upload], None],
) -> bool:
    """Send what is missing and close the upload."""
    if upload.offset > desc.size:
        raise NotFoundError("the upload holds more than the blob")
    if upload.offset == 0 and chunk == _WHOLE:
        return _close(repository, desc, upload, _body(opened, 0, desc.size, report))
    while upload.offset < desc.size:
        left = desc.size - upload.offset
        length = left if chunk == _WHOLE else min(left, max(chunk, upload.chunk_min))
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": uploads.chunk_range(upload.offset, length),
        }
        with repository.origin.request(
            f"pushing {desc.digest} to {repository.shown}",
            "PATCH",
            upload.location,
            scopes=repository.scopes("pull", "push"),
            headers=headers,
            body=_body(opened, upload.offset, length, report),
            ok={201, 202, 204},
            attempts=1,
        ) as response:
            after = uploads.advanced(upload, "PATCH", response.status, response.headers, length)
        if after is None:
            raise spec.BadAnswerError(f"pushing {desc.digest}: the registry takes no more bytes")
        if after.offset <= upload.offset:
            # ECR tells an old range of every chunk but the first; whether it has the bytes, their digest will show
            after = after._replace(offset=upload.offset + length)
        upload = after
        moved(upload)
    return _close(repository, desc, upload, None)


def _close(repository: Repository, desc: Descriptor, upload: uploads.Upload, body: Body | None) -> bool:
    with repository.origin.request(
        f"pushing {desc.digest} to {repository.shown}",
        "PUT",
        uploads.closing_url(upload, desc.digest),
        scopes=repository.scopes("pull", "push"),
        headers={"Content-Type": "application/octet-stream"},
        body=body,
        ok={200, 201, 202, 204},
        attempts=1,
    ) as response:
        told = response.headers.get(spec.H_DIGEST.lower(), "")
    if told and told != desc.digest and told.partition(":")[0] == desc.digest.algorithm:
        raise spec.BadAnswerError(f"pushing {desc.digest}: the registry stored {told[:80]}")
    return True


def _body(opened: Callable[[int], BinaryIO], start: int, length: int, report: Callable[[int], None]) -> Body:
    return Body(lambda: _Part(opened(start), start, length, report), length)
