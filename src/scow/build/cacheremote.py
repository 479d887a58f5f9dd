# SPDX-License-Identifier: Apache-2.0
"""Build caches outside the store: an OCI layout directory, a repository of a registry, or an image that holds its own.

A cache is one OCI artifact: a manifest whose config (JSON) holds records with all their keys, and whose layers are the
layers of those records, each once. Keys depend on nothing of the machine that made them. Reading one brings only the
config; a layer is fetched when a step needs it. Writing makes the place a mirror: in a directory, what no record needs
any more is removed in the same step.
"""

from __future__ import annotations

import io
import json
import os

from scow.base.locks import FileLock
from scow.build.graph import as_json, as_solved
from scow.errors import CorruptError, InvalidArgumentError, NotFoundError
from scow.oci.decode import decode_index, decode_manifest
from scow.oci.digest import Digest, sha256_digest
from scow.oci.encode import encode_manifest
from scow.oci.mediatype import OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST_V1, compression_of, is_index
from scow.oci.model import Descriptor, Manifest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from scow.base.leases import Lease
    from scow.build.graph import Solved
    from scow.content.local import LocalContentStore
    from scow.content.target import Source, Target
    from scow.oci.digest import DiffID
    from scow.oci.model import Index

CONFIG_TYPE = "application/vnd.scow.buildcache.config.v1+json"
INLINE = "vnd.scow.buildcache"
"""The member of an image's configuration that holds the records of a cache of ``type=inline``."""
VERSION = 1
_DIFF_ID = "vnd.scow.diffid"
_MAX_CONFIG = 64 << 20
_MAX_MANIFEST = 4 << 20
_DEFAULT_TAG = "buildcache"


class Entry(NamedTuple):
    """One record on its way.

    Attributes:
        keys: All keys it is found by.
        solved: The result.
        kind: Of the step.
        title: Of the step.
    """

    keys: tuple[str, ...]
    solved: Solved
    kind: str
    title: str


class Place(NamedTuple):
    """Where a cache is.

    Attributes:
        target: Reads and writes.
        name: Its tag there.
        path: The directory, or ``""``.
    """

    target: Target
    name: str
    path: str


def open_place(attributes: Mapping[str, str], repository: Callable[[str, bool], Target], *, write: bool) -> Place:
    """Open the place that ``--cache-from`` or ``--cache-to`` names.

    Args:
        attributes: ``type`` and ``src``, ``dest`` or ``ref``.
        repository: Opens a repository by reference, for pushing or not.
        write: It is to be written.

    Raises:
        InvalidArgumentError: The type is unknown, or a value is missing.
        NotFoundError: It is to be read, and is not there.
    """
    kind = attributes.get("type", "")
    if kind == "local":
        from scow.content.layoutdir import LayoutDirectory

        path = attributes.get("dest" if write else "src", "")
        if not path:
            raise InvalidArgumentError(f"a local cache needs {'dest' if write else 'src'}=DIRECTORY")
        return Place(LayoutDirectory(path, create=write), attributes.get("tag", _DEFAULT_TAG), path)
    if kind == "registry":
        from scow.oci.reference import Reference

        ref = attributes.get("ref", "")
        if not ref:
            raise InvalidArgumentError("a registry cache needs ref=REPOSITORY:TAG")
        reference = Reference.parse(ref)
        return Place(repository(ref, write), reference.digest or reference.tag or "latest", "")
    raise InvalidArgumentError(
        f"unknown cache type {kind!r}", hint="it can be local or registry; for --cache-to also inline"
    )


# ---------------------------------------------------------------------- reading


class RemoteCache:
    """A cache that was opened for reading.

    Args:
        source: Where its layers are.
        entries: Its records by key.
        layers: Its layers by DiffID.
    """

    def __init__(self, source: Source, entries: Mapping[str, Entry], layers: Mapping[str, Descriptor]) -> None:
        self._source = source
        self._entries = entries
        self._layers = layers

    @classmethod
    def read(cls, place: Place) -> RemoteCache:
        """Read a cache's records.

        Raises:
            NotFoundError: There is none.
            CorruptError: It is damaged.
        """
        desc = place.target.resolve(place.name)
        raw = _fetch(place.target, desc, _MAX_MANIFEST)
        if is_index(desc.media_type):
            desc = _here(decode_index(raw, desc.media_type).value, place.name)
            raw = _fetch(place.target, desc, _MAX_MANIFEST)
        manifest = decode_manifest(raw, desc.media_type).value
        entries: dict[str, Entry] = {}
        try:
            value = json.loads(_fetch(place.target, manifest.config, _MAX_CONFIG))
            if manifest.config.media_type == CONFIG_TYPE:
                layers = {desc.annotations.get(_DIFF_ID, str(desc.digest)): desc for desc in manifest.layers}
            else:
                layers = dict(zip(value["rootfs"]["diff_ids"], manifest.layers, strict=True))
                if INLINE not in value:
                    raise NotFoundError(f"{place.name!r} is an image without a build cache")
                value = value[INLINE]
            if value["version"] != VERSION:
                raise CorruptError("the build cache has another version than this scow knows")
            for row in value["records"]:
                keys = tuple(str(key) for key in row["keys"])
                entry = Entry(keys, as_solved(row["value"]), str(row["kind"]), str(row["title"]))
                if all(str(layer.diff_id) in layers for layer in entry.solved.layers):
                    entries.update((key, entry) for key in keys)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CorruptError("the build cache's records cannot be understood") from error
        return cls(place.target, entries, layers)

    def find(self, key: str) -> Entry | None:
        """The record that has a key."""
        return self._entries.get(key)

    def bring(self, entry: Entry, content: LocalContentStore, lease: Lease) -> None:
        """Fetch a record's layers into the store, verified.

        Raises:
            BlobMismatchError: A layer is not what the cache says.
            UnavailableError: A layer cannot be had.
        """
        from scow.layer.compression import open_stream

        for layer in entry.solved.layers:
            if content.hold(layer.diff_id, lease):
                continue
            desc = self._layers[str(layer.diff_id)]
            with self._source.fetch(desc) as raw, content.ingest(str(layer.diff_id)) as ingest:
                ingest.rewind()
                stream = open_stream(raw, compression_of(desc.media_type))
                while ingest.offset <= layer.size and (data := stream.read(1 << 20)):
                    ingest.write(data)
                ingest.commit(layer.diff_id, layer.size, lease=lease)


def _here(index: Index, name: str) -> Descriptor:
    """The image of an index that is for this machine."""
    from scow.oci.model import Platform
    from scow.oci.platform import host_platform, score

    here = host_platform(os.uname().machine)
    found = max(index.manifests, key=lambda desc: score(here, desc.platform or Platform("", "")), default=None)
    if found is None:
        raise NotFoundError(f"{name!r} has no image, and so no build cache")
    return found


def _fetch(source: Source, desc: Descriptor, limit: int) -> bytes:
    with source.fetch(desc) as file:
        data = file.read(limit + 1)
    if len(data) > limit or sha256_digest(data) != desc.digest:
        raise CorruptError(f"the build cache's {desc.media_type} is not what its digest says")
    return data


# ---------------------------------------------------------------------- writing


def export(place: Place, entries: Sequence[Entry], content: LocalContentStore, compression: str = "") -> Descriptor:
    """Write a cache.

    Args:
        place: Where to.
        entries: Its records.
        content: Where the layers are.
        compression: ``gzip`` or ``none``; ``""`` compresses for registries only.

    Returns:
        Its manifest.
    """
    if not place.path:
        return _export(place, entries, content, gzip=compression in {"", "gzip"})
    # what another build is about to name would be swept
    with FileLock(os.path.join(place.path, ".cache.lock")).exclusive():
        return _export(place, entries, content, gzip=compression == "gzip")


def _export(place: Place, entries: Sequence[Entry], content: LocalContentStore, *, gzip: bool) -> Descriptor:
    layers = [_push_layer(place.target, diff, content, gzip=gzip) for diff in _distinct(entries)]
    raw = json.dumps(records_of(entries), separators=(",", ":"), sort_keys=True).encode()
    config = Descriptor(CONFIG_TYPE, sha256_digest(raw), len(raw))
    place.target.push(config, io.BytesIO(raw))
    document = encode_manifest(Manifest(OCI_MANIFEST_V1, config, tuple(layers)))
    place.target.push(document.descriptor, io.BytesIO(document.raw))
    place.target.tag(document.descriptor, place.name)
    if place.path:
        _sweep(place, {document.descriptor.digest, config.digest, *(layer.digest for layer in layers)})
    return document.descriptor


def records_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Records as JSON."""
    records = [
        {"keys": list(entry.keys), "value": as_json(entry.solved), "kind": entry.kind, "title": entry.title}
        for entry in entries
    ]
    return {"version": VERSION, "records": records}


def _distinct(entries: Iterable[Entry]) -> list[DiffID]:
    return list(dict.fromkeys(layer.diff_id for entry in entries for layer in entry.solved.layers))


def _push_layer(target: Target, diff: DiffID, content: LocalContentStore, *, gzip: bool) -> Descriptor:
    if not gzip:
        desc = Descriptor(OCI_LAYER, diff, content.stat(diff).size, annotations={_DIFF_ID: diff})
        if not target.exists(desc):
            with content.open(diff) as file:
                target.push(desc, file)
        return desc
    from scow.base.streams import HashingWriter
    from scow.layer.compression import CompressWriter

    fd = os.open(content.root, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w+b") as packed, content.open(diff) as file:
        hashed = HashingWriter(packed)
        with CompressWriter(hashed, "gzip") as writer:
            while data := file.read(1 << 20):
                writer.write(data)
        desc = Descriptor(OCI_LAYER_GZIP, hashed.digest, hashed.size, annotations={_DIFF_ID: diff})
        packed.seek(0)
        if not target.exists(desc):
            target.push(desc, packed)
    return desc


def _sweep(place: Place, wanted: set[Digest]) -> None:
    """Remove blobs that nothing in a layout directory needs any more."""
    from scow.content.layoutdir import LayoutDirectory

    if not isinstance(place.target, LayoutDirectory):
        return
    keep = set(wanted)
    for desc in place.target.index().manifests:
        if desc.digest in keep:
            continue
        keep.add(desc.digest)
        manifest: Any = decode_manifest(_fetch(place.target, desc, _MAX_MANIFEST), desc.media_type).value
        keep |= {manifest.config.digest, *(layer.digest for layer in manifest.layers)}
    blobs = os.path.join(place.path, "blobs", "sha256")
    for name in os.listdir(blobs):
        if len(name) == 64 and Digest(f"sha256:{name}") not in keep:
            os.unlink(os.path.join(blobs, name))
