# SPDX-License-Identifier: Apache-2.0
"""What an image of the store brings along, for advice about Dockerfiles: its configuration, package managers, users.

The tree is mounted read-only for a moment, where nobody else sees it; whoever may not mount gets the configuration.
"""

from __future__ import annotations

import os
import tempfile

from scow.errors import DeniedError, ScowError
from scow.linux.beneath import Tree
from scow.linux.mount import mount_all, umount
from scow.linux.namespaces import run_private
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

    from scow.base.leases import Leases
    from scow.images.store import ImageStore
    from scow.oci.model import ImageConfig
    from scow.snapshot.snapshotter import Snapshotter

_PROGRAMS: Final = ("apt-get", "apk", "dnf", "microdnf", "yum", "zypper")
_FOLDERS: Final = ("usr/bin", "bin", "sbin", "usr/sbin")
_PASSWD_LIMIT: Final = 4 << 20


class Knowledge(NamedTuple):
    """What is known of an image.

    Attributes:
        config: Its configuration.
        managers: Package managers in it; ``None`` when its tree could not be read.
        users: Names in its /etc/passwd; ``None`` when its tree could not be read.
    """

    config: ImageConfig
    managers: frozenset[str] | None = None
    users: frozenset[str] | None = None


def know(images: ImageStore, snapshots: Snapshotter, leases: Leases, name: str) -> Knowledge:
    """Look into an image.

    Raises:
        ImageNotFoundError: It is not in the store.
        ScowError: The store has lost its configuration.
    """
    with leases.hold("lint") as lease:
        record = images.resolve(name)
        config = images.config(record.id).value
        if record.chain is None:
            return Knowledge(config, frozenset(), frozenset())
        chain = record.chain

        def look() -> Knowledge:
            with tempfile.TemporaryDirectory(prefix="scow-look-") as folder:
                mount_all(mounts, folder)
                try:
                    with Tree(folder) as tree:
                        return Knowledge(config, _managers(tree), _users(tree))
                finally:
                    umount(folder, detach=True)

        key = f"look-{os.urandom(8).hex()}"
        try:
            if not snapshots.hold(chain, lease):
                return Knowledge(config)
            mounts = snapshots.view(key, chain, lease=lease)
        except ScowError:
            return Knowledge(config)
        try:
            return run_private(look)
        except (DeniedError, OSError):
            return Knowledge(config)
        finally:
            snapshots.remove(key, force=True)


def _managers(tree: Tree) -> frozenset[str]:
    return frozenset(
        program for program in _PROGRAMS if any(_exists(tree, f"{folder}/{program}") for folder in _FOLDERS)
    )


def _exists(tree: Tree, path: str) -> bool:
    try:
        fd = tree.open_in_root(path.encode(), os.O_PATH | os.O_CLOEXEC, 0)
    except OSError:
        return False
    os.close(fd)
    return True


def _users(tree: Tree) -> frozenset[str]:
    try:
        fd = tree.open_in_root(b"etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0)
    except OSError:
        return frozenset()
    try:
        data = os.read(fd, _PASSWD_LIMIT)
    except OSError:
        return frozenset()
    finally:
        os.close(fd)
    return frozenset(line.partition(":")[0] for line in data.decode("utf-8", "replace").splitlines() if ":" in line)
