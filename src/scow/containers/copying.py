# SPDX-License-Identifier: Apache-2.0
"""``cp`` between a container and the host: archives through a pipe, each end in a thread of its own.

The thread at the container's end is locked into the container's files (``containers.roots``), so that no link, however
quickly it is put in place, leads it out. The other end is the user's own.

Source: docker's rules for ``cp`` (docs: "docker container cp"): what a trailing ``/`` and ``/.`` mean, when a name is
kept and when it is changed.
"""

from __future__ import annotations

import os
import posixpath
import stat
import threading

from scow.base.tasks import start_thread
from scow.containers.roots import in_root
from scow.errors import InvalidArgumentError, NotFoundError, UnavailableError
from scow.layer.compression import open_stream
from scow.layer.diff import tar_tree
from scow.layer.extract import extract_plain
from scow.linux.idmaps import in_user_namespace
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.layer.changeset import Readable


class Target(NamedTuple):
    """Where an archive goes.

    Args:
        into: An existing directory.
        name: Name that the copied thing gets there; ``""`` when only what is in it is copied.
    """

    into: str
    name: str


def copy_out(
    service: Containers, container: Container, path: str, goal: str, *, follow: bool = False, keep: bool = False
) -> int:
    """Copy from a container to the host.

    Args:
        service: The room.
        container: Running or not.
        path: Absolute path inside.
        goal: Path on the host.
        follow: Whether a link at the end of ``path`` is followed.
        keep: Whether owners are kept.

    Returns:
        Bytes of the archive.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: A directory cannot become a file.
    """
    kind = in_root(service, container, lambda: _kind(path, follow=follow), mounts=True)
    if kind is None:
        raise NotFoundError(f"Could not find the file {path} in container {container.name}")
    contents = _wants_contents(path)
    if os.path.islink(goal.rstrip("/")):  # what it points at is written, as docker and cp(1) do
        goal = os.path.realpath(goal) + "/" * goal.endswith("/")
    above = os.path.dirname(goal.rstrip("/")) or "."
    if not os.path.isdir(above):
        raise NotFoundError(f'invalid output path: directory "{os.path.abspath(above)}" does not exist')
    target = _target(goal, _base(path), directory=kind == "directory", contents=contents, kind=_kind(goal, follow=True))

    def write(out: BinaryIO) -> None:
        def work() -> None:
            tar_tree(_real(path, follow=follow), out, prefix=target.name, include_root=bool(target.name))

        in_root(service, container, work, mounts=True)

    return _through_pipe(write, lambda stream: _extract(stream, target.into, keep=keep))


def stream_out(service: Containers, container: Container, path: str, out: BinaryIO, *, follow: bool = False) -> None:
    """Write an archive of a path in a container.

    Raises:
        NotFoundError: There is no such file.
    """
    if in_root(service, container, lambda: _kind(path, follow=follow), mounts=True) is None:
        raise NotFoundError(f"Could not find the file {path} in container {container.name}")

    def work() -> None:
        real = _real(path, follow=follow)
        if _wants_contents(path):
            tar_tree(real, out, prefix=".", include_root=True)
        else:
            tar_tree(real, out, prefix=_base(real if follow else path), include_root=True)

    in_root(service, container, work, mounts=True)


def copy_in(service: Containers, container: Container, source: str, path: str, *, follow: bool = False) -> int:
    """Copy from the host to a container; owners keep their numbers, where more than one can be had.

    Args:
        service: The room.
        container: Running or not.
        source: Path on the host.
        path: Absolute path inside.
        follow: Whether a link at the end of ``source`` is followed.

    Returns:
        Bytes of the archive.

    Raises:
        NotFoundError: Source or destination directory are missing.
        InvalidArgumentError: A directory cannot become a file.
    """
    kind = _kind(source, follow=follow)
    if kind is None:
        if os.path.lexists(source.rstrip("/")):
            raise NotFoundError("not a directory")
        raise NotFoundError(f"lstat {os.path.abspath(source)}: no such file or directory")
    found = in_root(service, container, lambda: (_kind(path, follow=True), posixpath.realpath(path)), mounts=True)
    place = found[1] + "/" if path.endswith("/") else found[1]
    contents = _wants_contents(source)
    parent_kind = in_root(service, container, lambda: _kind(posixpath.dirname(found[1]), follow=True), mounts=True)
    if found[0] is None and parent_kind != "directory":
        raise NotFoundError(f"Could not find the file {posixpath.dirname(path)} in container {container.name}")
    target = _target(place, _base(source), directory=kind == "directory", contents=contents, kind=found[0])

    def write(out: BinaryIO) -> None:
        if found[0] is None and not target.name:
            raise NotFoundError(f"Could not find the file {path} in container {container.name}")
        tar_tree(_real(source, follow=follow), out, prefix=target.name, include_root=bool(target.name))

    def read(stream: BinaryIO) -> int:
        keep = not in_user_namespace()
        return in_root(service, container, lambda: _extract(stream, target.into, keep=keep), mounts=True)

    return _through_pipe(write, read)


def stream_in(service: Containers, container: Container, stream: BinaryIO, path: str) -> None:
    """Unpack an archive, compressed or not, into a directory of a container.

    Raises:
        NotFoundError: There is no such directory.
    """
    plain = open_stream(stream)
    if in_root(service, container, lambda: _kind(path, follow=True), mounts=True) != "directory":
        raise NotFoundError(f'destination "{container.name}:{path}" must be a directory')
    in_root(service, container, lambda: _extract(plain, path, keep=True), mounts=True)


def _extract(stream: Readable, into: str, *, keep: bool) -> int:
    return extract_plain(stream, into, owner=None if keep else _own).size


def _own(_uid: int, _gid: int) -> None:
    """Leave the caller's own identity."""


def _kind(path: str, *, follow: bool) -> str | None:
    """``directory``, ``file`` or ``None`` for nothing."""
    try:
        found = os.stat(path) if follow or path.endswith("/") or _wants_contents(path) else os.lstat(path)
    except OSError:
        return None
    return "directory" if stat.S_ISDIR(found.st_mode) else "file"


def _real(path: str, *, follow: bool) -> str:
    if follow or path.endswith("/") or _wants_contents(path):
        return os.path.realpath(path)
    return path.rstrip("/") or "/"


def _wants_contents(path: str) -> bool:
    return path.endswith("/.") or path == "."


def _base(path: str) -> str:
    return posixpath.basename(posixpath.normpath(path))


def _target(goal: str, base: str, *, directory: bool, contents: bool, kind: str | None) -> Target:
    """Where to unpack, and under which name.

    Raises:
        InvalidArgumentError: The two do not fit.
        NotFoundError: A directory is missing.
    """
    if kind == "directory":
        return Target(goal, "" if contents else base)
    if kind == "file":
        if directory:
            raise InvalidArgumentError("cannot copy directory")
        if goal.endswith("/"):
            raise NotFoundError("not a directory")
        return Target(posixpath.dirname(goal) or ".", posixpath.basename(goal))
    if goal.endswith("/") and not directory:
        raise NotFoundError("no such directory")
    clean = goal.rstrip("/")
    parent = posixpath.dirname(clean) or ("/" if goal.startswith("/") else ".")
    return Target(parent, posixpath.basename(clean))


def _through_pipe(write: Callable[[BinaryIO], None], read: Callable[[BinaryIO], int]) -> int:
    """Let one thread write an archive that this one reads; what failed first is raised."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    failures: list[BaseException] = []

    def produce() -> None:
        try:
            with open(writer, "wb") as out:
                write(out)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=produce, name="archive")
    try:
        start_thread(thread)
    except UnavailableError:
        os.close(reader)
        os.close(writer)
        raise
    try:
        with open(reader, "rb") as stream:
            size = read(stream)
    except BaseException:
        thread.join()
        # A broken archive is the consequence of what went wrong at the other end.
        if failures and not isinstance(failures[0], BrokenPipeError):
            raise failures[0] from None
        raise
    thread.join()
    if failures:
        raise failures[0]
    return size
