# SPDX-License-Identifier: Apache-2.0
"""Laying layers one on the other in memory, compactly: names and numbers, no objects for files.

A node is an int: what ``erofsimage`` answered for an inode. Its lowest three bits are the file type. Markers of a layer
are applied to what lies below it before its entries are (OCI image-spec, layer.md, "Whiteouts").
"""

from __future__ import annotations

from scow.layer.changeset import LayerError
from scow.layer.erofsformat import FT_SYMLINK
from scow.layer.names import show
from scow.layer.resolve import Look, resolve
from scow.layer.toc import KIND_OPAQUE
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REMEMBERED = 512


class Directory:
    """A directory of the merged tree.

    Attributes:
        inode: With its attributes.
        children: Nodes of files, and directories.
        opaque: Hides what lies below this index.
        node: Its own, once it has a place.
    """

    __slots__ = ("children", "inode", "node", "opaque")

    def __init__(self, inode: bytes) -> None:
        self.inode = inode
        self.children: dict[bytes, int | Directory] = {}
        self.opaque = False
        self.node = 0

    def directories(self) -> Iterator[Directory]:
        """The directories in it, the last one first."""
        return (child for child in reversed(self.children.values()) if not isinstance(child, int))

    def nodes(self) -> tuple[dict[bytes, int], int]:
        """The nodes of everything in it, and how many of them are directories."""
        nodes: dict[bytes, int] = {}
        below = 0
        for name, child in self.children.items():
            if isinstance(child, int):
                nodes[name] = child
            else:
                nodes[name] = child.node
                below += 1
        return nodes, below


class Merger:
    """The tree that layers make.

    Args:
        default: Inode of directories that nobody describes.
        target: Says where the symbolic link of a node leads.
        overlay: The tree lies on something else: directories that replace something here hide what lies below, and
            links may lead to what is only there.
    """

    def __init__(self, default: bytes, target: Callable[[int], bytes], *, overlay: bool) -> None:
        self._default = default
        self._target = target
        self._overlay = overlay
        self._whiteout = -1
        self.root = Directory(default)
        self.links: dict[int, int] = {}
        """How many names a node has, where a hard link was made to it."""
        self._remembered: dict[bytes, Directory] = {}

    def begin(self) -> None:
        """Another layer follows."""
        self._remembered.clear()

    def insert(self, name: bytes, node: int) -> None:
        """Give a file a name; whatever has it loses it."""
        above, _, base = name.rpartition(b"/")
        parent = self._remembered.get(above)
        if parent is None:
            parent = self._parent(above, name)
        children = parent.children
        if base in children:
            self._drop(children[base])
        children[base] = node

    def directory(self, name: bytes, inode: bytes) -> None:
        """Describe a directory; one that is there keeps what is in it."""
        if not name:
            self.root.inode = inode
            return
        above, _, base = name.rpartition(b"/")
        parent = self._remembered.get(above)
        if parent is None:
            parent = self._parent(above, name)
        existing = parent.children.get(base)
        if isinstance(existing, Directory):
            existing.inode = inode
            return
        made = Directory(inode)
        if existing is not None:
            made.opaque = self._overlay
            self._drop(existing)
        parent.children[base] = made

    def link(self, name: bytes, target: bytes) -> None:
        """Make a hard link.

        Raises:
            LayerError: Its target is missing or a directory.
        """
        node = self._find(target, name)
        if node is None or node == self._whiteout:
            raise LayerError(f"the hard link {show(name)} is to {show(target)}, which does not exist")
        if isinstance(node, Directory):
            raise LayerError(f"the hard link {show(name)} is to the directory {show(target)}")
        above, _, base = name.rpartition(b"/")
        parent = self._parent(above, name)
        existing = parent.children.get(base)
        if existing == node:
            return
        if existing is not None:
            self._drop(existing)
            del parent.children[base]
            if self._find(target, name) != node:
                raise LayerError(f"the hard link {show(name)} would replace what it leads to")
        parent.children[base] = node
        self.links[node] = self.links.get(node, 1) + 1

    def mark(self, kind: int, name: bytes) -> None:
        """Remove what a layer's marker hides. Nothing there is not an error: the layer may make it so later."""
        try:
            self._mark(kind, name)
        except LayerError:
            return

    def _mark(self, kind: int, name: bytes) -> None:
        if kind == KIND_OPAQUE:
            found = self._find(name, name) if name else self.root
            if isinstance(found, Directory):
                for child in found.children.values():
                    self._drop(child)
                found.children.clear()
            return
        above, _, base = name.rpartition(b"/")
        parent = self._find(above, name) if above else self.root
        if isinstance(parent, Directory) and base in parent.children:
            self._drop(parent.children.pop(base))

    def touch(self, kind: int, name: bytes) -> None:
        """Make the directory that a marker lies in, as Docker does."""
        if kind == KIND_OPAQUE:
            self._opaque(name)
        else:
            self._parent(name.rpartition(b"/")[0], name)

    def hide(self, kind: int, name: bytes, whiteout: int) -> None:
        """Put a marker into the tree, for an index that lies on something else. Entries of the layer itself stay."""
        self._whiteout = whiteout
        above, _, base = name.rpartition(b"/")
        if kind == KIND_OPAQUE:
            directory = self._opaque(name)
            if directory is not None:
                directory.opaque = True
            return
        children = self._parent(above, name).children
        existing = children.setdefault(base, whiteout)
        if isinstance(existing, Directory):
            existing.opaque = True

    def _opaque(self, name: bytes) -> Directory | None:
        """The directory of an opaque marker, made if need be; ``None`` when there is a link, which is left alone."""
        above, _, base = name.rpartition(b"/")
        parent = self._parent(above, name)
        found = parent.children.get(base) if name else parent
        if found is None or found == self._whiteout:
            return self._parent(name, name)
        if isinstance(found, Directory):
            return found
        if found & 7 == FT_SYMLINK:
            return None
        raise LayerError(f"the entry {show(name)} is marked as a directory and is none")

    def _drop(self, node: int | Directory) -> None:
        """Something loses a name."""
        if isinstance(node, int):
            if node in self.links:
                self.links[node] -= 1
            if node & 7 == FT_SYMLINK:
                self._remembered.clear()
            return
        self._remembered.clear()
        if self.links:
            left = [node]
            while left:
                for child in left.pop().children.values():
                    if not isinstance(child, int):
                        left.append(child)
                    elif child in self.links:
                        self.links[child] -= 1

    def _parent(self, path: bytes, entry: bytes) -> Directory:
        """The directory of an entry, made if need be; links in its path are followed."""
        directory = self._remembered.get(path)
        if directory is not None:
            return directory
        directory = self._walk(path)
        if directory is None:
            directory = self._make(resolve(path, self._look, entry, self._tolerate if self._overlay else None))
        if len(self._remembered) > _REMEMBERED:
            self._remembered.clear()
        self._remembered[path] = directory
        return directory

    def _walk(self, path: bytes) -> Directory | None:
        """A directory that is there, without any link in its path."""
        directory = self.root
        if path:
            for part in path.split(b"/"):
                child = directory.children.get(part)
                if not isinstance(child, Directory):
                    return None
                directory = child
        return directory

    def _make(self, path: bytes) -> Directory:
        directory = self.root
        for part in path.split(b"/") if path else ():
            child = directory.children.get(part)
            if not isinstance(child, Directory):
                made = Directory(self._default)
                made.opaque = child is not None
                child = directory.children[part] = made
            directory = child
        return directory

    def _tolerate(self, path: bytes) -> None:
        """In an index that lies on something else, links may lead there."""

    def _get(self, path: bytes) -> int | Directory | None:
        above, _, base = path.rpartition(b"/")
        parent = self._walk(above)
        return None if parent is None else parent.children.get(base)

    def _look(self, path: bytes) -> bytes | int:
        found = self._get(path)
        if found is None or found == self._whiteout:
            return Look.MISSING
        if isinstance(found, Directory):
            return Look.DIRECTORY
        return self._target(found) if found & 7 == FT_SYMLINK else Look.OTHER

    def _find(self, path: bytes, entry: bytes) -> int | Directory | None:
        """What has a name; links are followed in its directory's path, not at its end."""
        if not path:
            return self.root
        above, _, base = path.rpartition(b"/")
        parent = self._walk(above)
        if parent is None:
            parent = self._walk(resolve(above, self._look, entry, self._tolerate))
        return None if parent is None else parent.children.get(base)
