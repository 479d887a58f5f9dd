# SPDX-License-Identifier: Apache-2.0
"""Which way of keeping layers this host supports, and why.

EROFS is asked for by doing it once, in the store's own file system: kernels, sandboxes and file systems differ in ways
that no version number tells.
"""

from __future__ import annotations

import os

from scow.errors import InvalidArgumentError, ScowError, UnsupportedError
from scow.linux.capabilities import may_mount
from scow.linux.idmaps import in_user_namespace
from scow.linux.mount import Mount, mount_all
from scow.snapshot.overlay import COPIES, Snapshots
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.base.database import Database
    from scow.base.leases import Leases
    from scow.content.local import LocalContentStore

KINDS = ("erofs", "overlay", "copying")
_PROBE = b"scow\n" * 200


class Choice(NamedTuple):
    """What new layers are kept as.

    Attributes:
        kind: ``erofs``, ``overlay`` or ``copying``; ``tars`` where images can only be moved.
        reason: Why, as part of a sentence.
    """

    kind: str
    reason: str


def open_snapshotter(root: str, db: Database, content: LocalContentStore, leases: Leases, kind: str = "") -> Snapshots:
    """Open the snapshots of a store; nothing is tried before the first layer arrives.

    Args:
        root: The store's directory.
        db: The store's database.
        content: The store's blobs.
        leases: The store's references.
        kind: One of :data:`KINDS`; ``""`` chooses by what the host can do.

    Raises:
        InvalidArgumentError: There is no such kind.
    """
    if kind and kind not in KINDS:
        raise InvalidArgumentError(f"there is no snapshotter {kind!r}", hint=f"There are {', '.join(KINDS)}.")
    return Snapshots(root, db, content, leases, kind)


def choose(root: str) -> Choice:
    """Find the best way of keeping layers that works here.

    Args:
        root: The store's directory, in whose file system it is tried.
    """
    from scow.linux.features import may_make
    from scow.linux.namespaces import run_private

    if not may_mount():
        if os.geteuid() == 0:
            return Choice("copying", "this process may not mount (CAP_SYS_ADMIN)")
        return Choice("tars", "this process may not mount, and is not root")
    try:
        if in_user_namespace() and not run_private(lambda: may_make("erofs")):
            raise UnsupportedError("only the host's root may mount it on this kernel")
        _try_erofs(root)
    except ScowError as error:
        reason = f"EROFS does not work here: {error.message}"
    else:
        return Choice("erofs", f"Linux {os.uname().release} mounts layers from their tars")
    marker = os.path.join(root, COPIES)
    try:
        _try_overlay(root)
    except ScowError as error:
        os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return Choice("copying", f"{reason}; overlayfs neither: {error.message}")
    if os.path.exists(marker):
        os.unlink(marker)
    return Choice("overlay", reason)


def describe(root: str, kind: str = "") -> Choice:
    """Tell what is used, and why, for ``scow info``.

    Args:
        root: The store's directory.
        kind: What the settings force, or ``""``.
    """
    return Choice(kind, "SCOW_SNAPSHOTTER says so") if kind else choose(root)


def _try_overlay(root: str) -> None:
    """Lay a directory over another, and change what is in the lower one.

    Raises:
        ScowError: It does not work here.
    """
    from scow.base.files import temporary_directory
    from scow.layer.whiteout import is_whiteout
    from scow.linux.namespaces import run_private

    marks = ("userxattr",) if in_user_namespace() else ()
    with temporary_directory(os.path.join(root, "tmp"), "try-") as top:
        for name in ("lower", "upper", "work", "seen"):
            os.mkdir(f"{top}/{name}")
        with open(f"{top}/lower/probe", "wb") as file:
            file.write(_PROBE)
        options = (f"lowerdir+={top}/lower", f"upperdir={top}/upper", f"workdir={top}/work", "index=off", *marks)

        def change() -> None:
            mount_all((Mount("overlay", "scow", "", options),), f"{top}/seen")
            with open(f"{top}/seen/probe", "ab") as file:
                file.write(b"x")
            os.unlink(f"{top}/seen/probe")

        try:
            run_private(change)
        except OSError as error:
            raise UnsupportedError(f"changing files through it fails: {error.strerror}") from error
        if not is_whiteout(os.lstat(f"{top}/upper/probe")):
            raise UnsupportedError("a removed file leaves no mark")


def _try_erofs(root: str) -> None:
    """Make a layer, mount it below an overlay and read it back.

    Raises:
        ScowError: It does not work here.
    """
    from scow.base.files import temporary_directory
    from scow.layer.erofs import Source, write_index
    from scow.layer.tarformat import TarEntry
    from scow.layer.tarwrite import TarWriter
    from scow.layer.toc import scan_file
    from scow.linux.namespaces import run_private
    from scow.oci.digest import DiffID, Digest

    with temporary_directory(os.path.join(root, "tmp"), "try-") as top:
        for name in ("upper", "work", "index.d", "seen"):
            os.mkdir(f"{top}/{name}")
        with open(f"{top}/tar", "wb") as file:
            writer = TarWriter(file)
            writer.add(TarEntry(b"probe", size=len(_PROBE)), (_PROBE,))
            writer.close()
        with open(f"{top}/tar", "rb") as tar, open(f"{top}/table", "wb") as table:
            scan_file(tar, DiffID(Digest("sha256:" + "0" * 64)), table)
        write_index([Source(f"{top}/tar", f"{top}/table")], f"{top}/index")
        mounts = (
            Mount("erofs", f"{top}/index", f"{top}/index.d", ("ro", f"device={top}/tar")),
            Mount(
                "overlay",
                "scow",
                "",
                (f"lowerdir+={top}/index.d", f"upperdir={top}/upper", f"workdir={top}/work", "index=off", "volatile"),
            ),
        )

        def look() -> bytes:
            mount_all(mounts, f"{top}/seen")
            with open(f"{top}/seen/probe", "rb") as file:
                return file.read()

        try:
            seen = run_private(look)
        except OSError as error:
            raise UnsupportedError(f"reading through it fails: {error.strerror}") from error
        if seen != _PROBE:
            raise UnsupportedError("it shows other bytes than were written")
