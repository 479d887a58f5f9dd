# SPDX-License-Identifier: Apache-2.0
"""What a container's mounts show, put into its tree for a while: nothing can be mounted here.

Everything is copied into the tree; nothing of the host's is ever moved or removed. Directories that are written to must
be the store's own (caches, volumes): when the container has ended they are copied back beside the old ones and change
places with them in one step. What stood in the tree where something is placed waits beside the tree, and returns. Each
place is written down before it is made, so that whoever finds the list can undo it, whatever was killed; it is also
noted for the snapshot, which must not take it for a change (``snapshot.copying``).

::

    <tree>/../saved/<n>      what stood where something was placed
    <tree>/../placed         all such places, for the snapshot
    <state>/places.json      what is to be undone
"""

from __future__ import annotations

import json
import os
import stat

from scow.base.files import remove_tree
from scow.errors import UnsupportedError
from scow.layer.clone import Cloner
from scow.linux import kernel
from scow.linux.standin import NEEDS
from scow.runtime.inside import Root
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_CHUNK = 1 << 20
_DEVICE_MODE = 0o666
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LEFT_OUT = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"})


class Place(NamedTuple):
    """Something that was put into the tree.

    Attributes:
        path: Absolute, inside the tree, free of links.
        saved: Where that waits which stood there, or ``""``.
        home: The store's directory that gets what it is in the end, or ``""`` when it is thrown away.
    """

    path: str
    saved: str
    home: str


class Places:
    """The places of one container.

    Args:
        tree: Its tree, itself no link: ``<store>/snapshots/<n>/full``.
        state: A directory for the list.
    """

    def __init__(self, tree: str, state: str) -> None:
        self._tree = tree
        self._own = _own_directories(tree)
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
        source, readonly = os.path.realpath(mount["source"]), "ro" in mount["options"]
        if not readonly and not source.startswith(self._own):
            raise UnsupportedError(
                f"{source!r} cannot be written to at {target!r}: nothing can be mounted here, only copied",
                hint=f"Add ':ro' for a copy, or use a volume. {NEEDS}",
            )
        if os.path.isdir(source):
            self._open(target, home="" if readonly else source)
            os.mkdir(self._tree + target)
            _copy_tree(source, self._tree + target)
            return
        self._open(target)
        if not os.path.isfile(source):
            os.link(source, self._tree + target)
            return
        with open(source, "rb") as reader, open(self._tree + target, "xb") as writer:
            while data := reader.read(_CHUNK):
                writer.write(data)
            found = os.fstat(reader.fileno())
            os.fchown(writer.fileno(), found.st_uid, found.st_gid)
            os.fchmod(writer.fileno(), stat.S_IMODE(found.st_mode))

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


def _own_directories(tree: str) -> tuple[str, ...]:
    """The directories that scow keeps what is written to in, of the store that a tree is in."""
    snapshots = os.path.dirname(os.path.dirname(tree))
    if os.path.basename(snapshots) != "snapshots":
        return ()
    store = os.path.realpath(os.path.dirname(snapshots))
    return tuple(f"{store}/{name}/" for name in ("cache-mounts", "containers", "tmp", "volumes"))


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
    if not place.saved or os.path.lexists(place.saved):  # else nothing was placed yet
        if place.home and os.path.isdir(here) and not os.path.islink(here):
            _return(here, place.home)
        remove_tree(here)
    if place.saved and os.path.lexists(place.saved):
        os.rename(place.saved, here)
    os.utime(f"{tree}{above}/", ns=(before.st_atime_ns, before.st_mtime_ns))


def _return(here: str, home: str) -> None:
    """Let a directory of the store have what became of its copy."""
    new = f"{home}.{os.urandom(8).hex()}"
    os.mkdir(new, 0o700)
    _copy_tree(here, new)
    kernel.exchange(new, home)
    remove_tree(new)


def _copy_tree(source: str, goal: str) -> None:
    reader, writer = os.open(source, _OPEN), os.open(goal, _OPEN)
    try:
        Cloner(writer).tree(reader, writer)
    finally:
        os.close(reader)
        os.close(writer)
