# SPDX-License-Identifier: Apache-2.0
"""An OCI image layout directory as a place to copy from and to.

::

    <path>/
    ├── oci-layout               {"imageLayoutVersion":"1.0.0"}
    ├── index.json               what has a name
    └── blobs/<algorithm>/<hex>

Blobs appear whole (written aside, verified, renamed); ``index.json`` is replaced at once, under a lock, so that several
processes may push into one layout.

Source: OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

import os

from scow.base.files import atomic_write, make_dir, storage_error
from scow.base.locks import FileLock
from scow.base.streams import VerifiedReader, copy_stream
from scow.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from scow.oci import layout
from scow.oci.decode import MAX_MANIFEST_SIZE, decode_index, decode_json, decode_manifest
from scow.oci.digest import Digest, InvalidDigestError
from scow.oci.encode import encode_index
from scow.oci.mediatype import OCI_INDEX_V1, is_index
from scow.oci.model import Index
from scow.record import replace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from scow.oci.model import Descriptor

_LOCK_SECONDS = 30.0
_LOCK = ".lock"


class LayoutDirectory:
    """One layout; see ``content.target.Target`` for the contract.

    Args:
        path: The directory.
        create: Make it a layout when it is none yet.

    Raises:
        NotFoundError: It is no layout, and ``create`` is not set.
        InvalidArgumentError: It is a directory with other things in it.
        UnsupportedError: It has a version this scow does not know.
    """

    def __init__(self, path: str, *, create: bool = False) -> None:
        self.path = path
        marker = os.path.join(path, layout.LAYOUT_FILE)
        if not os.path.exists(marker):
            if not create:
                raise NotFoundError(f"{path!r} is not an OCI image layout")
            self._make(marker)
        with open(marker, "rb") as file:
            version = decode_json(file.read(4097), layout.LAYOUT_FILE, 4096).get("imageLayoutVersion")
        if version != layout.LAYOUT_VERSION:
            raise UnsupportedError(f"{path!r} is an image layout of version {version!r}, which is not known")

    def _make(self, marker: str) -> None:
        """Make the directory a layout; another process may be at it, or have been killed at it."""
        names = os.listdir(self.path) if os.path.isdir(self.path) else []
        if names and (_LOCK not in names or not all(map(_is_own, names))):
            raise InvalidArgumentError(f"{self.path!r} is not empty and not an OCI image layout")
        make_dir(self.path, 0o755)
        with self._lock():
            if os.path.exists(marker):
                return
            make_dir(os.path.join(self.path, layout.BLOBS_DIRECTORY), 0o755)
            if not os.path.exists(os.path.join(self.path, layout.INDEX_FILE)):
                self._write(Index(OCI_INDEX_V1, ()))
            atomic_write(marker, layout.LAYOUT_CONTENT)

    def _lock(self) -> AbstractContextManager[None]:
        return FileLock(os.path.join(self.path, _LOCK)).exclusive(_LOCK_SECONDS)

    def index(self) -> Index:
        """Read ``index.json``.

        Raises:
            CorruptError: It is damaged.
        """
        try:
            with open(os.path.join(self.path, layout.INDEX_FILE), "rb") as file:
                raw = file.read(MAX_MANIFEST_SIZE + 1)
        except FileNotFoundError:
            raise NotFoundError(f"{self.path!r} has no index.json") from None
        return decode_index(raw).value

    def _write(self, index: Index) -> None:
        atomic_write(os.path.join(self.path, layout.INDEX_FILE), encode_index(index).raw)

    def _blob(self, digest: Digest) -> str:
        return os.path.join(self.path, layout.blob_path(digest))

    def resolve(self, name: str) -> Descriptor:
        """Find what a name, a tag or a digest means in the layout.

        Args:
            name: As in the annotation ``org.opencontainers.image.ref.name``, or containerd's full name, or a digest;
                ``""`` for the only entry.

        Raises:
            NotFoundError: The name is unknown, or ``""`` is not clear.
        """
        entries = self.index().manifests
        if not name:
            if len({entry.digest for entry in entries}) != 1:
                raise NotFoundError(f"{self.path!r} has {len(entries)} entries, name one")
            return entries[0]
        for entry in entries:
            if name in (entry.annotations.get(layout.REF_NAME), entry.annotations.get(layout.CONTAINERD_IMAGE_NAME)):
                return entry
        try:
            digest = Digest(name)
        except InvalidDigestError:
            digest = None
        for entry in entries:
            if entry.digest == digest:
                return entry
        raise NotFoundError(f"{self.path!r} has no image {name!r}")

    def fetch(self, desc: Descriptor, *, offset: int = 0) -> BinaryIO:
        """Open content; the caller closes and verifies it.

        Raises:
            NotFoundError: It is not here.
        """
        try:
            file = open(self._blob(desc.digest), "rb", buffering=0)  # noqa: SIM115 - the caller closes it
        except FileNotFoundError:
            raise NotFoundError(f"{self.path!r} has no blob {desc.digest}") from None
        file.seek(offset)
        return file

    def exists(self, desc: Descriptor) -> bool:
        """Whether the content is here already."""
        return os.path.exists(self._blob(desc.digest))

    def push(self, desc: Descriptor, content: BinaryIO) -> None:
        """Store content, verified.

        Raises:
            BlobMismatchError: The bytes are not those of the descriptor.
            NoSpaceError: The disk is full.
        """
        final = self._blob(desc.digest)
        if os.path.exists(final):
            return
        make_dir(os.path.dirname(final), 0o755)
        temporary = f"{final}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        try:
            with open(temporary, "xb", buffering=0) as file:
                copy_stream(VerifiedReader(content, desc.digest, desc.size), file)
                os.fsync(file.fileno())
            os.rename(temporary, final)
        except OSError as error:
            raise storage_error(error, final) from error
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def aside(self) -> str:
        """A path, of no file yet, at which a blob can be written before its digest is known."""
        folder = os.path.join(self.path, layout.BLOBS_DIRECTORY)
        return os.path.join(folder, f"{os.getpid()}.{os.urandom(4).hex()}.tmp")

    def adopt(self, path: str, digest: Digest) -> None:
        """Take a file that was written at :meth:`aside` as a blob.

        Args:
            path: The file, whole and verified.
            digest: Its digest.

        Raises:
            NoSpaceError: The disk is full.
        """
        final = self._blob(digest)
        try:
            make_dir(os.path.dirname(final), 0o755)
            os.rename(path, final)
        except OSError as error:
            raise storage_error(error, final) from error

    def tag(self, desc: Descriptor, name: str) -> None:
        """Give stored content a name; a name that was taken moves.

        Args:
            desc: The content.
            name: The name, or ``""`` to enter it without one.

        Raises:
            NotFoundError: The content is not here.
        """
        if not self.exists(desc):
            raise NotFoundError(f"{self.path!r} has no blob {desc.digest}")
        notes = {key: value for key, value in desc.annotations.items() if key != layout.REF_NAME}
        entry = replace(desc, annotations={**notes, layout.REF_NAME: name} if name else notes)
        with self._lock():
            index = self.index()
            kept = tuple(
                other
                for other in index.manifests
                if (other.annotations.get(layout.REF_NAME) != name if name else other.digest != desc.digest)
            )
            self._write(replace(index, manifests=(*kept, entry)))

    def referrers(self, desc: Descriptor, artifact_type: str | None = None) -> Iterator[Descriptor]:
        """List the manifests in ``index.json`` whose subject is ``desc``; see ``content.target.ReferrerSource``."""
        for entry in self.index().manifests:
            with self.fetch(entry) as file:
                raw = file.read(MAX_MANIFEST_SIZE + 1)
            value = decode_index(raw).value if is_index(entry.media_type) else decode_manifest(raw).value
            kind = value.artifact_type or getattr(getattr(value, "config", None), "media_type", None)
            if value.subject is not None and value.subject.digest == desc.digest and artifact_type in {None, kind}:
                yield entry


def _is_own(name: str) -> bool:
    """Whether a name in a directory is one that making it a layout leaves there."""
    if name.endswith(".tmp"):
        name = name.rsplit(".", 3)[0]
    return name in {_LOCK, layout.BLOBS_DIRECTORY, layout.INDEX_FILE, layout.LAYOUT_FILE}
