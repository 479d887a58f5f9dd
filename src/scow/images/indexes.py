# SPDX-License-Identifier: Apache-2.0
"""Image indexes put together here and pushed when they are ready: ``docker manifest``'s model, kept in the store.

::

    indexes (name, document)     one row for each index in the making; the document is JSON:
                                 {"annotations": {}, "entries": [{"descriptor": {}, "source": NAME, "name": NAME}]}

Nothing is fetched but manifests and configs. A push takes over what the target does not have from the registry each
entry came from: by mounting where both are the same, by copying otherwise.
"""

from __future__ import annotations

import json

from scow.errors import ConflictError, InvalidArgumentError, NotFoundError
from scow.images.copying import copy
from scow.images.remote import Shown, look_up
from scow.oci.decode import decode_descriptor, decode_index
from scow.oci.encode import descriptor_members, encode_index
from scow.oci.mediatype import DOCKER_MANIFEST_LIST_V2, OCI_INDEX_V1, is_docker, is_index
from scow.oci.model import Index, Platform
from scow.oci.platform import normalize
from scow.oci.reference import Reference
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from scow.base.database import Database
    from scow.images.copying import Copied
    from scow.images.transfer import Transfers
    from scow.oci.model import Descriptor, Document

SCHEMA = "CREATE TABLE indexes (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;"


class NoSuchIndexError(NotFoundError):
    """No index of this name is in the making here."""

    code = "no-such-index"


class Entry(NamedTuple):
    """One image of an index.

    Attributes:
        descriptor: What the index says of it.
        source: The name by digest it can be had by.
        name: The name it was added by; ``""`` when only ``source`` is one.
    """

    descriptor: Descriptor
    source: str
    name: str = ""


class Draft(NamedTuple):
    """An index in the making."""

    entries: tuple[Entry, ...] = ()
    annotations: Mapping[str, str] = {}

    def encoded(self) -> Document[Index]:
        """The index as it will be pushed: Docker's kind when all its images are, OCI's otherwise."""
        docker = bool(self.entries) and all(is_docker(entry.descriptor.media_type) for entry in self.entries)
        media_type = DOCKER_MANIFEST_LIST_V2 if docker and not self.annotations else OCI_INDEX_V1
        return encode_index(
            Index(media_type, tuple(entry.descriptor for entry in self.entries), annotations=dict(self.annotations))
        )


class Changes(NamedTuple):
    """What ``manifest annotate`` sets; empty means leave it."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}


class Indexes:
    """The indexes of one store.

    Args:
        db: The store's database.
        transfers: The way to registries.
    """

    def __init__(self, db: Database, transfers: Transfers) -> None:
        self._db = db
        self._transfers = transfers
        db.ensure("indexes", 1, SCHEMA)

    # ------------------------------------------------------------------ keeping

    def get(self, name: str) -> Draft:
        """An index in the making.

        Raises:
            NoSuchIndexError: There is none of this name.
        """
        with self._db.read() as connection:
            row = connection.execute("SELECT document FROM indexes WHERE name = ?", (_key(name),)).fetchone()
        if row is None:
            raise NoSuchIndexError(f"No such manifest: {Reference.parse(name).with_default_tag().canonical}")
        document: dict[str, Any] = json.loads(row[0])
        entries = tuple(
            Entry(decode_descriptor(entry["descriptor"]), str(entry["source"]), str(entry.get("name", "")))
            for entry in document["entries"]
        )
        return Draft(entries, document["annotations"])

    def all_shown(self, name: str) -> list[Shown]:
        """The images of an index in the making, as ``remote.manifest_row`` shows them.

        Raises:
            NoSuchIndexError: There is no such index.
        """
        return [_shown(entry) for entry in self.get(name).entries]

    def shown(self, name: str, image: str) -> Shown:
        """One image of an index in the making.

        Raises:
            NoSuchIndexError: There is no such index.
            NotFoundError: The image is not in it.
        """
        found = _called(self.get(name), image)
        if not found:
            raise _not_in(name, image)
        return _shown(found[0])

    def names(self) -> list[str]:
        """The names of all indexes in the making, sorted."""
        with self._db.read() as connection:
            return [row[0] for row in connection.execute("SELECT name FROM indexes ORDER BY name")]

    def _put(self, name: str, draft: Draft) -> None:
        document = {
            "annotations": dict(draft.annotations),
            "entries": [
                {"descriptor": descriptor_members(entry.descriptor), "source": entry.source, "name": entry.name}
                for entry in draft.entries
            ],
        }
        with self._db.write() as connection:
            connection.execute("INSERT OR REPLACE INTO indexes VALUES (?, ?)", (_key(name), json.dumps(document)))

    def remove(self, name: str) -> None:
        """Forget an index in the making.

        Raises:
            NoSuchIndexError: There is none of this name.
        """
        self.get(name)
        with self._db.write() as connection:
            connection.execute("DELETE FROM indexes WHERE name = ?", (_key(name),))

    # ------------------------------------------------------------------ making

    def create(self, name: str, images: Sequence[str], *, amend: bool = False) -> Draft:
        """Begin an index.

        Args:
            name: Its name.
            images: Names of images, or of indexes whose images are meant, in registries.
            amend: Add to an index that exists.

        Raises:
            ConflictError: It exists, and ``amend`` is not given.
            RegistryNotFoundError: An image does not exist.
        """
        try:
            draft = self.get(name)
        except NoSuchIndexError:
            draft = Draft()
        else:
            if not amend:
                raise ConflictError("refusing to amend an existing manifest list with no --amend flag")
        return self._add(name, draft, images)

    def append(self, name: str, images: Sequence[str]) -> Draft:
        """Add images to an index; one that is in it already is replaced.

        Raises:
            NoSuchIndexError: There is no such index.
            RegistryNotFoundError: An image does not exist.
        """
        return self._add(name, self.get(name), images)

    def _add(self, name: str, draft: Draft, images: Sequence[str]) -> Draft:
        added = {entry.descriptor.digest: entry for image in images for entry in self._entries(image)}
        kept = [entry for entry in draft.entries if entry.descriptor.digest not in added]
        draft = draft._replace(entries=(*kept, *added.values()))
        self._put(name, draft)
        return draft

    def _entries(self, image: str) -> list[Entry]:
        reference = Reference.parse(image).with_default_tag()
        repository = self._transfers.client.repository(reference)
        try:
            top = repository.manifest(reference.digest or reference.tag or "latest")
        except NotFoundError as error:
            raise no_such_manifest(reference, error) from error
        if is_index(top.descriptor.media_type):
            inner = decode_index(top.raw, top.descriptor.media_type).value.manifests
            return [Entry(desc, reference.with_digest(desc.digest).canonical) for desc in inner]
        found = look_up(repository, top.descriptor.digest, self._transfers.platform(), reference)
        platform = normalize(found.config.value.platform)
        desc = replace(top.descriptor, platform=platform)
        return [Entry(desc, reference.with_digest(desc.digest).canonical, reference.canonical)]

    def annotate(self, name: str, image: str, changes: Changes) -> None:
        """Change what an index says of one of its images, or of itself.

        Args:
            name: The index.
            image: The image: its name, or its digest; ``""`` for the index itself.
            changes: What to set.

        Raises:
            NoSuchIndexError: There is no such index, and it was meant itself.
            NotFoundError: The image is not in it.
            InvalidArgumentError: Nothing runs on such a system.
        """
        try:
            draft = self.get(name)
        except NoSuchIndexError as error:
            if image:  # docker has one sentence for both
                raise _not_in(name, image) from error
            raise
        if not image:
            self._put(name, draft._replace(annotations={**draft.annotations, **changes.annotations}))
            return
        wanted = _called(draft, image)
        if not wanted:
            raise _not_in(name, image)
        entries = tuple(
            entry._replace(descriptor=_changed(entry.descriptor, changes)) if entry in wanted else entry
            for entry in draft.entries
        )
        self._put(name, draft._replace(entries=entries))

    # ------------------------------------------------------------------ pushing

    def push(self, name: str, *, purge: bool = False, each: Callable[[Reference], None] = lambda _: None) -> Copied:
        """Push an index and whatever of its images the registry lacks.

        Args:
            name: The index.
            purge: Forget it here afterwards.
            each: Told of every image when it is there.

        Raises:
            NoSuchIndexError: There is no such index.
            InvalidArgumentError: It has no images, or one of unknown architecture.
        """
        from scow.images.copying import Copied

        draft = self.get(name)
        if not draft.entries:
            raise InvalidArgumentError(f"the index {name} has no images")
        for entry in draft.entries:
            platform = entry.descriptor.platform
            if platform is None or not platform.architecture or not platform.os:
                raise InvalidArgumentError(
                    f"manifest {entry.source} must have an OS and Architecture to be pushed to a registry"
                )
        reference = Reference.parse(name).with_default_tag()
        client = self._transfers.client
        target = client.repository(reference, push=True)
        moved = 0
        for entry in draft.entries:
            source = Reference.parse(entry.source)
            done = copy(
                client.repository(source),
                source.digest or "",
                target,
                "",
                referrers=False,
                progress=self._transfers.progress,
            )
            moved += done.moved
            each(reference.with_digest(entry.descriptor.digest))
        document = draft.encoded()
        target.push_manifest(document.descriptor, document.raw, reference.tag or "")
        if purge:
            self.remove(name)
        return Copied(document.descriptor, moved, len(draft.entries) + 1)


def no_such_manifest(reference: Reference, error: NotFoundError) -> NotFoundError:
    """Say in docker's words that a registry has no such image, and beside it what the registry said."""
    return NotFoundError(f"no such manifest: {reference.canonical}", hint=f"The registry said: {error.message}.")


def _not_in(name: str, image: str) -> NotFoundError:
    return NotFoundError(f"manifest for image {image} does not exist in {name}")


def _shown(entry: Entry) -> Shown:
    return Shown(entry.name or entry.source, Reference.parse(entry.source), entry.descriptor)


def _called(draft: Draft, image: str) -> list[Entry]:
    """The entries that a digest or a name means; a tag means what it meant when the image was added."""
    if image.startswith("sha256:"):
        return [entry for entry in draft.entries if entry.descriptor.digest == image]
    reference = Reference.parse(image).with_default_tag()
    if reference.digest:
        return [entry for entry in draft.entries if entry.descriptor.digest == reference.digest]
    return [entry for entry in draft.entries if entry.name == reference.canonical]


def _key(name: str) -> str:
    reference = Reference.parse(name).with_default_tag()
    if reference.digest:
        raise InvalidArgumentError("an index in the making is named by a tag, not by a digest")
    return reference.canonical


def _check(os: str, architecture: str) -> None:
    if os not in _ARCHITECTURES.get(architecture, ()):
        raise InvalidArgumentError(f"manifest entry for image has unsupported os/arch combination: {os}/{architecture}")


_BSD = ("freebsd", "netbsd", "openbsd")
_ARCHITECTURES = {
    "386": ("android", "darwin", "linux", "plan9", "windows", *_BSD),
    "amd64": ("android", "darwin", "dragonfly", "illumos", "linux", "plan9", "solaris", "windows", *_BSD),
    "arm": ("android", "darwin", "linux", "plan9", "windows", *_BSD),
    "arm64": ("android", "darwin", "linux", "windows", *_BSD),
    "loong64": ("linux",),
    "mips": ("linux",),
    "mips64": ("linux", "openbsd"),
    "mips64le": ("linux",),
    "mipsle": ("linux",),
    "ppc64": ("aix", "linux", "openbsd"),
    "ppc64le": ("linux",),
    "riscv64": ("freebsd", "linux", "openbsd"),
    "s390x": ("linux", "zos"),
    "wasm": ("js", "wasip1"),
}
"""Which systems there are for an architecture. Source: Go, internal/platform/zosarch.go."""


def _changed(desc: Descriptor, changes: Changes) -> Descriptor:
    old = desc.platform or Platform("", "")
    if changes.architecture or changes.os:
        _check(changes.os or old.os, changes.architecture or old.architecture)
    platform = replace(
        old,
        os=changes.os or old.os,
        architecture=changes.architecture or old.architecture,
        variant=changes.variant or old.variant,
        os_version=changes.os_version or old.os_version,
        os_features=changes.os_features or old.os_features,
    )
    return replace(desc, platform=platform, annotations={**desc.annotations, **changes.annotations})
