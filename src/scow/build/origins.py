# SPDX-License-Identifier: Apache-2.0
"""Where the files of COPY, ADD and mounts come from, as the planner sees it: known by digest before they are used."""

from __future__ import annotations

import threading

from scow.build.copying import Filter, fingerprint, matches
from scow.build.graph import digest_of
from scow.build.sources import FilesTree, SourceNotFoundError, clean, resolve
from scow.typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scow.build.context import ContextTree
    from scow.build.copying import CopySource
    from scow.build.sources import SourceTree


class Origin(Protocol):
    """A tree that exists, or can be had, without running a step."""

    @property
    def label(self) -> str:
        """A name for messages, such as ``the build context``."""

    def tree(self) -> SourceTree:
        """The tree; fetched when that is needed."""

    def fingerprint(self, source: CopySource, excludes: tuple[str, ...]) -> str:
        """A digest of what a source takes from it.

        Raises:
            SourceNotFoundError: It is not there.
        """

    def newest(self) -> int:
        """The latest time of the files that fingerprints have covered, seconds since the epoch."""


class ContextOrigin:
    """A build context, opened when it is first needed.

    Args:
        label: For messages.
        opener: Opens it.
    """

    def __init__(self, label: str, opener: Callable[[], ContextTree]) -> None:
        self._label = label
        self._opener = opener
        self._tree: ContextTree | None = None
        self._lock = threading.RLock()

    @property
    def label(self) -> str:
        """See :class:`Origin`."""
        return self._label

    @property
    def opened(self) -> ContextTree | None:
        """The tree, when somebody needed it."""
        return self._tree

    def tree(self) -> ContextTree:
        """See :class:`Origin`."""
        with self._lock:
            if self._tree is None:
                self._tree = self._opener()
            return self._tree

    def fingerprint(self, source: CopySource, excludes: tuple[str, ...]) -> str:
        """See :class:`Origin`."""
        with self._lock:
            tree = self.tree()
            keep = Filter(source.includes, excludes)
            out: list[tuple[str, str]] = []
            try:
                for match in matches(tree, source):
                    name = match.decode("utf-8", "surrogateescape")
                    if keep.plain:
                        real = resolve(tree, match)
                        if tree.look(real) is None:
                            raise SourceNotFoundError(f"{'/' + clean(match).decode('utf-8', 'replace')!r} not found")
                        out.append((name, tree.fingerprint(real)))
                    else:
                        out.append((name, fingerprint(tree, match, keep)))
            except SourceNotFoundError as error:
                raise SourceNotFoundError(f"{error.message} in {self._label}", hint=self._why(source)) from None
            return digest_of(out)

    def _why(self, source: CopySource) -> str:
        """Why a source is not there, when the ignore file or the place is the reason."""
        tree = self.tree()
        path = clean(source.path.encode("utf-8", "surrogateescape"))
        trail = tree.trail(path)
        if trail is not None and trail.excluded:
            return f"the ignore file leaves it out: {trail.pattern!r}"
        if "../" in source.path or source.path.endswith("/.."):
            return "files outside the context cannot be used; name another context with --build-context NAME=DIRECTORY"
        return ""

    def newest(self) -> int:
        """See :class:`Origin`."""
        return self._tree.newest if self._tree is not None else 0


class TreeOrigin:
    """A tree that is had by a call: fetched from somewhere.

    Args:
        label: For messages.
        fetch: Gets it; called once.
        identity: A digest of the whole tree, when that is known without looking at its files.
    """

    def __init__(self, label: str, fetch: Callable[[], SourceTree], identity: Callable[[], str] | None = None) -> None:
        self._label = label
        self._fetch = fetch
        self._identity = identity
        self._tree: SourceTree | None = None
        self._lock = threading.RLock()

    @property
    def label(self) -> str:
        """See :class:`Origin`."""
        return self._label

    def tree(self) -> SourceTree:
        """See :class:`Origin`."""
        with self._lock:
            if self._tree is None:
                self._tree = self._fetch()
            return self._tree

    def fingerprint(self, source: CopySource, excludes: tuple[str, ...]) -> str:
        """See :class:`Origin`."""
        if self._identity is not None:
            return digest_of([self._identity(), source.path, source.includes, excludes])
        tree = self.tree()
        keep = Filter(source.includes, excludes)
        found = [
            (match.decode("utf-8", "surrogateescape"), fingerprint(tree, match, keep))
            for match in matches(tree, source)
        ]
        return digest_of(found)

    def newest(self) -> int:
        """See :class:`Origin`."""
        return 0


def inline(files: Mapping[bytes, bytes]) -> TreeOrigin:
    """The here-documents of an instruction."""
    return TreeOrigin("the Dockerfile", lambda: FilesTree(files))
