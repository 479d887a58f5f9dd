# SPDX-License-Identifier: Apache-2.0
"""Where ``scow copy`` copies from and to, as users write it, and the copies that involve the store.

::

    NAME[:TAG|@DIGEST]             a registry (docker://NAME is the same)
    store:NAME                     the local store
    oci:DIRECTORY[:NAME]           an OCI image layout
    oci-archive:FILE[:NAME]        a layout in a tar file
    docker-archive:FILE[:NAME]     what docker save writes
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

from scow.base.files import temporary_directory
from scow.base.streams import VerifiedReader
from scow.content.layoutdir import LayoutDirectory
from scow.errors import InvalidArgumentError, LimitError, NotFoundError
from scow.images.copying import Tree, copy
from scow.images.dockerarchives import pack_archive, spellings, unpack_archive
from scow.images.pulling import NoPlatformError, choose
from scow.images.wholes import whole_of
from scow.oci import layout
from scow.oci.decode import MAX_CONFIG_SIZE, decode_config, decode_index, decode_manifest
from scow.oci.mediatype import is_index
from scow.oci.platform import score
from scow.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scow.content.target import Source, Target
    from scow.images.archive import Loaded
    from scow.images.saving import Sink
    from scow.images.store import ImageRecord
    from scow.images.transfer import Transfers
    from scow.oci.digest import Digest
    from scow.oci.model import Descriptor, Platform

REGISTRY, STORE, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE = "docker", "store", "oci", "oci-archive", "docker-archive"
_ARCHIVES = frozenset({OCI_ARCHIVE, DOCKER_ARCHIVE})


class Place(NamedTuple):
    """One end of a copy.

    Attributes:
        kind: One of the constants above.
        path: Of a directory or file; ``""`` for a registry and the store.
        name: The image's name there, ``""`` for the only one.
    """

    kind: str
    path: str
    name: str


def parse_place(text: str) -> Place:
    """Read one end of a copy.

    Raises:
        InvalidArgumentError: It names no place.
        InvalidReferenceError: The name is not a reference.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == REGISTRY and rest.startswith("//"):
        return _registry(rest[2:])
    if colon and kind in {STORE, "containers-storage"}:
        return Place(STORE, "", rest)
    if colon and kind in {OCI, OCI_ARCHIVE, DOCKER_ARCHIVE}:
        path, _, name = rest.partition(":")
        if not path:
            raise InvalidArgumentError(f"{text!r} names no file")
        return Place(kind, path, name)
    return _registry(text)


def _registry(text: str) -> Place:
    return Place(REGISTRY, "", Reference.parse(text).with_default_tag().canonical)


class Copier:
    """Copies between places.

    Args:
        transfers: The store and the way to registries.
        platform: Only this one; ``""`` for all.
        referrers: Take signatures and attestations along.
    """

    def __init__(self, transfers: Transfers, platform: str = "", *, referrers: bool = True) -> None:
        self._transfers = transfers
        self._platform = platform
        self._referrers = referrers

    def copy(self, source: Place, target: Place) -> Digest:
        """Copy.

        Returns:
            The digest of the top manifest.

        Raises:
            NoPlatformError: There is no image for the wanted platform.
            ScowError: Something is missing, wrong or refused.
        """
        if source.kind == STORE:
            return self._from_store(source, target)
        if target.kind == STORE:
            return self._to_store(source, target)
        one = self._platform or target.kind == DOCKER_ARCHIVE
        with self._source(source) as (origin, name), self._target(target) as (goal, new_name):
            return copy(
                origin,
                name,
                goal,
                new_name,
                only=self._only(origin, source) if one else None,
                # docker's format has room for one image under a name, and for nothing that refers to it
                referrers=self._referrers and target.kind != DOCKER_ARCHIVE,
                progress=self._transfers.progress,
            ).descriptor.digest

    def _only(self, origin: Source, place: Place) -> Callable[[Descriptor], Descriptor]:
        wanted = self._transfers.platform(self._platform)
        shown = Reference.parse(place.name) if place.kind == REGISTRY else Reference("localhost", place.name or "image")

        def chosen(top: Descriptor) -> Descriptor:
            if self._platform and not is_index(top.media_type):
                found = platform_of(origin, top)
                if not score(wanted, found):
                    raise NoPlatformError(f"image {place.name or place.path} is for {found}, not for {wanted}")
            while is_index(top.media_type):
                with origin.fetch(top) as stream:
                    top = choose(decode_index(stream.read(), top.media_type).value.manifests, wanted, shown)
            return top

        return chosen

    # ------------------------------------------------------------------ ends

    @contextmanager
    def _source(self, place: Place) -> Iterator[tuple[Source, str]]:
        if place.kind == REGISTRY:
            reference = Reference.parse(place.name)
            repository = self._transfers.client.repository(reference)
            yield repository, reference.digest or reference.tag or ""
        elif place.kind == OCI:
            yield LayoutDirectory(place.path), place.name
        elif place.kind == DOCKER_ARCHIVE:
            with temporary_directory(self._scratch(), "copy-") as folder:
                inner = LayoutDirectory(os.path.join(folder, "layout"), create=True)
                wanted, limits = self._transfers.platform(self._platform), self._transfers.settings.limits
                unpack_archive(place.path, place.name, inner, wanted, limits)
                yield inner, ""
        else:
            with temporary_directory(self._scratch(), "copy-") as folder:
                unpack_layout(place.path, folder)
                yield LayoutDirectory(folder), place.name

    @contextmanager
    def _target(self, place: Place) -> Iterator[tuple[Target, str]]:
        if place.kind == REGISTRY:
            reference = Reference.parse(place.name)
            repository = self._transfers.client.repository(reference, push=True)
            yield repository, "" if reference.digest else reference.tag or ""
        elif place.kind == OCI:
            yield LayoutDirectory(place.path, create=True), place.name
        else:
            with temporary_directory(self._scratch(), "copy-") as folder:
                inner = LayoutDirectory(os.path.join(folder, "layout"), create=True)
                yield inner, place.name if place.kind == OCI_ARCHIVE else ""
                with _replacing(place.path) as out:
                    if place.kind == OCI_ARCHIVE:
                        pack_layout(inner.path, out)
                    else:
                        name = Reference.parse(place.name).with_default_tag() if place.name else None
                        pack_archive(inner, name, out)

    def _scratch(self) -> str:
        path = os.path.join(self._transfers.content.root, "tmp")
        os.makedirs(path, mode=0o711, exist_ok=True)
        return path

    # ------------------------------------------------------------------ the store

    def _from_store(self, source: Place, target: Place) -> Digest:
        transfers = self._transfers
        record = transfers.images.resolve(source.name)
        whole = whole_of(transfers.images, source.name, record)
        if target.kind == REGISTRY:
            goal = Reference.parse(target.name)
            return transfers.push_record(record, goal, platform=self._platform, whole=whole).digest
        if target.kind == STORE:
            transfers.images.tag(Reference.parse(target.name), record.id, whole)
            return whole or record.manifest
        from scow.images.saving import save

        with self._named(record, target.name) as name:
            if target.kind in _ARCHIVES:
                with _replacing(target.path) as out:
                    form = "docker" if target.kind == DOCKER_ARCHIVE else "oci"
                    save(transfers.images, transfers.content, [name], out, form=form)
                return record.manifest
            with temporary_directory(self._scratch(), "copy-") as folder:
                tar = os.path.join(folder, "image.tar")
                with open(tar, "wb") as file:
                    save(transfers.images, transfers.content, [name], cast("Sink", file), form="oci")
                inner = os.path.join(folder, "layout")
                unpack_layout(tar, inner)
                origin = LayoutDirectory(inner)
                top = origin.index().manifests[0]
                return copy(
                    origin, top.digest, LayoutDirectory(target.path, create=True), target.name
                ).descriptor.digest

    @contextmanager
    def _named(self, record: ImageRecord, name: str) -> Iterator[str]:
        """A name under which ``save`` finds the image; one that is given just for that is taken away again."""
        images = self._transfers.images
        if not name:
            yield record.id
            return
        reference = Reference.parse(name).with_default_tag()
        had = reference in images.names(record.id)
        if not had:
            try:
                images.resolve(reference.familiar)
            except NotFoundError:
                images.tag(reference, record.id)
            else:
                raise InvalidArgumentError(f"the name {reference.familiar!r} is another image's in the store")
        try:
            yield reference.familiar
        finally:
            if not had:
                images.untag(reference)

    def _to_store(self, source: Place, target: Place) -> Digest:
        transfers = self._transfers
        name = Reference.parse(target.name).with_default_tag() if target.name else None
        if source.kind == REGISTRY:
            record = transfers.pull_platforms(source.name, self._platform)[-1]
            whole = whole_of(transfers.images, source.name, record)
            if name is not None:
                transfers.images.tag(name, record.id, whole)
            return whole or record.manifest
        with temporary_directory(self._scratch(), "copy-") as folder, self._loadable(source, folder) as opened:
            loaded = self._load(opened)
        named = source.name if source.kind == DOCKER_ARCHIVE else ""
        wanted = [one for one in loaded if not named or named in spellings(one.names)]
        if not wanted or (name is not None and len({one.record.id for one in wanted}) > 1):
            few = "no such image" if not wanted else "more than one image"
            raise NotFoundError(f"{source.path!r} has {few}", hint="Name one of its images after a colon.")
        if name is not None:
            transfers.images.tag(name, wanted[0].record.id)
        return wanted[0].record.manifest

    def _load(self, opened: int | str) -> list[Loaded]:
        from scow.images.archive import load

        transfers = self._transfers
        return load(
            transfers.images,
            transfers.content,
            transfers.snapshots,
            opened,
            limits=transfers.settings.limits,
            platform=transfers.platform(self._platform),
            progress=transfers.progress,
        )

    @contextmanager
    def _loadable(self, place: Place, folder: str) -> Iterator[int | str]:
        """What ``load`` reads: an archive, or a layout with nothing but the image that is meant."""
        if place.kind != DOCKER_ARCHIVE:
            with self._source(place) as (origin, name):
                inner = LayoutDirectory(os.path.join(folder, "one"), create=True)
                take_one(cast("LayoutDirectory", origin), name, inner)
                yield inner.path
            return
        try:
            fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError(f"cannot open {place.path!r}: {os.strerror(error.errno or 0).lower()}") from error
        try:
            yield fd
        finally:
            os.close(fd)


def take_one(origin: LayoutDirectory, name: str, target: LayoutDirectory) -> None:
    """Put one image of a layout into another one, without copying bytes where the file system allows it.

    The bytes are not verified; whoever reads the target does that.
    """
    import shutil

    top = origin.resolve(name)
    tree = Tree(origin, referrers=False)
    tree.walk(top, 0)
    for digest in {*tree.blobs, *tree.manifests}:
        part = layout.blob_path(digest)
        source, goal = os.path.join(origin.path, part), os.path.join(target.path, part)
        os.makedirs(os.path.dirname(goal), mode=0o755, exist_ok=True)
        try:
            os.link(source, goal, follow_symlinks=False)
        except FileNotFoundError:
            continue  # a layer that may not be distributed need not be there
        except OSError:
            shutil.copyfile(source, goal, follow_symlinks=False)
    target.tag(top, "")


@contextmanager
def _replacing(path: str) -> Iterator[Sink]:
    """A file that takes the place of another when all of it was written."""
    from scow.base.files import storage_error

    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield cast("Sink", file)
        os.rename(temporary, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def unpack_layout(archive: str, folder: str) -> None:
    """Take the files of a layout out of a tar file; anything else in it is left alone.

    Args:
        archive: The tar file.
        folder: Where to; made when missing.

    Raises:
        NotFoundError: There is no such file.
        CorruptError: It is not a tar file.
    """
    from scow.base.files import make_dir
    from scow.layer.tar import read_entries

    try:
        stream = open(archive, "rb")  # noqa: SIM115
    except OSError as error:
        raise NotFoundError(f"cannot open {archive!r}: {os.strerror(error.errno or 0).lower()}") from error
    with stream:
        reader = read_entries(stream)
        for entry in reader:
            name = entry.name.decode(errors="replace").removeprefix("./")
            if not _is_layout_file(name):
                continue
            path = os.path.join(folder, name)
            make_dir(os.path.dirname(path), 0o700)
            with open(path, "wb") as out:
                out.writelines(reader.chunks())


def platform_of(origin: Source, desc: Descriptor) -> Platform:
    """The platform of an image that its config tells.

    Raises:
        CorruptError: The manifest or the config is damaged, or this is no image.
    """
    with origin.fetch(desc) as stream:
        raw = VerifiedReader(stream, desc.digest, desc.size).read()
    config = decode_manifest(raw, desc.media_type).value.config
    if config.size > MAX_CONFIG_SIZE:
        raise LimitError(f"the image's config has {config.size} bytes, more than the {MAX_CONFIG_SIZE} allowed")
    with origin.fetch(config) as stream:
        raw = VerifiedReader(stream, config.digest, config.size).read()
    return decode_config(raw, config.media_type).value.platform


def _is_layout_file(name: str) -> bool:
    if name in {layout.LAYOUT_FILE, layout.INDEX_FILE}:
        return True
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != layout.BLOBS_DIRECTORY:
        return False
    return parts[1] in {"sha256", "sha384", "sha512"} and parts[2].isalnum()


def pack_layout(folder: str, out: Sink) -> None:
    """Write a layout directory as a tar file, the same bytes for the same layout."""
    from scow.layer.tar import TarEntry
    from scow.layer.tarwrite import TarWriter

    writer = TarWriter(out)
    names = [layout.LAYOUT_FILE, layout.INDEX_FILE]
    top = os.path.join(folder, layout.BLOBS_DIRECTORY)
    for algorithm in sorted(os.listdir(top)):
        names += [f"{layout.BLOBS_DIRECTORY}/{algorithm}/{x}" for x in sorted(os.listdir(os.path.join(top, algorithm)))]
    for name in names:
        path = os.path.join(folder, name)
        writer.add(TarEntry(name.encode(), size=os.path.getsize(path)), _pieces(path))
    writer.close()


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            yield data
