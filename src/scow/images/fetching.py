# SPDX-License-Identifier: Apache-2.0
"""The threads of one pull: some download the largest blobs first, some unpack behind them, the caller's links.

A download fills its ingest as fast as the network allows; the unpacker of the same layer follows in that file
(:mod:`.growing`) and cannot finish before the bytes are verified. Finished layers are linked in their order. The first
failure stops all of it; what was downloaded stays for the next attempt.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import contextmanager

from scow.base.progress import Event
from scow.base.tasks import TaskGroup
from scow.distribution.blobs import download
from scow.errors import CancelledError, CorruptError, LimitError, ScowError
from scow.images.growing import GrowingFile, RestartedError
from scow.layer.compression import open_stream
from scow.oci.mediatype import compression_of
from scow.typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from scow.base.leases import Lease
    from scow.base.progress import Progress
    from scow.base.streams import Readable
    from scow.content.ingest import LocalIngest
    from scow.content.local import LocalContentStore
    from scow.distribution.repository import Repository
    from scow.layer.changeset import Limits
    from scow.oci.digest import ChainID, DiffID
    from scow.oci.model import Descriptor
    from scow.snapshot.snapshotter import Snapshotter, Staged

DOWNLOADS = 4


class LayerPlan(NamedTuple):
    """What one layer of an image needs.

    Attributes:
        desc: Its blob.
        diff_id: Its uncompressed digest.
        chain: The stack up to it.
        has_blob: Whether the store has the blob.
        has_snapshot: Whether the store has the stack.
    """

    desc: Descriptor
    diff_id: DiffID
    chain: ChainID
    has_blob: bool
    has_snapshot: bool


class Job:
    """One layer on its way."""

    def __init__(self, position: int, plan: LayerPlan) -> None:
        self.position = position
        self.plan = plan
        self.file = GrowingFile()
        self.arrived = plan.has_blob
        self.staged: Staged | None = None

    @property
    def task(self) -> str:
        """How progress names it."""
        return self.plan.desc.digest.encoded[:12]


class Place(NamedTuple):
    """Where fetched layers go, and what holds them there.

    Attributes:
        content: Takes blobs.
        snapshots: Takes trees.
        lease: Holds both.
        limits: Bounds for each layer.
        progress: Told what happens.
    """

    content: LocalContentStore
    snapshots: Snapshotter
    lease: Lease
    limits: Limits
    progress: Progress


class _Watched:
    """Tells how far a stream has been read."""

    def __init__(self, source: Readable, report: Callable[[int], None]) -> None:
        self._source = source
        self._report = report
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._position += len(data)
        self._report(self._position)
        return data


def _named(error: ScowError, desc: Descriptor) -> ScowError:
    """Say in which layer it happened."""
    if not isinstance(error, (CorruptError, LimitError)) or desc.digest in error.message:
        return error
    kind = LimitError if isinstance(error, LimitError) else CorruptError
    return kind(f"layer {desc.digest}: {error.message}", hint=error.hint)


@contextmanager
def first_failure() -> Iterator[None]:
    """Let the first failure of a task group stand for the others, which mostly follow from it.

    Who waits for another task may see its end before the group does, and say only that it was stopped.

    Raises:
        BaseException: The first of several, from the group that has them all.
    """
    try:
        yield
    except ExceptionGroup as several:
        causes = [error for error in several.exceptions if not isinstance(error, CancelledError)]
        raise (causes or several.exceptions)[0] from several


class Fetch:
    """One image's layers on their way here.

    Args:
        place: Where they go.
        repository: Where they come from.
        jobs: All layers, lowest first.
    """

    def __init__(self, place: Place, repository: Repository, jobs: list[Job]) -> None:
        self.place = place
        self.repository = repository
        self.jobs = jobs
        self.condition = threading.Condition()
        self.unpacking: deque[Job] = deque()
        self.closed = False
        self.committed: set[str] = set()
        # the same blob twice is fetched once, the same layer twice is staged from its blob the second time
        self.leaders: dict[str, list[Job]] = {}
        seen: set[tuple[str, str]] = set()
        first: dict[str, Job] = {}
        for job in jobs:
            plan = job.plan
            if not plan.has_blob:
                first.setdefault(plan.desc.digest, job)
            if not plan.has_snapshot and (plan.desc.digest, plan.diff_id) not in seen:
                seen.add((plan.desc.digest, plan.diff_id))
                self.leaders.setdefault(plan.desc.digest, []).append(job)
        # the largest first, so that no large layer is left for the end
        self.downloads = deque(sorted(first.values(), key=lambda job: -job.plan.desc.size))
        self.needed = bool(self.downloads or self.leaders)
        self.group = TaskGroup()

    def run(self, meanwhile: Callable[[], None]) -> dict[ChainID, int]:
        """Do it all.

        Args:
            meanwhile: Called when the downloads have begun.

        Returns:
            Bytes of file data of the stacks that were made.

        Raises:
            ScowError: The first thing that went wrong.
        """
        self.group.on_cancel(self._wake)
        self.group.on_cancel(self.repository.origin.stopper.stop)
        sizes: dict[ChainID, int] = {}
        leaders = [job for jobs in self.leaders.values() for job in jobs]
        with first_failure(), self.group as group:
            for job in leaders:
                if job.plan.has_blob:
                    self._offer(job)
            for _ in range(min(DOWNLOADS, len(self.downloads))):
                group.spawn(self._download_all)
            for _ in range(min(max(2, os.cpu_count() or 1) + 1, len(leaders))):
                group.spawn(self._unpack_all)
            try:
                meanwhile()
                self._link_all(sizes)
            finally:
                self._close()
        return sizes

    def _wake(self) -> None:
        with self.condition:
            self.condition.notify_all()

    def _close(self) -> None:
        with self.condition:
            self.closed = True
            self.condition.notify_all()

    def _offer(self, job: Job) -> None:
        with self.condition:
            self.unpacking.append(job)
            self.condition.notify_all()

    # ------------------------------------------------------------------ downloading

    def _download_all(self) -> None:
        while not self.group.cancelled:
            try:
                job = self.downloads.popleft()
            except IndexError:
                return
            try:
                self._download(job)
            except BaseException:
                job.file.failed()
                raise

    def _download(self, job: Job) -> None:
        place, desc = self.place, job.plan.desc
        waiting = self.leaders.get(desc.digest, [])
        # a plain tar is the layer itself: it is staged as a blob, not written a second time
        follow = compression_of(desc.media_type) != "none"
        with place.content.ingest(desc.digest, desc.digest.algorithm) as ingest:
            if place.content.hold(desc.digest, place.lease):
                # another process was faster
                ingest.discard()
                follow = False
            else:
                job.file.begin(ingest.path, ingest.offset)
                for other in waiting if follow else ():
                    other.file = job.file
                    self._offer(other)
                self._receive(job, ingest)
        with self.condition:
            self.committed.add(desc.digest)
            self.condition.notify_all()
        for other in waiting if not follow else ():
            other.plan = other.plan._replace(has_blob=True)
            self._offer(other)
        if not waiting:
            place.progress(Event(job.task, "Pull complete"))

    def _receive(self, job: Job, ingest: LocalIngest) -> None:
        place, desc = self.place, job.plan.desc
        place.progress(Event(job.task, "Downloading", ingest.offset, desc.size))

        def report(reached: int) -> None:
            job.file.advance(reached)
            place.progress(Event(job.task, "Downloading", reached, desc.size))

        download(self.repository, desc, ingest, report=report)
        place.progress(Event(job.task, "Download complete", desc.size, desc.size))
        job.arrived = True
        job.file.verified()
        ingest.commit(desc.digest, desc.size, lease=place.lease)

    # ------------------------------------------------------------------ unpacking

    def _unpack_all(self) -> None:
        self.place.snapshots.find_out()  # a new store does not know; meanwhile the first bytes come
        while True:
            with self.condition:
                while not self.unpacking and not self.closed and not self.group.cancelled:
                    self.condition.wait()
                if not self.unpacking or self.group.cancelled:
                    return
                job = self.unpacking.popleft()
            staged = self._unpack(job)
            with self.condition:
                job.staged = staged
                self.condition.notify_all()

    def _unpack(self, job: Job) -> Staged:
        place, plan = self.place, job.plan
        if plan.has_blob or plan.diff_id in place.content:
            return self._unpack_blob(job)
        while True:
            try:
                reader = job.file.open()
            except FileNotFoundError:
                # the download was faster than this thread was free: the file is a blob by now
                return self._again(job)
            round_ = reader.round
            try:
                return self._stage(job, reader)
            except RestartedError:
                continue
            except ScowError as error:
                # when the bytes were wrong, the download tells; only right bytes make it the layer's fault
                if job.file.settled(round_):
                    raise _named(error, plan.desc) from error
                if job.file.round != round_:
                    continue
                raise CancelledError("the download failed") from error
            finally:
                reader.close()

    def _unpack_blob(self, job: Job) -> Staged:
        place, plan = self.place, job.plan
        place.progress(Event(job.task, "Extracting", 0, plan.desc.size))
        try:
            if place.content.hold(plan.diff_id, place.lease):
                return place.snapshots.stage_blob(plan.diff_id, lease=place.lease, limits=place.limits)
            with place.content.open(plan.desc) as raw:
                return self._stage(job, raw)
        except ScowError as error:
            raise _named(error, plan.desc) from error

    def _stage(self, job: Job, source: Readable) -> Staged:
        place, plan = self.place, job.plan
        stream = open_stream(
            _Watched(source, self._reporter(job)), compression_of(plan.desc.media_type), limits=place.limits
        )
        return place.snapshots.stage(
            cast("BinaryIO", stream), lease=place.lease, diff_id=plan.diff_id, limits=place.limits
        )

    def _reporter(self, job: Job) -> Callable[[int], None]:
        progress, total, task = self.place.progress, job.plan.desc.size, job.task
        group = self.group

        def report(position: int) -> None:
            group.check()
            if job.arrived:  # while it is still coming, the download is what people wait for
                progress(Event(task, "Extracting", position, total))

        return report

    # ------------------------------------------------------------------ linking

    def _link_all(self, sizes: dict[ChainID, int]) -> None:
        snapshots = self.place.snapshots
        for job in self.jobs:
            chain = job.plan.chain
            parent = self.jobs[job.position - 1].plan.chain if job.position else None
            if job.plan.has_snapshot:
                continue
            staged = self._wait(job) if self._leads(job) else self._again(job)
            sizes[chain] = snapshots.stat(staged.token).size
            snapshots.link(chain, staged, parent, lease=self.place.lease)
            self.place.progress(Event(job.task, "Pull complete"))
        if self.jobs:
            snapshots.ready(self.jobs[-1].plan.chain)

    def _leads(self, job: Job) -> bool:
        return any(job is leader for leader in self.leaders[job.plan.desc.digest])

    def _wait(self, job: Job) -> Staged:
        with self.condition:
            while job.staged is None:
                self.group.check()
                self.condition.wait()
            return job.staged

    def _again(self, job: Job) -> Staged:
        with self.condition:
            while not job.plan.has_blob and job.plan.desc.digest not in self.committed:
                self.group.check()
                self.condition.wait()
        return self._unpack_blob(job)
