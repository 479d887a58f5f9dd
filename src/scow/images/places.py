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

from scow.base.files import temporary_directory
from scow.base.streams import VerifiedReader
from scow.content.layoutdir import LayoutDirectory
from scow.errors import InvalidArgumentError, LimitError, NotFoundError
from scow.images.copying import Tree, copy
from scow.images.dockerarchives import pack_archive, unpack_archive
from scow.images.pulling import NoPlatformError, choose
from scow.oci import layout
from scow.oci.decode import MAX_CONFIG_SIZE, decode_config, decode_index, decode_manifest
from scow.oci.mediatype import is_index
from scow.oci.platform import score
from scow.oci.reference import Reference
from scow.record import replace
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scow.content.target import Source, Target
    from scow.images.saving import Sink
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
        self.transfers = transfers
        self.platform = platform
        self.with_referrers = referrers

    def copy(self, source: Place, target: Place) -> Digest:
        """Copy.

        Returns:
            The digest of the top manifest.

        Raises:
            NoPlatformError: There is no image for the wanted platform.
            ScowError: Something is missing, wrong or refused.
        """
        if STORE in {source.kind, target.kind}:
            from scow.images.shelf import Shelf

            shelf = Shelf(self)
            return shelf.send(source, target) if source.kind == STORE else shelf.receive(source, target)
        one = self.platform or target.kind == DOCKER_ARCHIVE
        with self.source(source) as (origin, name), self.target(target) as (goal, new_name):
            return copy(
                origin,
                name,
                goal,
                new_name,
                only=self.only(origin, source) if one else None,
                # docker's format has room for one image under a name, and for nothing that refers to it
                referrers=self.with_referrers and target.kind != DOCKER_ARCHIVE,
                progress=self.transfers.progress,
            ).descriptor.digest

    def only(self, origin: Source, place: Place) -> Callable[[Descriptor], Descriptor]:
        """What chooses one manifest of what a place has under a name: the one for the wanted platform."""
        wanted = self.transfers.platform(self.platform)
        shown = reference_of(place)

        def chosen(top: Descriptor) -> Descriptor:
            if self.platform and not is_index(top.media_type):
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
    def source(self, place: Place) -> Iterator[tuple[Source, str]]:
        """Open a place, which is not the store, for reading; gives the image's name there too."""
        if place.kind == REGISTRY:
            reference = Reference.parse(place.name)
            repository = self.transfers.client.repository(reference)
            yield repository, reference.digest or reference.tag or ""
        elif place.kind == OCI:
            yield LayoutDirectory(place.path), place.name
        elif place.kind == DOCKER_ARCHIVE:
            with temporary_directory(self.scratch(), "copy-") as folder:
                inner = LayoutDirectory(os.path.join(folder, "layout"), create=True)
                wanted, limits = self.transfers.platform(self.platform), self.transfers.settings.limits
                unpack_archive(place.path, place.name, inner, wanted, limits)
                yield inner, ""
        else:
            with temporary_directory(self.scratch(), "copy-") as folder:
                unpack_layout(place.path, folder)
                yield LayoutDirectory(folder), place.name

    @contextmanager
    def target(self, place: Place) -> Iterator[tuple[Target, str]]:
        """Open a place, which is not the store, for writing; gives the image's name there too."""
        if place.kind == REGISTRY:
            reference = Reference.parse(place.name)
            repository = self.transfers.client.repository(reference, push=True)
            yield repository, "" if reference.digest else reference.tag or ""
        elif place.kind == OCI:
            yield LayoutDirectory(place.path, create=True), place.name
        else:
            with temporary_directory(self.scratch(), "copy-") as folder:
                inner = LayoutDirectory(os.path.join(folder, "layout"), create=True)
                yield inner, place.name if place.kind == OCI_ARCHIVE else ""
                with replacing(place.path) as out:
                    if place.kind == OCI_ARCHIVE:
                        pack_layout(inner.path, out)
                    else:
                        name = Reference.parse(place.name).with_default_tag() if place.name else None
                        pack_archive(inner, name, out)

    def scratch(self) -> str:
        """A directory for temporary files, on the store's file system."""
        path = os.path.join(self.transfers.content.root, "tmp")
        os.makedirs(path, mode=0o711, exist_ok=True)
        return path


def reference_of(place: Place) -> Reference:
    """What an image at a place is called in messages."""
    return Reference.parse(place.name) if place.kind == REGISTRY else Reference("localhost", place.name or "image")


def take_one(origin: LayoutDirectory, top: Descriptor, target: LayoutDirectory) -> None:
    """Put one image of a layout into another one, without copying bytes where the file system allows it.

    The bytes are not verified; whoever reads the target does that.

    Args:
        origin: The layout.
        top: The image's manifest.
        target: Where to.
    """
    import shutil

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
    target.tag(replace(top, annotations={}), "")


@contextmanager
def replacing(path: str) -> Iterator[Sink]:
    """A file that takes the place of another when all of it was written; what has no place is written to at once."""
    from scow.base.files import is_written_in_place, storage_error

    if is_written_in_place(path):
        with open(path, "wb") as there:
            yield cast("Sink", there)
        return
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
