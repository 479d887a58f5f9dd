# SPDX-License-Identifier: Apache-2.0
"""Entering the user namespace that an ordinary user's commands work in; one for all commands and containers of a store.

A command does not start itself anew: this process moves. It joins the namespace in which another command or a
container of the same store lives, or makes one when none lives; so nothing has to stay behind to keep it, and
whatever a later command wants to stop, look into or remove lives in the namespace that the command is in.

The members are noted in one file below the run root, a line each: ``PID START`` for a process,
``@DIRECTORY`` for a detached container whose monitor and first process are named in files there. A line is written
before what it tells of starts (a container's) or while the lock is held (a command's own), so that no living member is
missed, whatever was killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from scow.errors import DeniedError, UnavailableError, UnsupportedError
from scow.linux import kernel
from scow.linux.idmaps import map_text, write_id_maps
from scow.linux.namespaces import FLAGS
from scow.linux.process import is_alive, self_mark, spawn, start_time, wait_status
from scow.linux.standing import what_forbids
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from scow.errors import ScowError
    from scow.linux.standing import Standing

_MEMBERS = "namespace"
_LIMIT = 1 << 20
_DEAD_ENOUGH = 32
_LARGE = 1 << 16
# What a child of the process that moves does for it: both helpers are at work at once.
_BY_HELPERS = 'read -r moved || exit 0; "$3" $PPID $1 & "$4" $PPID $2; status=$?; wait $! && exit $status'
_BY_ITSELF = 'read -r moved || exit 0; printf %s "$2" >/proc/$PPID/gid_map && printf %s "$1" >/proc/$PPID/uid_map'


def enter(standing: Standing, run_root: str, meanwhile: Callable[[], object] | None = None) -> None:
    """Move this process into the user namespace of a store; it has all capabilities there.

    Only for a process with one thread. Its files stay its own: the user is 0 inside.

    Args:
        standing: With the ids to map.
        run_root: The store's directory for what a reboot may lose; made when missing.
        meanwhile: Called while the helpers work, if they have to: a moment to load modules, in which this process has
            no rights yet.

    Raises:
        DeniedError: The directory belongs to somebody else, or user namespaces or these ids are not allowed.
        UnavailableError: Too many namespaces exist.
        UnsupportedError: This process has several threads, or the kernel has no user namespaces.
    """
    own_directory(run_root)
    with _Members(run_root) as members:
        for line in members.lines():
            if _join(line):
                break
            members.dead += 1
        else:
            make(standing, meanwhile)
            members.forget_all()
        members.add(self_mark())


def note_container(run_root: str, directory: str) -> None:
    """Write down that a detached container is about to live in this namespace, and who starts it.

    Who starts it may be the container's former monitor, whose number is no longer in the files there.

    Args:
        run_root: As for :func:`enter`; nothing happens where nobody ever entered.
        directory: Holds ``pid`` and ``conmon.pid`` as long as it lives.
    """
    if os.path.exists(os.path.join(run_root, _MEMBERS)):
        with _Members(run_root) as members:
            members.add(self_mark())
            members.add("@" + directory)


def own_directory(path: str) -> None:
    """Make a directory that nobody else can write to, or refuse the one that is there.

    Raises:
        DeniedError: Somebody else could put things into it.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError as error:
        raise DeniedError(
            f"cannot use {path!r} for what runs: {error.strerror}",
            hint="Set XDG_RUNTIME_DIR or SCOW_RUN_ROOT to a directory of your own.",
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DeniedError(
            f"{path!r} is not a directory that only this user can write to",
            hint="Remove it, or set XDG_RUNTIME_DIR or SCOW_RUN_ROOT to a directory of your own.",
        )


class NoNamespacesError(DeniedError):
    """This host does not let the user make user namespaces."""

    code = "no-namespaces"


class _Members:
    """The file of members, locked; use it in a ``with`` block."""

    def __init__(self, run_root: str) -> None:
        self._path = os.path.join(run_root, _MEMBERS)
        self._fd = -1
        self.dead = 0

    def __enter__(self) -> Self:
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if os.path.samestat(os.lstat(self._path), os.fstat(self._fd)):
                return self
            os.close(self._fd)  # whoever had it has put another one in its place

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def lines(self) -> list[str]:
        """What is noted."""
        return os.fsdecode(os.pread(self._fd, _LIMIT, 0)).splitlines()

    def forget_all(self) -> None:
        """Nobody lives any more."""
        os.ftruncate(self._fd, 0)
        self.dead = 0

    def add(self, line: str) -> None:
        """Note one more; when many have died, or many are noted, the dead are forgotten."""
        if self.dead > _DEAD_ENOUGH or os.fstat(self._fd).st_size > _LARGE:
            self._replace([*filter(_pid_of, self.lines()), line])
        else:
            os.write(self._fd, os.fsencode(line + "\n"))

    def _replace(self, lines: list[str]) -> None:
        """Put another file in the place of this one, in one step: whoever is killed here leaves all living members."""
        new = f"{self._path}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(os.fsencode("".join(f"{line}\n" for line in lines)))
        os.rename(new, self._path)
        self.dead = 0
        os.close(self._fd)
        self.__enter__()


def _pid_of(line: str) -> int:
    """A living process behind a line, or 0."""
    if not line.startswith("@"):
        pid, _, started = line.partition(" ")
        return int(pid) if pid.isdigit() and started.isdigit() and is_alive(int(pid), int(started)) else 0
    for name in ("conmon.pid", "pid"):
        try:
            with open(f"{line[1:]}/{name}", encoding="ascii") as file:
                pid = file.read(16).strip()
        except OSError:
            continue
        if pid.isdigit() and start_time(int(pid)):
            return int(pid)
    return 0


def _join(line: str) -> bool:
    """Enter the namespace of a member; false when it does not live or is none of ours (numbers are used again)."""
    pid = _pid_of(line)
    if not pid:
        return False
    try:
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        kernel.setns(fd, FLAGS["user"])
    except OSError as error:
        if error.errno == errno.EINVAL and _threads() > 1:
            raise _several_threads() from error
        return False  # it ended, or is in no namespace that this user made
    finally:
        os.close(fd)
    return True


def make(standing: Standing, meanwhile: Callable[[], object] | None = None) -> None:
    """Move this process into a new user namespace with the ids of a standing.

    Raises:
        ScowError: As :func:`enter`.
    """
    if not standing.helpers and sum(part.size for part in standing.uids) == 1:
        _unshare()
        write_id_maps(os.getpid(), standing.uids, standing.gids)
        return
    reader, writer = os.pipe2(os.O_CLOEXEC)
    words, complaint = os.pipe2(os.O_CLOEXEC)
    # The maps are written from outside: by a child that stays there and waits for this process to have moved.
    script = _BY_HELPERS if standing.helpers else _BY_ITSELF
    maps = (map_text(standing.uids), map_text(standing.gids))
    try:
        child = spawn(["/bin/sh", "-c", script, "scow-ids", *maps, *standing.helpers], stdin=reader, stderr=complaint)
    except BaseException:
        os.close(writer)
        os.close(words)
        raise
    finally:
        os.close(reader)
        os.close(complaint)
    try:
        _unshare()
        os.write(writer, b"moved\n")
        if meanwhile is not None:
            meanwhile()
    finally:
        os.close(writer)
        said = os.read(words, 1 << 12).decode("utf-8", "replace").strip()
        os.close(words)
        status = wait_status(child)
    if status:
        raise DeniedError(
            f"the subordinate ids cannot be used: {said or f'newuidmap ended with {status}'}",
            hint="See /etc/subuid and /etc/subgid, and that newuidmap and newgidmap may gain privileges.",
        )


def _unshare() -> None:
    try:
        kernel.unshare(FLAGS["user"])
    except OSError as error:
        raise _refusal(error) from error


def _refusal(error: OSError) -> ScowError:
    what = f"cannot make a user namespace: {os.strerror(error.errno or 0)}"
    if error.errno in (errno.EPERM, errno.EACCES):
        remedy = what_forbids() or (
            "start this container with --security-opt seccomp=unconfined (kubernetes: seccompProfile Unconfined)"
        )
        return NoNamespacesError(what, hint=f"What would allow it: {remedy}")
    if error.errno in (errno.ENOSPC, errno.EUSERS, errno.ENOMEM):
        return UnavailableError(what, hint="sysctl user.max_user_namespaces=65536 would allow more")
    if error.errno == errno.EINVAL and _threads() > 1:
        return _several_threads()
    return UnsupportedError(what, hint="the kernel needs CONFIG_USER_NS")


def _several_threads() -> ScowError:
    return UnsupportedError(
        "a process with several threads cannot enter a user namespace",
        hint="Call Engine.enter() before the first thread is started.",
    )


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))
