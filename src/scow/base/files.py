# SPDX-License-Identifier: Apache-2.0
"""Files that are wholly there or not at all, and the removal of trees nobody vouches for.

``atomic_write`` and ``install`` never leave half a file under the final name; ``remove_tree`` never follows a link,
whatever a container left behind.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from scow.errors import UnavailableError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.errors import ScowError

_DEEPEST = 64
_ESCAPES = ((b"\\", b"\\134"), (b" ", b"\\040"), (b"\t", b"\\011"), (b"\n", b"\\012"))
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoSpaceError(UnavailableError):
    """The disk, or the quota on it, is full."""

    code = "no-space"


def storage_error(error: OSError, path: str) -> ScowError:
    """Say in one sentence what the system refused.

    Args:
        error: What was raised.
        path: The file or directory worked on.

    Returns:
        The error to raise instead.
    """
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(
            f"no space left on the disk of {path!r}", hint="free some space, for instance with 'scow image prune'"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UnavailableError(f"no permission to write {path!r}", hint="run as the store's owner or set SCOW_ROOT")
    return UnavailableError(f"cannot write {path!r}: {error.strerror or error}")


def fsync_dir(path: str) -> None:
    """Make the names in a directory durable.

    Args:
        path: The directory.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def atomic_write(path: str, data: bytes | str, mode: int = 0o644, *, fsync: bool = True) -> None:
    """Replace a file's content at once.

    Args:
        path: The file; its directory must exist.
        data: The content; text is written as UTF-8.
        mode: Permission bits, whatever the umask.
        fsync: Whether content and name are durable on return.

    Raises:
        ScowError: The disk is full or the place is not writable.
    """
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(fd, "wb", buffering=0, closefd=True) as file:
                os.fchmod(fd, mode)
                view = memoryview(data.encode() if isinstance(data, str) else data)
                while view:
                    view = view[file.write(view) :]
                if fsync:
                    os.fsync(fd)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        if fsync:
            fsync_dir(os.path.dirname(path) or ".")
    except OSError as error:
        raise storage_error(error, path) from error


def is_written_in_place(path: str) -> bool:
    """Whether a path leads to something that a file cannot take the place of.

    That is a pipe, a device, or a name that the system gives to an open file: to rename a file to ``/dev/stdout`` would
    take that name away from everybody.

    Args:
        path: Where somebody wants output.
    """
    if os.path.islink(path):
        folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
        if folder == "/dev" or folder.startswith("/proc/"):
            return True
    return os.path.exists(path) and not os.path.isfile(path)


def make_dir(path: str, mode: int = 0o711) -> None:
    """Make a directory and those above it; one that exists is left as it is.

    Args:
        path: The directory.
        mode: Permission bits of the last one.

    Raises:
        ScowError: The disk is full or the place is not writable.
    """
    try:
        os.makedirs(path, mode=mode, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


def remove_tree(path: str) -> None:
    """Remove a file or a whole tree, whatever modes and depth it has; what is absent already is no error.

    Links are removed, never followed; every step is taken relative to an open directory. Trees deeper than the
    number of files a process may open are flattened on the way. A tree with something mounted in it is left alone as a
    whole: what is mounted there belongs to somebody else, perhaps it is the host's own directory.

    Args:
        path: What to remove.

    Raises:
        OSError: Something could not be removed, or is mounted in it (EBUSY).
    """
    parent, name = os.path.split(os.path.abspath(path))
    point = _mounted_in(os.path.join(os.path.realpath(parent), name))
    if point:
        raise OSError(errno.EBUSY, "something is mounted in it", point)
    try:
        parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        while not _remove_at(parent_fd, name, parent_fd, name, 0):
            pass
    finally:
        os.close(parent_fd)


def _mounted_in(path: str) -> str:
    """The first mount at or below a path that the calling thread sees, ``""`` for none."""
    wanted = os.fsencode(path)
    for char, escaped in _ESCAPES:  # as the list writes them
        wanted = wanted.replace(char, escaped)
    try:
        with open("/proc/thread-self/mountinfo", "rb", buffering=0) as file:
            data = file.readall()
    except OSError:
        return ""  # no such file system, or no mounts: not Linux
    if b" " + wanted not in data:
        return ""
    points = [line.split(b" ", 5)[4] for line in data.splitlines()]
    return next((os.fsdecode(point) for point in points if point == wanted or point.startswith(wanted + b"/")), "")


def _remove_at(fd: int, name: str, top: int, top_name: str, depth: int) -> bool:
    """Remove ``name``; False when a part that lay too deep was moved to the top and another round is needed."""
    try:
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    if not stat.S_ISDIR(info.st_mode):
        _unlink_at(fd, name)
        return True
    if depth >= _DEEPEST:
        os.rename(name, f"{top_name}/.deep-{os.urandom(8).hex()}", src_dir_fd=fd, dst_dir_fd=top)
        return False
    done = True
    inner = _open_dir_at(fd, name)
    if inner is None:
        return True
    try:
        os.lseek(inner, 0, os.SEEK_SET)
        for child in os.listdir(inner):
            done = _remove_at(inner, child, top, top_name, depth + 1) and done
    finally:
        os.close(inner)
    if done or depth:
        try:
            os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return True
    return done


def _unlink_at(fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass


def _open_dir_at(fd: int, name: str) -> int | None:
    try:
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        return None
    except PermissionError:  # not root, and the image's author took the owner's rights away
        os.chmod(name, 0o700, dir_fd=fd)
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
    if os.fstat(inner).st_mode & 0o700 != 0o700:
        try:
            os.fchmod(inner, 0o700)
        except PermissionError:
            pass
    return inner


@contextmanager
def temporary_directory(parent: str, prefix: str = "tmp-", mode: int = 0o700) -> Iterator[str]:
    """Lend a new directory and remove it with all it holds; what killed processes left of its kind goes first.

    Args:
        parent: Where to make it; made when missing.
        prefix: How its name begins, and those of its kind.
        mode: Permission bits, whatever the umask.

    Yields:
        The directory's path.

    Raises:
        ScowError: The disk is full or the place is not writable.
    """
    make_dir(parent)
    sweep_temporary(parent, prefix)
    path = os.path.join(parent, f"{prefix}{os.getpid()}-{os.urandom(6).hex()}")
    try:
        held = _make_held(path)
        os.fchmod(held, mode)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        yield path
    finally:
        try:
            remove_tree(path)
        finally:
            os.close(held)


def _make_held(path: str) -> int:
    """Make a directory and lock it, as long as its descriptor is open; a sweep may meet it first, and remove it."""
    import fcntl

    while True:
        os.mkdir(path, 0o700)
        try:
            held = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(held, fcntl.LOCK_EX)
        if _is_at(path, held):
            return held
        os.close(held)


def _is_at(path: str, fd: int) -> bool:
    """Whether an open directory still is the one of that name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def sweep_temporary(parent: str, prefix: str = "") -> None:
    """Remove the temporary directories that no living process holds; what cannot be removed stays.

    Args:
        parent: Where they are; it may not exist.
        prefix: How their names begin.
    """
    import fcntl

    try:
        names = [name for name in os.listdir(parent) if name.startswith(prefix)]
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(parent, name)
        try:
            fd = os.open(path, _DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, fd):
                remove_tree(path)
        except OSError:
            continue
        finally:
            os.close(fd)
