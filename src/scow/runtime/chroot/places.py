# SPDX-License-Identifier: Apache-2.0
"""What a container's mounts show, put into its tree for a while: nothing can be mounted here.

Files and read-only directories are copied, directories to write to (caches, volumes) are moved into the tree and back
out of it. What stood in their place waits beside the tree, and returns. Each move is written down before it is made,
so that whoever finds the list can undo it, whatever was killed; what was placed is also noted for the snapshot, which
must not take it for a change (``snapshot.copying``).

::

    <tree>/../saved/<n>      what stood where something was placed
    <tree>/../placed         all such places, for the snapshot
    <state>/places.json      what is to be undone
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from scow.base.files import remove_tree
from scow.errors import UnsupportedError
from scow.layer.clone import Cloner
from scow.linux.standin import NEEDS
from scow.runtime.inside import Root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_DEVICE_MODE = 0o666
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LEFT_OUT = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"})


class Place(NamedTuple):
    """Something that was put into the tree.

    Attributes:
        path: Absolute, inside the tree, free of links.
        saved: Where that waits which stood there, or ``""``.
        home: Where it came from and returns to, or ``""`` when it is thrown away.
    """

    path: str
    saved: str
    home: str


class Places:
    """The places of one container.

    Args:
        tree: Its tree, itself no link.
        state: A directory for the list.
    """

    def __init__(self, tree: str, state: str) -> None:
        self._tree = tree
        self._list = os.path.join(state, "places.json")
        self._places: list[Place] = []
        self._times: dict[str, os.stat_result] = {}

    def fill(self, mounts: Sequence[Mapping[str, Any]]) -> None:
        """Put everything into its place.

        Args:
            mounts: Of the container's configuration.

        Raises:
            UnsupportedError: Something can be shown by a real mount only.
            OSError: The tree cannot be changed.
        """
        with Root(self._tree) as root:
            for mount in mounts:
                target = root.resolve(mount["destination"])
                if target == "/dev" and mount["type"] == "tmpfs":
                    self._devices()
                elif mount["type"] == "tmpfs":
                    self._directory(target, mount["options"])
                elif mount["type"] not in _LEFT_OUT:
                    self._bind(target, mount)
        for path, found in self._times.items():
            if not os.path.isdir(path) or os.path.islink(path):
                continue
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _devices(self) -> None:
        """A directory with the devices that every program expects."""
        self._directory("/dev", ["mode=755"])
        for name, major, minor in _DEVICES:
            path = f"{self._tree}/dev/{name}"
            try:
                os.mknod(path, stat.S_IFCHR | _DEVICE_MODE, os.makedev(major, minor))
            except PermissionError:
                continue
            os.chmod(path, _DEVICE_MODE)

    def _directory(self, target: str, options: Sequence[str]) -> None:
        """A directory of its own in place of a memory file system."""
        self._open(target)
        mode = next((int(option[5:], 8) for option in options if option.startswith("mode=")), 0o1777)
        os.mkdir(self._tree + target)
        os.chmod(self._tree + target, mode)

    def _bind(self, target: str, mount: Mapping[str, Any]) -> None:
        source = mount["source"]
        if not os.path.isdir(source):
            self._open(target)
            with open(source, "rb") as reader, open(self._tree + target, "wb") as writer:
                writer.write(reader.read())
                found = os.fstat(reader.fileno())
                os.fchown(writer.fileno(), found.st_uid, found.st_gid)
                os.fchmod(writer.fileno(), stat.S_IMODE(found.st_mode))
        elif "ro" in mount["options"]:
            self._open(target)
            os.mkdir(self._tree + target)
            reader_fd, writer_fd = (os.open(path, _OPEN) for path in (source, self._tree + target))
            try:
                Cloner(writer_fd).tree(reader_fd, writer_fd)
            finally:
                os.close(reader_fd)
                os.close(writer_fd)
        else:
            self._move(target, source)

    def _move(self, target: str, source: str) -> None:
        """Bring a directory into the tree; it returns."""
        self._open(target, home=source)
        try:
            os.rename(source, self._tree + target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            raise UnsupportedError(
                f"{source!r} cannot be shown at {target!r}: it is in another file system, and nothing can be mounted",
                hint=NEEDS,
            ) from None

    def _open(self, target: str, home: str = "") -> None:
        """Make room at a place, and write down what will be there."""
        above, name = os.path.split(self._tree + target)
        self._times.setdefault(above, os.stat(above))
        beside = os.path.dirname(self._tree)
        saved = ""
        if os.path.lexists(self._tree + target):
            os.makedirs(f"{beside}/saved", mode=0o700, exist_ok=True)
            saved = f"{beside}/saved/{len(self._places)}"
        self._places.append(Place(target, saved, home))
        with open(f"{self._list}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(self._places, file)
        os.rename(f"{self._list}.new", self._list)
        with open(f"{beside}/placed", "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(target + "\0")
        if saved:
            os.rename(f"{above}/{name}", saved)


def undo(tree: str, state: str) -> None:
    """Take everything out of a tree again that was put there, and let return what had stood there.

    Args:
        tree: As for :class:`Places`; it may be gone.
        state: Likewise.

    Raises:
        OSError: The tree cannot be changed.
    """
    path = os.path.join(state, "places.json")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            places = [Place(*place) for place in json.load(file)]
    except FileNotFoundError:
        return
    with Root(tree) as root:
        for place in reversed(places):
            _undo(root, tree, place)
    os.unlink(path)


def _undo(root: Root, tree: str, place: Place) -> None:
    above, _, name = place.path.rpartition("/")
    try:
        # The container may have put a link in the way: then what is to return has no place any more.
        os.close(root.open(above or "/", os.O_PATH | os.O_DIRECTORY, links=False))
    except OSError:
        return
    here = f"{tree}{above}/{name}"
    before = os.stat(f"{tree}{above}/")
    if place.home and not os.path.lexists(place.home):
        if os.path.isdir(here) and not os.path.islink(here):
            os.rename(here, place.home)
        else:
            os.mkdir(place.home, 0o755)
    elif not place.saved or os.path.lexists(place.saved):
        remove_tree(here)
    if place.saved and os.path.lexists(place.saved):
        os.rename(place.saved, here)
    os.utime(f"{tree}{above}/", ns=(before.st_atime_ns, before.st_mtime_ns))
