# SPDX-License-Identifier: Apache-2.0
"""Checking a whole store: every digest, every link, every name.

Walks from the bottom up: the database file, blobs against their digests, images against their blobs, names against
images, counters against what they count, snapshots (which check themselves), files nobody knows. With ``repair`` it
takes away what cannot be used (never an image that works) and puts counters right.
"""

from __future__ import annotations

import hashlib
import os
import time

from scow.errors import ScowError
from scow.images.prune import collect
from scow.images.records import describe
from scow.oci.model import Descriptor
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.content.local import LocalContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.oci.digest import Digest
    from scow.snapshot.snapshotter import Snapshotter

_CHUNK = 1 << 20
_LEFTOVERS = frozenset({"orphan", "unfinished"})
_YOUNG_SECONDS = 60.0
"""A file this young may belong to a command that is still at work."""


class Finding(NamedTuple):
    """One thing that is wrong.

    Args:
        kind: ``database``, ``blob``, ``image``, ``name``, ``counter``, ``snapshot``, ``link`` or ``stray``.
        subject: What is concerned.
        message: One sentence.
        repaired: Whether it has been put right.
    """

    kind: str
    subject: str
    message: str
    repaired: bool

    @property
    def harmless(self) -> bool:
        """Whether it only takes space: what a killed command left behind, which nothing refers to."""
        return self.kind == "stray"


def fsck(
    root: str, images: ImageStore, content: LocalContentStore, snapshots: Snapshotter, *, repair: bool = False
) -> Iterator[Finding]:
    """Check a store.

    Args:
        root: Its directory.
        images: Its images.
        content: Its blobs.
        snapshots: Its snapshots.
        repair: Put right what can be.

    Yields:
        What is wrong.
    """
    for sentence in images.db.check():
        yield Finding("database", images.db.path, sentence, repaired=False)
    yield from _check_blobs(content, repair)
    yield from _check_images(images, content, snapshots, repair)
    yield from _check_names(images, repair)
    yield from _check_counters(images, repair)
    for problem in snapshots.check(repair=repair):
        kind = "stray" if problem.kind in _LEFTOVERS else "snapshot"
        yield Finding(kind, problem.subject, problem.message, problem.repaired)
    yield from _check_links(images, content, snapshots)
    yield from _check_strays(root, content, repair)
    if repair:
        collect(images, content, snapshots)


def _check_blobs(content: LocalContentStore, repair: bool) -> Iterator[Finding]:
    for info in content:
        wrong = _blob_fault(content, info.digest, info.size)
        if not wrong:
            continue
        with content.db.write():
            # it may have been removed meanwhile, and come back
            same = info.digest in content and content.stat(info.digest) == info
            if same and repair:
                content.delete(info.digest)
        if same:
            yield Finding("blob", info.digest, wrong, repair)


def _blob_fault(content: LocalContentStore, digest: Digest, size: int) -> str:
    checksum = hashlib.new(digest.algorithm)
    count = 0
    try:
        with open(content.path(digest), "rb", buffering=0) as file:
            while data := file.read(_CHUNK):
                checksum.update(data)
                count += len(data)
    except FileNotFoundError:
        return f"the file of blob {digest} is missing"
    except OSError as error:
        return f"the file of blob {digest} cannot be read: {error.strerror}"
    if count != size:
        return f"blob {digest} has {count} bytes instead of {size}"
    if checksum.hexdigest() != digest.encoded:
        return f"blob {digest} is damaged: its digest is {digest.algorithm}:{checksum.hexdigest()}"
    return ""


def _check_images(
    images: ImageStore, content: LocalContentStore, snapshots: Snapshotter, repair: bool
) -> Iterator[Finding]:
    for record in list(images):
        if not _image_fault(images, content, snapshots, record):
            continue
        with images.db.write():  # once more, while nobody can bring back what was missing
            wrong = _image_fault(images, content, snapshots, record) if record.id in images else ""
            if wrong and repair:
                images.remove(record.id)
        if wrong:
            yield Finding("image", record.id, wrong, repair)


def _image_fault(images: ImageStore, content: LocalContentStore, snapshots: Snapshotter, record: ImageRecord) -> str:
    try:
        size = content.stat(record.manifest).size
        row, chains, blobs = describe(content, Descriptor(record.media_type, record.manifest, size), record.parent)
        diff_ids = images.config(record.id).value.diff_ids
    except ScowError as error:
        return f"image {record.id} cannot be used: {error.message}"
    if row[0] != record.id:
        return f"image {record.id} has the manifest of image {row[0]}"
    if (chains[-1][0] if chains else None) != record.chain:
        return f"image {record.id} is recorded with other layers than its config names"
    unpacked = record.chain is None or snapshots.exists(record.chain)
    for digest, diff_id in zip(blobs[2:], diff_ids, strict=True):
        if digest not in content and diff_id not in content and not unpacked:
            return f"image {record.id} lacks its layer {digest}"
    owned = set(images.leases.owned(f"image:{record.id}"))
    if any(("blob", digest) not in owned for digest in blobs):
        return f"image {record.id} is not linked to all its blobs"
    return ""


def _check_names(images: ImageStore, repair: bool) -> Iterator[Finding]:
    for table, column, kind in (
        ("names", "name", "name"),
        ("repo_digests", "repository || '@' || digest", "name"),
        ("image_chains", "chain", "counter"),
    ):
        where = "image NOT IN (SELECT id FROM images)"
        with images.db.write() as connection:
            lost = connection.execute(f"SELECT {column}, image FROM {table} WHERE {where}").fetchall()  # noqa: S608
            if repair and lost:
                connection.execute(f"DELETE FROM {table} WHERE {where}")  # noqa: S608
        for subject, image in lost:
            yield Finding(kind, subject, f"{subject} points to image {image}, which does not exist", repair)


def _check_counters(images: ImageStore, repair: bool) -> Iterator[Finding]:
    with images.db.write() as connection:
        wrong = connection.execute(
            """SELECT chain, refs, (SELECT COUNT(*) FROM image_chains WHERE image_chains.chain = chains.chain) AS found
               FROM chains WHERE refs != found"""
        ).fetchall()
        if repair and wrong:
            connection.execute(
                "UPDATE chains SET refs = (SELECT COUNT(*) FROM image_chains WHERE image_chains.chain = chains.chain)"
            )
            connection.execute("DELETE FROM chains WHERE refs = 0")
        sums = connection.execute(
            """SELECT id, size, (SELECT COALESCE(SUM(chains.size), 0) FROM image_chains JOIN chains USING (chain)
               WHERE image = images.id) AS found FROM images WHERE size != found"""
        ).fetchall()
        if repair and sums:
            connection.executemany("UPDATE images SET size = ? WHERE id = ?", [(found, key) for key, _, found in sums])
    for chain, refs, found in wrong:
        yield Finding("counter", chain, f"chain {chain} counts {refs} images instead of {found}", repair)
    for image, size, found in sums:
        yield Finding("counter", image, f"image {image} counts {size} bytes instead of {found}", repair)


def _check_links(images: ImageStore, content: LocalContentStore, snapshots: Snapshotter) -> Iterator[Finding]:
    """Look for references to what is not there; those of leases and builds may be ahead of what they name."""
    names = {info.name for info in snapshots}
    for owner, kind, key in images.leases.graph():
        if not owner.startswith("snapshot:"):
            continue
        if kind == "snapshot" and key not in names:
            yield Finding("link", owner, f"{owner} stands on {key}, which does not exist", repaired=False)
        elif kind == "blob" and owner[9:] in names and key not in content:
            yield Finding("link", owner, f"{owner} needs blob {key}, which is missing", repaired=False)


def _check_strays(root: str, content: LocalContentStore, repair: bool) -> Iterator[Finding]:
    for digest in content.strays():
        path = content.path(digest)
        if _is_young(path):
            continue
        if repair:
            content.remove_files([digest])
        yield Finding("stray", path, f"{path!r} is a blob that no row names", repair)
    top = os.path.join(root, "ingest")
    for name in sorted(os.listdir(top)) if repair and os.path.isdir(top) else ():
        if not _is_young(os.path.join(top, name)):
            content.sweep_ingests(_YOUNG_SECONDS)
            break


def _is_young(path: str) -> bool:
    try:
        return time.time() - os.lstat(path).st_ctime < _YOUNG_SECONDS
    except FileNotFoundError:
        return True
