# SPDX-License-Identifier: Apache-2.0
"""The images of the local store: records, names, repo digests, sizes.

An image is known by the digest of its config (docker's image ID). It stays until it is removed, named or not; an
image without a name is *dangling*. Names point to images and move; a name may stand for more, an index of images for
several platforms that are all here (its *whole*). Repo digests remember under which manifest digest a repository has
the image. Sizes are counters kept up to date with every change: how much data each chain of layers adds, and how many
images use it.

A record holds what starting a container needs, so that ``run`` reads one row and no blob.
"""

from __future__ import annotations

import time

from scow import jsontext
from scow.errors import ConflictError, NotFoundError
from scow.oci.digest import ChainID, Digest, ImageID
from scow.oci.reference import InvalidReferenceError, Reference
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.content.store import ContentStore
    from scow.oci.model import Descriptor, Document, ImageConfig, Manifest

SCHEMA = """
CREATE TABLE images (
  id TEXT PRIMARY KEY, manifest TEXT NOT NULL, media_type TEXT NOT NULL, created REAL NOT NULL, size INTEGER NOT NULL,
  chain TEXT NOT NULL, os TEXT NOT NULL, architecture TEXT NOT NULL, variant TEXT NOT NULL, labels TEXT NOT NULL,
  parent TEXT NOT NULL, added REAL NOT NULL, run TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, image TEXT NOT NULL, updated REAL NOT NULL, whole TEXT NOT NULL)
  WITHOUT ROWID;
CREATE INDEX names_by_image ON names (image);
CREATE TABLE repo_digests (
  repository TEXT NOT NULL, digest TEXT NOT NULL, image TEXT NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX repo_digests_by_image ON repo_digests (image);
CREATE TABLE chains (chain TEXT PRIMARY KEY, size INTEGER NOT NULL, refs INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_chains (
  image TEXT NOT NULL, position INTEGER NOT NULL, chain TEXT NOT NULL, PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_chains_by_chain ON image_chains (chain);
"""
_SELECT = """SELECT id, manifest, media_type, created, size, chain, os, architecture, variant, labels, parent, added
FROM images """
_SUM_UP = """UPDATE images SET size = (
  SELECT COALESCE(SUM(chains.size), 0) FROM image_chains JOIN chains USING (chain) WHERE image = images.id
) """
_USERS_OF_CHAIN = "WHERE id IN (SELECT image FROM image_chains WHERE chain = ?)"
_HEX = frozenset("0123456789abcdef")


class ImageNotFoundError(NotFoundError):
    """No image has this name, digest or id."""

    code = "image-not-found"


class ImageInUseError(ConflictError):
    """A container, a name or another image needs the image."""

    code = "image-in-use"


class ImageRecord(NamedTuple):
    """One image.

    Args:
        id: The digest of its config.
        manifest: The digest of its manifest.
        media_type: The manifest's media type.
        created: When it was made, seconds since the epoch; 0 when it does not say.
        size: Bytes of file data in all its layers.
        chain: Its layers, stacked; ``None`` when it has none.
        os: Such as ``linux``.
        architecture: Such as ``amd64``.
        variant: Such as ``v8``, or ``""``.
        labels: Its labels as JSON.
        parent: The local image it was made on, or ``None``.
        added: When it came into the store or was last tagged, seconds since the epoch.
    """

    id: ImageID
    manifest: Digest
    media_type: str
    created: float
    size: int
    chain: ChainID | None
    os: str
    architecture: str
    variant: str
    labels: str
    parent: ImageID | None
    added: float


def _record(row: tuple[Any, ...]) -> ImageRecord:
    record = ImageRecord._make(row)
    return record._replace(
        id=ImageID(Digest(record.id)),
        manifest=Digest(record.manifest),
        chain=ChainID(Digest(record.chain)) if record.chain else None,
        parent=ImageID(Digest(record.parent)) if record.parent else None,
    )


class ImageStore:
    """Images, names and sizes; safe for any number of threads and processes.

    Args:
        db: The store's database.
        content: Its blobs.
        leases: Its references.
    """

    def __init__(self, db: Database, content: ContentStore, leases: Leases) -> None:
        self.db = db
        self.content = content
        self.leases = leases
        db.ensure("images", 2, SCHEMA)

    # ------------------------------------------------------------------ finding

    def resolve(self, text: str) -> ImageRecord:
        """Find the image a user means.

        Args:
            text: A name (``latest`` is implied), ``name@digest``, an ID with or without ``sha256:``, or the begin of
                an ID.

        Raises:
            ImageNotFoundError: Nothing matches, or the begin of an ID matches several.
            InvalidReferenceError: It cannot mean an image.
            ReservedNameError: It is ``scratch``.
        """
        found = self._by_id(text)
        if found is not None:
            return found
        shown = text
        if not (text.startswith("sha256:") or (len(text) == 64 and _HEX.issuperset(text))):
            ref = Reference.parse(text).with_default_tag()
            shown = ref.familiar
            found = self._by_name(ref)
        elif text.startswith("sha256:") and not _HEX.issuperset(text[7:]):
            raise InvalidReferenceError("invalid reference format", hint=f"The name was {text[:200]!r}.")
        if found is None:
            found = self._by_prefix(text)
        if found is None:
            raise ImageNotFoundError(f"No such image: {shown}")
        return found

    def _by_id(self, text: str) -> ImageRecord | None:
        identity = text if text.startswith("sha256:") else f"sha256:{text}"
        return self._one("id = ?", identity) if len(identity) == 71 else None

    def _by_name(self, ref: Reference) -> ImageRecord | None:
        if ref.digest:
            where = "id = (SELECT image FROM repo_digests WHERE repository = ? AND digest = ?)"
            return self._one(where, ref.repository, ref.digest)
        return self._one("id = (SELECT image FROM names WHERE name = ?)", ref.canonical)

    def _by_prefix(self, text: str) -> ImageRecord | None:
        prefix = text.removeprefix("sha256:")
        if not prefix or len(prefix) > 64 or not _HEX.issuperset(prefix):
            return None
        with self.db.read() as connection:
            sql = _SELECT + "WHERE id >= ? AND id < ? LIMIT 2"
            rows = connection.execute(sql, (f"sha256:{prefix}", f"sha256:{prefix}g")).fetchall()
        return _record(rows[0]) if len(rows) == 1 else None

    def _one(self, where: str, *values: str) -> ImageRecord | None:
        with self.db.read() as connection:
            row = connection.execute(_SELECT + "WHERE " + where, values).fetchone()
        return _record(row) if row else None

    def get(self, identity: ImageID) -> ImageRecord:
        """Find an image by its whole ID.

        Raises:
            ImageNotFoundError: There is none.
        """
        found = self._one("id = ?", identity)
        if found is None:
            raise ImageNotFoundError(f"No such image: {identity}")
        return found

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, str) and self._one("id = ?", identity) is not None

    def __iter__(self) -> Iterator[ImageRecord]:
        """All images, the newest first."""
        with self.db.read() as connection:
            rows = connection.execute(_SELECT + "ORDER BY created DESC, added DESC, id").fetchall()
        return iter([_record(row) for row in rows])

    def __len__(self) -> int:
        with self.db.read() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM images").fetchone()[0])

    # ------------------------------------------------------------------ what an image is

    def run_config(self, identity: ImageID) -> dict[str, Any]:
        """Give the ``config`` member of an image's configuration as it stands there, without reading a blob.

        Args:
            identity: The image.

        Returns:
            ``Cmd``, ``Entrypoint``, ``Env`` and so on; ``{}`` when the image sets nothing.

        Raises:
            ImageNotFoundError: There is none.
        """
        with self.db.read() as connection:
            row = connection.execute("SELECT run FROM images WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise ImageNotFoundError(f"No such image: {identity}")
        return cast("dict[str, Any]", jsontext.loads(row[0]))

    def config(self, identity: ImageID) -> Document[ImageConfig]:
        """Read and verify an image's configuration.

        Raises:
            BlobNotFoundError: The store has lost it.
            CorruptError: It is damaged.
        """
        from scow.oci.decode import decode_config

        return decode_config(self.content.read(identity))

    def manifest(self, identity: ImageID) -> Document[Manifest]:
        """Read and verify an image's manifest.

        Raises:
            ImageNotFoundError: There is no such image.
            CorruptError: It is damaged.
        """
        from scow.oci.decode import decode_manifest

        record = self.get(identity)
        return decode_manifest(self.content.read(record.manifest), record.media_type)

    def owner_of(self, ref: Reference) -> ImageID | None:
        """Say which image has a tag."""
        name = ref.with_default_tag().canonical
        with self.db.read() as connection:
            row = connection.execute("SELECT image FROM names WHERE name = ?", (name,)).fetchone()
        return ImageID(Digest(row[0])) if row else None

    def names(self, identity: ImageID) -> list[Reference]:
        """List the tags of an image, sorted."""
        with self.db.read() as connection:
            rows = connection.execute("SELECT name FROM names WHERE image = ? ORDER BY name", (identity,)).fetchall()
        return [_stored_reference(name) for (name,) in rows]

    def digests(self, identity: ImageID) -> list[Reference]:
        """List the repo digests of an image, sorted."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT repository || '@' || digest FROM repo_digests WHERE image = ? ORDER BY 1", (identity,)
            ).fetchall()
        return [_stored_reference(name) for (name,) in rows]

    def all_names(self) -> dict[ImageID, list[Reference]]:
        """Read the tags of all images at once."""
        with self.db.read() as connection:
            return _grouped(connection.execute("SELECT image, name FROM names ORDER BY name").fetchall())

    def all_digests(self) -> dict[ImageID, list[Reference]]:
        """Read the repo digests of all images at once."""
        sql = "SELECT image, repository || '@' || digest FROM repo_digests ORDER BY 2"
        with self.db.read() as connection:
            return _grouped(connection.execute(sql).fetchall())

    def children(self, identity: ImageID) -> list[ImageID]:
        """List the images made directly on one, sorted."""
        with self.db.read() as connection:
            rows = connection.execute("SELECT id FROM images WHERE parent = ? ORDER BY id", (identity,)).fetchall()
        return [ImageID(Digest(row[0])) for row in rows]

    def layer_sizes(self, identity: ImageID) -> list[tuple[ChainID, int]]:
        """List the chains of an image, lowest first, with the bytes of file data each adds."""
        sql = "SELECT chain, size FROM image_chains JOIN chains USING (chain) WHERE image = ? ORDER BY position"
        with self.db.read() as connection:
            return [(ChainID(Digest(row[0])), row[1]) for row in connection.execute(sql, (identity,)).fetchall()]

    def shared_sizes(self) -> dict[ImageID, int]:
        """Say of each image how many bytes of it other images use too."""
        sql = """SELECT image, SUM(CASE WHEN refs > 1 THEN size ELSE 0 END)
                 FROM image_chains JOIN chains USING (chain) GROUP BY image"""
        with self.db.read() as connection:
            return {ImageID(Digest(row[0])): row[1] for row in connection.execute(sql).fetchall()}

    def total_size(self) -> int:
        """Count the bytes of file data of all images, shared layers once."""
        with self.db.read() as connection:
            return int(connection.execute("SELECT COALESCE(SUM(size), 0) FROM chains").fetchone()[0])

    # ------------------------------------------------------------------ changing

    def add(
        self,
        manifest: Descriptor,
        lease: Lease | None,
        names: Iterable[Reference] = (),
        repo_digests: Iterable[Reference] = (),
        *,
        keep: Iterable[Digest] = (),
        sizes: Mapping[ChainID, int] | None = None,
        parent: ImageID | None = None,
    ) -> ImageRecord:
        """Enter an image whose manifest, config and layers are in the store, held by ``lease``.

        Entering an image again adds names and repo digests; the record stays.

        Args:
            manifest: Its manifest.
            lease: What holds the blobs until now; they are linked to the image in the same transaction.
            names: Tags for it; a tag that another image has moves.
            repo_digests: ``repository@digest`` under which registries know it.
            keep: More blobs to keep with it, such as the index it came in.
            sizes: Bytes of file data of its chains, as far as they are known.
            parent: The local image it was made on.

        Returns:
            The record.

        Raises:
            BlobNotFoundError: Manifest or config are not in the store.
            CorruptError: They do not fit each other.
        """
        from scow.images.records import describe

        repo_digests = tuple(repo_digests)
        row, chains, blobs = describe(self.content, manifest, parent)
        identity = ImageID(Digest(row[0]))
        with self.db.write() as connection:
            if lease is not None:
                lease.add("image", identity)
            if connection.execute("SELECT 1 FROM images WHERE id = ?", (identity,)).fetchone() is None:
                connection.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                self._enter_chains(identity, chains, sizes or {})
            else:
                self._refresh(identity, manifest, sizes or {}, known=bool(repo_digests))
            owner = f"image:{identity}"
            for digest in (*blobs, *keep):
                self.leases.link(owner, "blob", digest)
            if chains:
                self.leases.link(owner, "snapshot", chains[-1][0])
            for ref in names:
                self.tag(ref, identity)
            for ref in repo_digests:
                self.add_digest(ref, identity)
            return self.get(identity)

    def _refresh(self, identity: ImageID, manifest: Descriptor, sizes: Mapping[ChainID, int], *, known: bool) -> None:
        with self.db.write() as connection:
            connection.execute("UPDATE images SET added = ? WHERE id = ?", (time.time(), identity))
            if known:  # a push must send what the registry has, not what an archive made of it
                sql = "UPDATE images SET manifest = ?, media_type = ? WHERE id = ?"
                connection.execute(sql, (manifest.digest, manifest.media_type, identity))
            self.measured(sizes)

    def _enter_chains(
        self, identity: ImageID, chains: Sequence[tuple[ChainID, int]], sizes: Mapping[ChainID, int]
    ) -> None:
        with self.db.write() as connection:
            for position, (chain, estimate) in enumerate(chains):
                connection.execute(
                    "INSERT INTO chains VALUES (?, ?, 1) ON CONFLICT (chain) DO UPDATE SET refs = refs + 1",
                    (chain, sizes.get(chain, estimate)),
                )
                connection.execute("INSERT INTO image_chains VALUES (?, ?, ?)", (identity, position, chain))
            self.measured({chain: sizes[chain] for chain, _ in chains if chain in sizes})
            connection.execute(_SUM_UP + "WHERE id = ?", (identity,))

    def measured(self, sizes: Mapping[ChainID, int]) -> None:
        """Note how much file data layers really hold; before, an estimate from the manifest stands there.

        Args:
            sizes: Bytes by chain; chains that no image uses are ignored.
        """
        with self.db.write() as connection:
            for chain, size in sizes.items():
                changed = connection.execute(
                    "UPDATE chains SET size = ? WHERE chain = ? AND size != ?", (size, chain, size)
                ).rowcount
                if changed:
                    connection.execute(_SUM_UP + _USERS_OF_CHAIN, (chain,))

    def tag(self, ref: Reference, identity: ImageID, whole: Digest | None = None) -> None:
        """Give an image a name; a name that another image has moves.

        Args:
            ref: Repository and tag; ``latest`` when there is none.
            identity: The image.
            whole: The index that the name stands for besides; the image keeps it and the index's other images.

        Raises:
            ImageNotFoundError: There is no such image.
            InvalidReferenceError: The name has a digest.
        """
        if ref.digest:
            raise InvalidReferenceError("refusing to create a tag with a digest reference")
        if ref.familiar_repository == "sha256":
            raise InvalidReferenceError("refusing to create an ambiguous tag using digest algorithm as name")
        name = ref.with_default_tag().canonical
        with self.db.write() as connection:
            self.get(identity)
            at = time.time()
            connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)", (name, identity, at, whole or ""))
            connection.execute("UPDATE images SET added = ? WHERE id = ?", (at, identity))

    def untag(self, ref: Reference) -> bool:
        """Take a name or a repo digest away; the image stays.

        Args:
            ref: Repository and tag, or repository and digest.

        Returns:
            False when nothing had it.
        """
        with self.db.write() as connection:
            if ref.digest:
                done = connection.execute(
                    "DELETE FROM repo_digests WHERE repository = ? AND digest = ?", (ref.repository, ref.digest)
                )
            else:
                done = connection.execute("DELETE FROM names WHERE name = ?", (ref.with_default_tag().canonical,))
            return done.rowcount > 0

    def add_digest(self, ref: Reference, identity: ImageID) -> None:
        """Remember under which manifest digest a repository has an image; of one that is gone nothing is remembered.

        Args:
            ref: Repository and digest.
            identity: The image.

        Raises:
            InvalidReferenceError: ``ref`` has no digest.
        """
        if not ref.digest:
            raise InvalidReferenceError(f"{ref.familiar!r} has no digest")
        with self.db.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO repo_digests SELECT ?, ?, id FROM images WHERE id = ?",
                (ref.repository, ref.digest, identity),
            )

    def remove(self, identity: ImageID) -> list[ChainID]:
        """Forget an image with its names and digests; the collector frees what nothing else needs.

        Args:
            identity: The image; absent is not an error.

        Returns:
            The chains that no image uses any more, the topmost first.
        """
        with self.db.write() as connection:
            sql = "SELECT chain FROM image_chains WHERE image = ? ORDER BY position DESC"
            chains = [row[0] for row in connection.execute(sql, (identity,)).fetchall()]
            connection.execute("DELETE FROM image_chains WHERE image = ?", (identity,))
            connection.execute("DELETE FROM names WHERE image = ?", (identity,))
            connection.execute("DELETE FROM repo_digests WHERE image = ?", (identity,))
            connection.execute("DELETE FROM images WHERE id = ?", (identity,))
            connection.executemany("UPDATE chains SET refs = refs - 1 WHERE chain = ?", [(chain,) for chain in chains])
            gone = [
                ChainID(Digest(chain))
                for chain in chains
                if connection.execute("DELETE FROM chains WHERE chain = ? AND refs <= 0", (chain,)).rowcount
            ]
            self.leases.unlink(f"image:{identity}")
        return gone


def _stored_reference(name: str) -> Reference:
    # Names in the table are canonical already; splitting them is all the parsing they need.
    rest, _, digest = name.partition("@")
    domain, _, path = rest.partition("/")
    head, colon, tag = path.rpartition(":")
    if colon:
        return Reference(domain, head, tag, Digest(digest) if digest else None)
    return Reference(domain, path, None, Digest(digest) if digest else None)


def _grouped(rows: Iterable[tuple[str, str]]) -> dict[ImageID, list[Reference]]:
    found: dict[ImageID, list[Reference]] = {}
    for image, name in rows:
        found.setdefault(ImageID(Digest(image)), []).append(_stored_reference(name))
    return found
