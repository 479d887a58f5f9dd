# SPDX-License-Identifier: Apache-2.0
"""Looking into a mounted root, and making places to mount on, without ever leaving it.

The root's content comes from an image: any component of any path may be a link to anywhere. Paths are resolved by the
kernel as if the root were ``/`` (openat2 with RESOLVE_IN_ROOT), and places are made at the end of links only where the
links lead inside the root.

A *stub* is an empty file or directory that was made only to be mounted on. Stubs are written down, and the times of the
directories they appeared in are put back, so that they can be left out of differences and layers.
"""

from __future__ import annotations

import os
import stat
import struct

from scow.errors import InvalidArgumentError
from scow.linux import kernel
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _IN_ROOT = 0x02, 0x04, 0x10
_MAX_LINKS = 64
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_PATH = os.O_PATH | os.O_CLOEXEC


STANDARD = ("/proc", "/dev", "/sys")
"""Where every container has file systems of its own."""


class Stub(NamedTuple):
    """Something made to be mounted on.

    Args:
        path: Absolute path inside the root, free of links.
        directory: Whether it is one.
    """

    path: str
    directory: bool


def places(mounts: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Which places the root itself must have, so that mounts can be made in it.

    Args:
        mounts: Absolute destination and whether it is a directory, parents before children.

    Returns:
        Those destinations that are not below another mount, and not below a standard file system.
    """
    out: list[tuple[str, bool]] = []
    tops = list(STANDARD)
    for path, directory in mounts:
        if not any(path == top or path.startswith(top + "/") for top in tops):
            out.append((path, directory))
        tops.append(path.rstrip("/"))
    return out


class Root:
    """One mounted tree; use it in a ``with`` block.

    Args:
        path: Where it is mounted.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, _PATH | os.O_DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def open(self, path: str, flags: int = _READ, *, links: bool = True) -> int:
        """Open a path as a process inside would see it.

        Args:
            path: Absolute path inside.
            flags: As for ``os.open``.
            links: Whether links may be followed (inside the root).

        Returns:
            A descriptor; the caller closes it.

        Raises:
            OSError: As ``os.open``.
        """
        resolve = _IN_ROOT | _NO_MAGICLINKS | (0 if links else _NO_SYMLINKS)
        how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
        return kernel.call(_OPENAT2, self._fd, os.fsencode(path.lstrip("/") or "."), how, len(how))

    def read(self, path: str, limit: int) -> bytes:
        """The beginning of a regular file; empty when there is none.

        Args:
            path: Absolute path inside.
            limit: Most bytes to read.
        """
        try:
            fd = self.open(path)
        except OSError:
            return b""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b""
            data = b""
            while len(data) < limit:
                part = os.read(fd, limit - len(data))
                if not part:
                    break
                data += part
            return data
        finally:
            os.close(fd)

    def is_dir(self, path: str) -> bool:
        """Whether a directory is there, links followed inside the root."""
        try:
            os.close(self.open(path, _PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def exists(self, path: str) -> bool:
        """Whether anything is there, links followed inside the root."""
        try:
            os.close(self.open(path, _PATH))
        except OSError:
            return False
        return True

    def resolve(self, path: str) -> str:
        """Where a path leads when every link is followed inside the root; the end need not exist.

        Raises:
            InvalidArgumentError: Too many links.
        """
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
                continue
            where = "/".join([*done, part])
            target = self._link(where)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise InvalidArgumentError(f"too many links in {path!r}")
            if target.startswith("/"):
                done = []
            todo.extend(piece for piece in reversed(target.split("/")) if piece not in {"", "."})
        return "/" + "/".join(done)

    def _link(self, path: str) -> str | None:
        try:
            fd = self.open(path, _PATH | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                return None
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)

    def ensure_standard(self) -> list[Stub]:
        """Make sure that the standard file systems can be mounted.

        The OCI runtime makes nodes and links below ``/dev`` by its plain path: were that a link of the image's, it
        would make them wherever the link leads on the host.

        Returns:
            What had to be made.

        Raises:
            InvalidArgumentError: One of the places is a link or a file.
        """
        made: list[Stub] = []
        for path in STANDARD:
            if self.resolve(path) == path and not self.exists(path):
                made += self.ensure(path, directory=True)
            try:
                os.close(self.open(path, _PATH | os.O_DIRECTORY | os.O_NOFOLLOW, links=False))
            except OSError:
                raise InvalidArgumentError(f"{path} of the image is not a directory") from None
        return made

    def ensure(self, path: str, *, directory: bool, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> list[Stub]:
        """Make sure that something is there to mount on.

        Args:
            path: Absolute path inside.
            directory: Whether a directory is wanted, else a file.
            mode: Permissions of a directory that is made at the end of the path.
            owner: User and group of what is made.

        Returns:
            What had to be made, parents first; empty when all was there.

        Raises:
            InvalidArgumentError: Something of another kind is in the way.
        """
        real = self.resolve(path)
        made: list[Stub] = []
        parts = real.strip("/").split("/") if real != "/" else []
        fd = os.dup(self._fd)
        try:
            for index, part in enumerate(parts):
                last = index == len(parts) - 1
                wants_directory = directory or not last
                where = "/" + "/".join(parts[: index + 1])
                before = os.fstat(fd)
                if self._make(fd, part, wants_directory, mode if last else 0o755, owner):
                    made.append(Stub(where, wants_directory))
                    os.utime(f"/proc/self/fd/{fd}", ns=(before.st_atime_ns, before.st_mtime_ns))
                if last and not wants_directory:
                    break
                following = self.open(where, _PATH | os.O_DIRECTORY, links=False)
                os.close(fd)
                fd = following
        except OSError as error:
            if isinstance(error, NotADirectoryError):
                raise InvalidArgumentError(f"Cannot mkdir: {path} is not a directory") from error
            raise InvalidArgumentError(f"cannot make {path!r} inside the container: {error.strerror}") from error
        finally:
            os.close(fd)
        return made

    @staticmethod
    def _make(parent: int, name: str, directory: bool, mode: int, owner: tuple[int, int]) -> bool:
        try:
            if directory:
                os.mkdir(name, mode, dir_fd=parent)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=parent))
        except FileExistsError:
            return False
        os.chmod(name, mode if directory else 0o644, dir_fd=parent)
        if owner != (0, 0):
            from scow.linux import owners

            owners.here().own_entry(name, *owner, parent)
        return True

    def remove_stubs(self, stubs: Iterable[Stub]) -> None:
        """Take stubs away again, those that are still empty; the times of their directories are put back.

        Args:
            stubs: As :meth:`ensure` gave them.
        """
        for stub in sorted(stubs, key=lambda stub: stub.path.count("/"), reverse=True):
            head, _, name = stub.path.rpartition("/")
            try:
                parent = self.open(head or "/", _PATH | os.O_DIRECTORY, links=False)
            except OSError:
                continue
            try:
                before = os.fstat(parent)
                if stub.directory:
                    os.rmdir(name, dir_fd=parent)
                else:
                    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                    if not stat.S_ISREG(found.st_mode) or found.st_size:
                        continue
                    os.unlink(name, dir_fd=parent)
                os.utime(f"/proc/self/fd/{parent}", ns=(before.st_atime_ns, before.st_mtime_ns))
            except OSError:
                continue
            finally:
                os.close(parent)
