# SPDX-License-Identifier: Apache-2.0
"""What steps work with: the store's rooms, the runner, limits, and trees mounted where only one thread sees them."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from scow.errors import NotFoundError
from scow.linux.mount import mount_all, umount
from scow.linux.namespaces import run_private
from scow.oci.digest import chain_id
from scow.record import State
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from scow.base.database import Database
    from scow.base.leases import Lease, Leases
    from scow.build.context import ContextTree
    from scow.build.graph import LayerRef, Solved
    from scow.build.leaks import Needle
    from scow.build.options import BuildOptions
    from scow.build.scratch import Scratch
    from scow.build.stepnet import StepNetworks
    from scow.content.local import LocalContentStore
    from scow.layer.changeset import Limits, Writable
    from scow.oci.digest import ChainID, DiffID
    from scow.runtime.step import StepRunner
    from scow.snapshot.snapshotter import Snapshotter

    T = TypeVar("T")


class Workshop(State):
    """The rooms a build works with.

    Attributes:
        db: The store's database.
        leases: Its references.
        content: Its blobs.
        snapshots: Its snapshots, opened when first needed.
        runner: Runs commands, opened when first needed.
        lease: Holds everything until the build ends.
        root: The store's directory.
        places: What the build has for itself.
        limits: For layers.
        options: Of the build.
        epoch: ``SOURCE_DATE_EPOCH``, or ``None``.
        closers: Closed when the build ends, however it does.
        lock: For what several steps do to the snapshots.
        networks: Places for steps on the default network; ``None`` when steps are on the host's.
        bases: Makes the snapshot of a base image, by chain.
        scanned: The context as it was seen when a receipt was looked for.
        plain: Layers made in this build without any file that is looked into for credentials.
    """

    db: Database
    leases: Leases
    content: LocalContentStore
    open_snapshots: Callable[[], Snapshotter]
    open_runner: Callable[[], StepRunner]
    lease: Lease
    root: str
    places: Scratch
    limits: Limits
    options: BuildOptions
    epoch: int | None
    closers: ExitStack
    lock: threading.RLock
    networks: StepNetworks | None = None
    bases: dict[ChainID, Callable[[], object]] = {}  # noqa: RUF012 - copied
    scanned: ContextTree | None = None
    plain: set[DiffID] = set()  # noqa: RUF012 - copied
    _snapshots: Snapshotter | None = None
    _runner: StepRunner | None = None

    @property
    def snapshots(self) -> Snapshotter:
        """The store's snapshots."""
        with self.lock:
            if self._snapshots is None:
                self._snapshots = self.open_snapshots()
            return self._snapshots

    @property
    def runner(self) -> StepRunner:
        """Runs commands."""
        with self.lock:
            if self._runner is None:
                self._runner = self.open_runner()
            return self._runner

    @property
    def scratch(self) -> str:
        """A directory for temporary files that goes with the build."""
        return self.places.path

    @property
    def memory(self) -> str:
        """A directory for secrets, on a memory file system where the host has one."""
        return self.places.memory

    # ------------------------------------------------------------------ trees

    def stand(self, tree: Solved) -> str | None:
        """Make sure that a tree can be mounted; missing snapshots are made from the layers' blobs.

        Returns:
            Its snapshot's name; ``None`` for an empty tree.
        """
        chain = tree.chain
        if chain is None:
            return None
        with self.lock:
            if self.snapshots.hold(chain, self.lease):
                return chain
            name = tree.base
            if name is not None and not self.snapshots.hold(name, self.lease):
                self.bases[name]()
            for layer in tree.layers:
                above = chain_id(name, layer.diff_id)
                if not self.snapshots.hold(above, self.lease):
                    staged = self.snapshots.stage_blob(layer.diff_id, lease=self.lease, limits=self.limits)
                    self.snapshots.link(above, staged, name, lease=self.lease)
                name = above
        return chain

    def with_trees(self, names: Sequence[str | None], work: Callable[[Sequence[str]], T]) -> T:
        """Call something with trees mounted read-only, in a thread whose mounts nobody else sees.

        Args:
            names: Snapshots; ``None`` for an empty tree.
            work: Gets one directory for each name.

        Returns:
            What it returned.
        """
        if not any(names):
            with ExitStack() as stack:
                return work([self._empty(stack) for _ in names])

        def mounted() -> T:
            with ExitStack() as stack:
                return work([self._mounted(name, stack) if name else self._empty(stack) for name in names])

        return run_private(mounted)

    def _empty(self, stack: ExitStack) -> str:
        path = os.path.join(self.scratch, f"empty-{os.urandom(6).hex()}")
        os.mkdir(path, 0o755)
        stack.callback(os.rmdir, path)
        return path

    def _mounted(self, name: str, stack: ExitStack) -> str:
        key = f"build-view-{os.urandom(8).hex()}"
        mounts = self.snapshots.view(key, name, lease=self.lease)
        stack.callback(self.snapshots.remove, key, force=True)
        path = self._empty(stack)
        mount_all(mounts, path)
        stack.callback(umount, path, detach=True)
        return path

    # ------------------------------------------------------------------ layers

    def keep_layer(self, write: Callable[[Writable], int]) -> tuple[DiffID, int, int]:
        """Make a blob of a layer's tar.

        Args:
            write: Writes the tar and answers how many bytes of file data are in it.

        Returns:
            DiffID, bytes of the tar, bytes of file data.
        """
        from scow.build.spool import Spool
        from scow.oci.digest import DiffID

        with self._new_layer() as path:
            with Spool(path, hashing=True) as spool:
                usage = write(spool)
            diff = DiffID(spool.digest)
            self.content.adopt(path, diff, spool.size, self.lease)
        return diff, spool.size, usage

    def keep_upper(self, upper: str, wanted: list[Needle]) -> tuple[DiffID, int, int, tuple[Needle, int] | None]:
        """Make a blob of the layer that a step's directory is.

        Args:
            upper: The directory.
            wanted: Secrets to look out for.

        Returns:
            DiffID, bytes of the tar, bytes of file data, and the first secret found with its place.
        """
        from scow.build.leaks import Gate
        from scow.build.spool import Spool
        from scow.layer.diff import diff_upper

        with self._new_layer() as path:
            with Spool(path) as spool:
                gate = Gate(spool, wanted)
                applied = diff_upper(upper, gate if wanted else spool)
            self.content.adopt(path, applied.diff_id, applied.size, self.lease)
        return applied.diff_id, applied.size, applied.usage, gate.found

    @contextmanager
    def _new_layer(self) -> Iterator[str]:
        """A name for a file that becomes a blob, or goes."""
        path = os.path.join(self.scratch, f"layer-{os.urandom(8).hex()}")
        try:
            yield path
        except BaseException:
            if os.path.exists(path):
                os.unlink(path)
            raise

    def place(self, below: Solved, layer: LayerRef) -> Solved:
        """Put a layer, whose tar is a blob, on a tree."""
        above = below.plus(layer)
        chain = above.chain
        if chain is None:
            raise NotFoundError("a layer has no chain")
        parent = self.stand(below)
        if not self.snapshots.hold(chain, self.lease):
            staged = self.snapshots.stage_blob(layer.diff_id, lease=self.lease, limits=self.limits)
            self.snapshots.link(chain, staged, parent, lease=self.lease)
        return above
