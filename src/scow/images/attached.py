# SPDX-License-Identifier: Apache-2.0
"""What is kept beside images: signatures and attestations that refer to them, and documents in their index.

They are blobs like others, linked to the image that they came with, so they go when it goes. A copy out of the store
takes them along.
"""

from __future__ import annotations

from scow.base.streams import VerifiedReader, copy_stream
from scow.distribution.blobs import download
from scow.distribution.repository import Repository
from scow.errors import NotFoundError, ScowError
from scow.images.copying import Tree
from scow.oci.decode import decode_index, decode_manifest
from scow.oci.digest import Digest
from scow.oci.mediatype import is_foreign, is_index
from scow.oci.model import Descriptor
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from scow.base.leases import Lease, Leases
    from scow.content.local import LocalContentStore
    from scow.content.target import Source
    from scow.oci.digest import ImageID

SCHEMA = """
CREATE TABLE referrers (
  subject TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (subject, digest)
) WITHOUT ROWID;
"""


class Attached:
    """The store as a source of copies: manifests, indexes, blobs, and what refers to them.

    Args:
        content: The store's blobs.
        leases: Its references.
    """

    def __init__(self, content: LocalContentStore, leases: Leases) -> None:
        self._content = content
        self._leases = leases
        self._db = leases.db
        self._db.ensure("attached", 1, SCHEMA)

    # ------------------------------------------------------------------ content.target.Source

    def resolve(self, name: str) -> Descriptor:
        """Describe a manifest or an index.

        Args:
            name: Its digest.

        Raises:
            NotFoundError: It is not here.
            CorruptError: It is neither.
        """
        raw = self._content.read(Digest(name))
        try:
            return decode_index(raw).descriptor
        except ScowError:
            return decode_manifest(raw).descriptor

    def fetch(self, desc: Descriptor, *, offset: int = 0) -> BinaryIO:
        """Open content.

        Raises:
            NotFoundError: It is not here.
        """
        stream = self._content.open(desc)
        stream.seek(offset)
        return stream

    def referrers(self, desc: Descriptor, artifact_type: str | None = None) -> Iterator[Descriptor]:
        """List the manifests kept here whose subject is ``desc``."""
        sql = "SELECT media_type, digest, size FROM referrers WHERE subject = ? ORDER BY digest"
        with self._db.read() as connection:
            rows = connection.execute(sql, (desc.digest,)).fetchall()
        for media_type, digest, size in rows:
            found = Descriptor(media_type, Digest(digest), size)
            if found.digest in self._content and (artifact_type is None or self._kind(found) == artifact_type):
                yield found

    def _kind(self, desc: Descriptor) -> str | None:
        raw = self._content.read(desc)
        if is_index(desc.media_type):
            return decode_index(raw).value.artifact_type
        manifest = decode_manifest(raw).value
        return manifest.artifact_type or manifest.config.media_type

    # ------------------------------------------------------------------ asking

    def parts(self, top: Descriptor) -> Sequence[Descriptor]:
        """A manifest or index, and what stands in it."""
        if not is_index(top.media_type):
            return (top,)
        return (top, *decode_index(self._content.read(top), top.media_type).value.manifests)

    def is_whole(self, desc: Descriptor) -> bool:
        """Whether a manifest or index is here with everything below it."""
        tree = Tree(self, referrers=False)
        try:
            tree.walk(desc, 0)
        except NotFoundError:
            return False
        return all(blob.digest in self._content or is_foreign(blob) for blob in tree.blobs.values())

    # ------------------------------------------------------------------ keeping

    def take(self, source: Source, found: Iterable[Descriptor], image: ImageID, *, referrers: bool) -> None:
        """Keep manifests and what they need.

        Args:
            source: Where they are.
            found: The manifests.
            image: The image they belong to.
            referrers: Keep what refers to them, too.

        Raises:
            ScowError: Something is missing or wrong; nothing was entered.
        """
        tree = Tree(source, referrers=referrers)
        for desc in found:
            tree.walk(desc, 0)
        if not tree.manifests:
            return
        owner = f"image:{image}"
        with self._leases.hold("attach") as lease:
            for blob in tree.blobs.values():
                if not is_foreign(blob) and not self._content.hold(blob.digest, lease):
                    self._bring(source, blob, lease)
            self._content.put_many(list(tree.raws.values()), lease)
            with self._db.write() as connection:
                connection.execute("DELETE FROM referrers WHERE digest NOT IN (SELECT digest FROM blobs)")
                for desc in tree.manifests.values():
                    subject = _subject(tree.raws[desc.digest], desc)
                    if subject is not None:
                        row = (subject, desc.digest, desc.media_type, desc.size)
                        connection.execute("INSERT OR REPLACE INTO referrers VALUES (?, ?, ?, ?)", row)
                for digest in {*tree.blobs, *tree.manifests}:
                    if Digest(digest) in self._content:
                        self._leases.link(owner, "blob", digest)

    def _bring(self, source: Source, desc: Descriptor, lease: Lease) -> None:
        with self._content.ingest(desc.digest, desc.digest.algorithm) as ingest:
            if isinstance(source, Repository):
                download(source, desc, ingest, report=lambda _: None)
            else:
                ingest.rewind()
                with source.fetch(desc) as stream:
                    copy_stream(VerifiedReader(stream, desc.digest, desc.size), ingest)
            ingest.commit(desc.digest, desc.size, lease=lease)


def _subject(raw: bytes, desc: Descriptor) -> Digest | None:
    value = decode_index(raw).value if is_index(desc.media_type) else decode_manifest(raw).value
    return value.subject.digest if value.subject is not None else None
