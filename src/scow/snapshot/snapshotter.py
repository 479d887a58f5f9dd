# SPDX-License-Identifier: Apache-2.0
"""What a snapshotter is: layers and upper directories, stacked into trees that somebody else mounts.

Words: a *committed* snapshot has a name, never changes and may be a parent. An *active* one has a key, a writable upper
directory and at most one parent; a *view* is the same without writing. A *staged* layer was read but has no place yet.

=========  ==========================  ============================================
state      comes from                  leads to
=========  ==========================  ============================================
active     ``prepare``                 ``commit`` (committed), ``remove``
view       ``view``                    ``remove``
staged     ``stage``, ``stage_blob``   ``link`` (committed), end of its lease
committed  ``commit``, ``link``        ``remove``, when nothing stands on it
=========  ==========================  ============================================

Every method is safe to call from many threads and processes; a process killed in any of them leaves nothing that
``check(repair=True)`` does not take away, and takes nothing away that was finished. Snapshotters return mounts and
never make them.

In the graph of references (``base.leases``) a snapshot is the object ``("snapshot", name or key)``, and the owner
``snapshot:<name or key>`` of its parent and of its layer's blob. Somebody alive must own it, from the transaction in
which it appears: pass ``lease``, or wrap the call in ``with db.write():`` together with your own ``leases.link``.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.base.leases import Lease
    from scow.layer.changeset import Limits, Pending, Readable
    from scow.linux.mount import Mount
    from scow.oci.digest import DiffID


class SnapshotInfo(NamedTuple):
    """What is known of one snapshot.

    Attributes:
        name: Its name, or its key.
        kind: ``committed``, ``active``, ``view`` or ``staged``.
        parent: Name of the snapshot below, or ``None``.
        created: Seconds since the epoch.
        form: ``upper`` (a directory of differences), ``tree`` (a layer unpacked) or ``index`` (EROFS over a tar).
        diff_id: The layer it was made from, or ``None``.
        size: Bytes of file data in its layer; 0 when it was never counted.
        entries: Number of entries of its layer; 0 when it was never counted.
    """

    name: str
    kind: str
    parent: str | None
    created: float
    form: str
    diff_id: DiffID | None
    size: int
    entries: int


class Usage(NamedTuple):
    """What a snapshot takes on disk beyond its parent and beyond blobs of the content store.

    Attributes:
        size: Bytes.
        inodes: Files and directories.
    """

    size: int
    inodes: int


class Staged(NamedTuple):
    """A layer that has been read and verified, and can be linked onto any parent.

    Attributes:
        token: Its name in the snapshot room.
        diff_id: Digest of the uncompressed tar.
        size: Bytes of the tar.
        entries: Number of entries.
        pending: What only the parent can answer.
    """

    token: str
    diff_id: DiffID
    size: int
    entries: int
    pending: Pending


class Problem(NamedTuple):
    """Something fsck found.

    Attributes:
        kind: ``orphan``, ``missing``, ``corrupt``, ``link`` or ``unfinished``.
        subject: Snapshot name or path.
        message: One sentence.
        repaired: Whether it has been put right.
    """

    kind: str
    subject: str
    message: str
    repaired: bool


class Snapshotter(Protocol):
    """Keeps snapshots of one store."""

    @property
    def kind(self) -> str:
        """``erofs`` or ``overlay``: how new layers are kept."""

    def prepare(
        self, key: str, parent: str | None = None, *, volatile: bool = False, lease: Lease | None = None
    ) -> tuple[Mount, ...]:
        """Begin an active snapshot.

        Args:
            key: A new key.
            parent: A committed snapshot to stand on, or ``None`` for an empty tree.
            volatile: Nothing in it needs to survive a power failure; unmounting then does not wait for the disk, and
                fsync(2) inside does nothing. For build steps and containers that are removed when they stop.
            lease: Keeps it alive.

        Returns:
            Mounts for ``linux.mount.mount_all``, in the namespace where the tree is wanted.

        Raises:
            NotFoundError: There is no such parent.
            ConflictError: The key is taken.
        """

    def view(self, key: str, parent: str, *, lease: Lease | None = None) -> tuple[Mount, ...]:
        """Begin a read-only view of a committed snapshot.

        Raises:
            NotFoundError: There is no such parent.
            ConflictError: The key is taken.
        """

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """The mounts of an active snapshot or view, again.

        Raises:
            NotFoundError: There is no such key.
            CorruptError: It was volatile, and the machine has gone down since.
        """

    def upper(self, key: str) -> str:
        """Directory with the differences of a snapshot, in overlayfs form.

        Args:
            key: An active snapshot, or a committed one that was made by ``commit``.

        Raises:
            NotFoundError: There is no such snapshot, or it has no such directory.
        """

    def commit(self, name: str, key: str, *, lease: Lease | None = None) -> None:
        """Make an active snapshot a committed one, at once and without copying; its key is gone afterwards.

        It must not be mounted any more, or at least not be written to.

        Args:
            name: The new name.
            key: The active snapshot.
            lease: Keeps it alive.

        Raises:
            NotFoundError: There is no such active snapshot.
            ConflictError: The name is taken; the active snapshot stays.
        """

    def stage(
        self, tar: Readable, *, lease: Lease, diff_id: DiffID | None = None, limits: Limits | None = None
    ) -> Staged:
        """Read an uncompressed layer and keep it in the form this snapshotter mounts.

        Layers may be staged in parallel and in any order.

        Args:
            tar: The stream; read to its end.
            lease: Keeps the staged layer alive until it is linked.
            diff_id: What its digest must be.
            limits: Bounds.

        Raises:
            CorruptError: The digest differs, or the tar is malformed.
            LimitError: A bound was hit.
        """

    def find_out(self) -> None:
        """Find out how layers are kept on this host, if that is not known yet; else the first layer waits for it."""

    def stage_blob(self, diff_id: DiffID, *, lease: Lease, limits: Limits | None = None) -> Staged:
        """Stage a layer whose uncompressed tar is a blob of the content store.

        Raises:
            NotFoundError: There is no such blob.
            CorruptError: The tar is malformed.
            LimitError: A bound was hit.
        """

    def link(self, name: str, staged: Staged, parent: str | None = None, *, lease: Lease | None = None) -> None:
        """Put a staged layer on a parent and call the result ``name``; the staged layer is used up.

        Directories the layer only implies take the metadata they have in the parent. When the name exists already
        (another process was faster), the staged layer is dropped.

        Raises:
            NotFoundError: There is no such parent or staged layer.
        """

    def ready(self, name: str) -> object:
        """Do what standing on a committed snapshot would do first, write its index, and make unpacked layers durable.

        Linking a stack of layers stays cheap this way; whoever has linked the top one calls this, so that errors show
        and time is spent there and not in the first ``prepare``.

        Raises:
            NotFoundError: There is no such snapshot.
            LayerError: Its layers do not fit together.
            CorruptError: A layer is damaged.
        """

    def exists(self, name: str) -> bool:
        """Whether a committed snapshot has this name."""

    def hold(self, name: str, lease: Lease) -> bool:
        """Find a committed snapshot and keep it alive, in one step.

        Returns:
            False when it is not there.
        """

    def stat(self, name: str) -> SnapshotInfo:
        """Tell about one snapshot.

        Args:
            name: A name or a key.

        Raises:
            NotFoundError: There is no such snapshot.
        """

    def usage(self, name: str) -> Usage:
        """Count what a snapshot takes on disk.

        Raises:
            NotFoundError: There is no such snapshot.
        """

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a snapshot; absent is not an error.

        Args:
            name: A name or a key.
            force: Do not ask for owners: the caller is the collector, or the owner itself.

        Raises:
            ConflictError: Another snapshot stands on it, or something alive owns it.
        """

    def sweep_orphans(self) -> int:
        """Remove directories that belong to no snapshot: those of processes that were killed.

        Returns:
            How many.
        """

    def sync(self) -> None:
        """Write all snapshots to the disk, so that they survive a power failure."""

    def check(self, *, repair: bool = False) -> Iterator[Problem]:
        """Look at every snapshot, index, directory and link; take away what a killed process left.

        Args:
            repair: Put right what can be.
        """

    def __iter__(self) -> Iterator[SnapshotInfo]:
        """All snapshots, oldest first."""
