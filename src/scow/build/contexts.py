# SPDX-License-Identifier: Apache-2.0
"""Opening what a build is given: the Dockerfile and the context, from a directory, archive, repository or stream."""

from __future__ import annotations

import os
import stat

from scow.build.context import ContextTree, StatCache
from scow.build.origins import ContextOrigin
from scow.build.remote import is_git, is_http, parse_git
from scow.build.sources import DirTree, resolve
from scow.dockerfile.ignore import read as read_patterns
from scow.dockerfile.platforms import KEEP_GIT_ARGUMENT
from scow.dockerfile.text import TRUE
from scow.errors import InvalidArgumentError, NotFoundError, ScowError
from scow.record import Record
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from scow.base.database import Database
    from scow.build.options import BuildOptions
    from scow.build.workshop import Workshop

_MAX_DOCKERFILE = 16 << 20
_MAX_IGNORE = 4 << 20
DEFAULT_NAME = "Dockerfile"


class Opened(Record):
    """A build's input.

    Attributes:
        text: The Dockerfile.
        filename: As shown in messages.
        time: When the Dockerfile was last changed, seconds since the epoch; 0 when unknown.
        root: Directory of the context; ``""`` when there is none.
        patterns: From the ignore file.
        place: Names the build for explanations: the Dockerfile's real path.
    """

    text: str
    filename: str
    time: int
    root: str
    patterns: tuple[str, ...]
    place: str


class ContextOpener:
    """Opens contexts; what is made for that lives in a directory that goes with the build.

    Args:
        shop: What to work with.
        options: Of the build.
        scratch: The directory.
        stdin: Standard input, for ``-``.
        fetch: Gets the file of a URL, as a path.
    """

    def __init__(
        self, shop: Workshop, options: BuildOptions, scratch: str, stdin: BinaryIO, fetch: Callable[[str], str]
    ) -> None:
        self._shop = shop
        self._options = options
        self._scratch = scratch
        self._stdin = stdin
        self._fetch = fetch

    def open(self) -> Opened:
        """Open the main context and find the Dockerfile.

        Raises:
            NotFoundError: There is no such directory or file.
            InvalidArgumentError: Context and Dockerfile cannot both come from standard input.
        """
        where, name = self._options.context, self._options.dockerfile
        if where == "-":
            if name == "-":
                raise InvalidArgumentError("invalid argument: can't use stdin for both build context and dockerfile")
            return self._from_stream(self._stdin, name)
        if is_git(where) or where.startswith("github.com/"):
            return self._in_tree(self._checkout(where), name)
        if is_http(where):
            with open(self._fetch(where), "rb") as file:
                return self._from_stream(file, name)
        if not os.path.isdir(where):
            if os.path.exists(where):
                raise InvalidArgumentError(f"the context {where!r} is not a directory", hint="pipe archives in with -")
            raise NotFoundError(f"unable to prepare context: path {where!r} not found")
        return self._in_directory(os.path.realpath(where), name)

    # ------------------------------------------------------------------ kinds of contexts

    def _in_directory(self, root: str, name: str) -> Opened:
        """A directory of the user's; the Dockerfile may be anywhere."""
        if name == "-":
            text = _decode(self._stdin.read(_MAX_DOCKERFILE + 1), "-")
            return Opened(text, "Dockerfile", 0, root, self._patterns(root, ""), f"{root}\0-")
        path = name or os.path.join(root, DEFAULT_NAME)
        if not name and not os.path.exists(path):
            lower = os.path.join(root, DEFAULT_NAME.lower())
            path = lower if os.path.exists(lower) else path
        path = os.path.abspath(path)
        if not os.path.exists(path) and name and os.path.exists(os.path.join(root, name)):
            path = os.path.join(root, name)
        try:
            with open(path, "rb") as file:
                data = file.read(_MAX_DOCKERFILE + 1)
                when = int(os.fstat(file.fileno()).st_mtime)
        except FileNotFoundError:
            raise NotFoundError(
                f"failed to read dockerfile: open {name or DEFAULT_NAME}: no such file or directory",
                hint=f"looked for {path!r}",
            ) from None
        except (IsADirectoryError, PermissionError) as error:
            raise InvalidArgumentError(f"failed to read dockerfile: {path!r}: {error.strerror}") from error
        shown = os.path.relpath(path, root) if path.startswith(root + "/") else (name or path)
        return Opened(_decode(data, path), shown, when, root, self._patterns(root, path), os.path.realpath(path))

    def _in_tree(self, root: str, name: str) -> Opened:
        """A directory that somebody else filled: nothing is followed out of it."""
        tree = DirTree(root)
        inside = resolve(tree, os.fsencode(name or DEFAULT_NAME))
        if not name and tree.look(inside) is None:
            inside = resolve(tree, os.fsencode(DEFAULT_NAME.lower()))
        status = tree.look(inside)
        if status is None or not status.is_file:
            raise NotFoundError(f"failed to read dockerfile: open {name or DEFAULT_NAME}: no such file or directory")
        data = _read(tree, inside, _MAX_DOCKERFILE + 1)
        patterns: tuple[str, ...] = ()
        for candidate in (inside + b".dockerignore", b".dockerignore"):
            path = resolve(tree, candidate)
            found = tree.look(path)
            if found is not None and found.is_file:
                patterns = tuple(read_patterns(_decode(_read(tree, path, _MAX_IGNORE), os.fsdecode(path))))
                break
        shown = os.fsdecode(inside)
        return Opened(
            _decode(data, shown), shown, status.mtime_ns // 1_000_000_000, root, patterns, self._options.context
        )

    def _from_stream(self, stream: BinaryIO, name: str) -> Opened:
        """An archive, or a Dockerfile without a context."""
        from scow.layer.compression import detect, open_stream

        head = b""
        while len(head) < 262 and (piece := stream.read(262 - len(head))):
            head += piece
        whole = _Joined(head, stream)
        if detect(head) == "none" and head[257:262] != b"ustar":
            if name and name != DEFAULT_NAME:
                raise InvalidArgumentError("a Dockerfile on standard input has no context that another one could be in")
            data = head + stream.read(_MAX_DOCKERFILE)
            return Opened(_decode(data, "-"), "Dockerfile", 0, "", (), "-")
        from scow.layer.extract import extract_plain

        root = os.path.join(self._scratch, "context")
        os.makedirs(root, mode=0o755)
        os.chmod(root, 0o755)  # noqa: S103 - the context's own root, whatever the umask
        extract_plain(open_stream(whole, limits=self._shop.limits), root, limits=self._shop.limits)
        return self._in_tree(root, name)

    def _checkout(self, where: str) -> str:
        from scow.build.fetch import GitCheckout

        url = f"https://{where}" if where.startswith("github.com/") else where
        source = parse_git(url)
        if source.keep_git_dir is None:
            source = source._replace(keep_git_dir=self._options.build_args.get(KEEP_GIT_ARGUMENT, "") in TRUE)
        return GitCheckout(source, self._scratch, self._options.environ).fetch()

    def _patterns(self, root: str, dockerfile: str) -> tuple[str, ...]:
        """The ignore file beside the Dockerfile wins over the one of the context."""
        candidates = [f"{dockerfile}.dockerignore"] if dockerfile else []
        for path in (*candidates, os.path.join(root, ".dockerignore")):
            try:
                with open(path, "rb") as file:
                    return tuple(read_patterns(_decode(file.read(_MAX_IGNORE), path)))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise InvalidArgumentError(f"cannot read {path!r}: {error.strerror}") from error
        return ()


def context_origin(
    db: Database,
    root: str,
    patterns: tuple[str, ...],
    label: str = "the build context",
    scanned: ContextTree | None = None,
) -> ContextOrigin:
    """A directory as an origin, its digests remembered.

    Args:
        db: The store's database.
        root: The directory.
        patterns: From the ignore file.
        label: For messages.
        scanned: What somebody saw a moment ago, perhaps of this directory.
    """
    if scanned is not None and scanned.shows(root, patterns):
        return ContextOrigin(label, lambda: scanned)
    return ContextOrigin(label, lambda: ContextTree(root, patterns, StatCache(db, root)))


def _read(tree: DirTree, path: bytes, limit: int) -> bytes:
    fd = tree.open(path)
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)


def _decode(data: bytes, name: str) -> str:
    if len(data) > _MAX_DOCKERFILE:
        raise InvalidArgumentError(f"{name!r} is larger than {_MAX_DOCKERFILE} bytes")
    return data.decode("utf-8", "surrogateescape")


def is_directory(path: str) -> bool:
    """Whether a path of the host is a directory, links followed."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False


class _Joined:
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            data, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return data
        return self._stream.read(size)


class ContextError(ScowError):
    """A named context cannot be used."""

    code = "build-context"
