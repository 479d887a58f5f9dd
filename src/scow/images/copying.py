# SPDX-License-Identifier: Apache-2.0
"""Copying images whole, with every platform and everything that refers to them, between any two places.

A copy walks from the top manifest down, moves blobs first (several at once, never one that the target has), then
manifests from the leaves up, and gives the name last: the target never names something incomplete. Bytes are kept, so
digests are the same on both sides.
"""

from __future__ import annotations

from scow.base.progress import Event, silent
from scow.base.streams import VerifiedReader
from scow.base.tasks import TaskGroup
from scow.content.target import ReferrerSource
from scow.distribution.pushing import EXISTS, MOUNTED, push_blob
from scow.distribution.repository import Repository
from scow.errors import CorruptError, LimitError
from scow.images.fetching import first_failure
from scow.oci.decode import MAX_MANIFEST_SIZE, decode_index, decode_manifest
from scow.oci.mediatype import is_foreign, is_index
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from scow.base.progress import Progress
    from scow.content.target import Source, Target
    from scow.oci.model import Descriptor

_NESTING = 8
_PARALLEL = 4
_MAX_MANIFESTS = 64 << 20
"""Bytes of all manifests of one copy, which are in memory at once."""


class Copied(NamedTuple):
    """What a copy did.

    Attributes:
        descriptor: The top manifest, the same on both sides.
        moved: Bytes of blobs that were moved.
        manifests: How many manifests are there now, referrers included.
    """

    descriptor: Descriptor
    moved: int
    manifests: int


def copy(
    source: Source,
    name: str,
    target: Target,
    new_name: str,
    *,
    only: Callable[[Descriptor], Descriptor] | None = None,
    referrers: bool = True,
    progress: Progress = silent,
) -> Copied:
    """Copy an image.

    Args:
        source: Where from.
        name: Its name there.
        target: Where to.
        new_name: Its name there; ``""`` for none.
        only: Chooses one manifest of the top one, such as the one for a platform; ``None`` takes everything.
        referrers: Take along what refers to it: signatures, attestations, and what refers to those.
        progress: Told what happens.

    Raises:
        ScowError: Something is missing, wrong or refused; the target's name is as before.
    """
    top = source.resolve(name)
    if only is not None:
        top = only(top)
    tree = Tree(source, referrers=referrers)
    tree.walk(top, 0)
    moving = _Moving(source, target, progress)
    moving.blobs(list(tree.blobs.values()))
    for desc in tree.manifests.values():
        moving.manifest(desc, tree.raws[desc.digest])
    if new_name or not isinstance(target, Repository):
        _name(target, top, tree.raws[top.digest], new_name)
    for desc in tree.extra:
        if not isinstance(target, Repository):
            target.tag(desc, "")
    return Copied(top, moving.moved, len(tree.manifests))


def _name(target: Target, desc: Descriptor, raw: bytes, name: str) -> None:
    if isinstance(target, Repository):
        target.push_manifest(desc, raw, name)
    else:
        target.tag(desc, name)


class Tree:
    """Everything below and around a manifest, leaves first.

    Args:
        source: Where it is.
        referrers: Enter what refers to it, too.

    Attributes:
        blobs: What is no manifest, by digest.
        manifests: Manifests and indexes by digest; what one needs stands before it.
        raws: Their bytes, verified.
        extra: Those of them that are here because they refer to another one.
    """

    def __init__(self, source: Source, *, referrers: bool) -> None:
        self.source = source
        self.referrers = referrers
        self.blobs: dict[str, Descriptor] = {}
        self.manifests: dict[str, Descriptor] = {}
        self.raws: dict[str, bytes] = {}
        self.extra: list[Descriptor] = []
        self._seen: set[str] = set()
        self._left = _MAX_MANIFESTS

    def walk(self, desc: Descriptor, depth: int) -> None:
        """Enter a manifest and what it needs.

        Raises:
            CorruptError: It is not what its digest says, or nests too deep.
            LimitError: It is too large, or all of them are.
        """
        if desc.digest in self._seen:
            return
        self._seen.add(desc.digest)
        if depth > _NESTING:
            raise CorruptError(f"manifest {desc.digest} stands more than {_NESTING} levels deep")
        raw = self._read(desc)
        if is_index(desc.media_type):
            for child in decode_index(raw, desc.media_type).value.manifests:
                self.walk(child, depth + 1)
        else:
            manifest = decode_manifest(raw, desc.media_type).value
            for blob in (manifest.config, *manifest.layers):
                self.blobs.setdefault(blob.digest, blob)
        self.raws[desc.digest] = raw
        self.manifests[desc.digest] = desc
        if self.referrers and isinstance(self.source, ReferrerSource):
            for other in list(self.source.referrers(desc)):
                self.extra.append(other)
                self.walk(other, depth + 1)

    def _read(self, desc: Descriptor) -> bytes:
        if desc.size > MAX_MANIFEST_SIZE:
            raise LimitError(f"manifest {desc.digest} has {desc.size} bytes, more than {MAX_MANIFEST_SIZE}")
        self._left -= desc.size
        if self._left < 0:
            raise LimitError(f"the image has manifests of more than {_MAX_MANIFESTS} bytes")
        with self.source.fetch(desc) as stream:
            return VerifiedReader(stream, desc.digest, desc.size).read()


class _Moving:
    """What goes to the target."""

    def __init__(self, source: Source, target: Target, progress: Progress) -> None:
        self.source = source
        self.target = target
        self.progress = progress
        self.moved = 0

    def blobs(self, blobs: list[Descriptor]) -> None:
        """Move blobs, the largest first, several at once."""
        for blob in blobs:
            self.progress(Event(blob.digest.encoded[:12], "Waiting"))
        group = TaskGroup(_PARALLEL)
        if isinstance(self.target, Repository):
            group.on_cancel(self.target.origin.stopper.stop)
        with first_failure(), group:
            tasks = [group.spawn(self._blob, blob, group.check) for blob in sorted(blobs, key=lambda b: -b.size)]
        self.moved = sum(task.result() for task in tasks)

    def _blob(self, desc: Descriptor, check: Callable[[], None]) -> int:
        task = desc.digest.encoded[:12]
        if is_foreign(desc):
            self.progress(Event(task, "Skipped foreign layer"))
            return 0

        def report(done: int) -> None:
            check()
            self.progress(Event(task, "Copying", done, desc.size))

        if isinstance(self.target, Repository):
            how = self._to_registry(self.target, desc, report)
            self.progress(Event(task, {EXISTS: "Already exists", MOUNTED: "Mounted from source"}.get(how, "Copied")))
            return 0 if how in {EXISTS, MOUNTED} else desc.size
        if self.target.exists(desc):
            self.progress(Event(task, "Already exists"))
            return 0
        with self.source.fetch(desc) as stream:
            self.target.push(desc, _Counted(stream, report))  # type: ignore[arg-type]  # only read is used
        self.progress(Event(task, "Copied", desc.size, desc.size))
        return desc.size

    def _to_registry(self, target: Repository, desc: Descriptor, report: Callable[[int], None]) -> str:
        mounts = []
        source = self.source
        if isinstance(source, Repository) and source.origin.endpoint.host == target.origin.endpoint.host:
            mounts = [source.origin.endpoint.path]

        def opened(offset: int) -> BinaryIO:
            return source.fetch(desc, offset=offset)

        return push_blob(target, desc, opened, mounts=mounts, report=report)

    def manifest(self, desc: Descriptor, raw: bytes) -> None:
        """Move a manifest whose parts are there."""
        import io

        if isinstance(self.target, Repository):
            if not self.target.exists(desc):
                self.target.push_manifest(desc, raw)
        elif not self.target.exists(desc):
            self.target.push(desc, io.BytesIO(raw))


class _Counted:
    """Tells how far a stream has been read."""

    def __init__(self, stream: BinaryIO, report: Callable[[int], None]) -> None:
        self._stream = stream
        self._report = report
        self._done = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        self._report(self._done)
        return data
