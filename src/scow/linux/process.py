# SPDX-License-Identifier: Apache-2.0
"""Processes: starting a program cheaply, telling a process from a later one with its number, adopting orphans.

``spawn`` is ``posix_spawn``: no copy of this interpreter's memory, safe from any thread, and the child is born in the
namespaces of the calling thread.
"""

from __future__ import annotations

import os
import time

from scow.errors import UnavailableError, UnsupportedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36
_FREE = 128
# This interpreter ignores SIGPIPE and SIGXFSZ; programs it starts must not. Numbers: loading the names takes time.
_IGNORED = (13, 25)
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_program(name: str, extra: Sequence[str] = ()) -> str:
    """Find a program in the system's directories, whatever PATH says.

    Args:
        name: File name.
        extra: Further directories, looked at last.

    Returns:
        Its absolute path, or ``""``.
    """
    for directory in (*_SEARCH.split(":"), *extra):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return ""


def spawn(
    args: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    keep: Mapping[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    session: bool = False,
) -> int:
    """Start a program.

    Args:
        args: Absolute path and arguments.
        stdin: Descriptor it reads, ``None`` for ``/dev/null``.
        stdout: Descriptor it writes, ``None`` for ``/dev/null``.
        stderr: Likewise.
        keep: Further descriptors: number in the child -> number here.
        env: Its environment; a plain PATH when not given.
        session: Whether it leads a session of its own, without a terminal.

    Returns:
        Its process id; the caller waits for it.

    Raises:
        UnsupportedError: There is no such program.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for number, descriptor in ((0, stdin), (1, stdout), (2, stderr)):
        if descriptor is None:
            actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, descriptor, number))
    # By way of high numbers, so that none is overwritten before it is copied.
    for number, descriptor in (keep or {}).items():
        actions.append((os.POSIX_SPAWN_DUP2, descriptor, _FREE + number))
    for number in keep or ():
        actions.append((os.POSIX_SPAWN_DUP2, _FREE + number, number))
        actions.append((os.POSIX_SPAWN_CLOSE, _FREE + number))
    try:
        return os.posix_spawn(
            args[0],
            list(args),
            dict(env) if env is not None else {"PATH": _SEARCH},
            file_actions=actions,
            setsigdef=_IGNORED,
            setsigmask=(),
            setsid=session,
        )
    except FileNotFoundError:
        raise UnsupportedError(f"{args[0]} is not there any more") from None
    except OSError as error:
        raise UnavailableError(f"cannot start {args[0]}: {error.strerror}") from error


def leave_behind(
    args: Sequence[str], *, name: str, env: Mapping[str, str], keep: Mapping[int, int] | None = None
) -> None:
    """Start a program that goes on when this one has ended, in a session of its own.

    Args:
        args: Absolute path and arguments.
        name: Of the shell that it is born of, which ends at once, so that nobody has to wait for it.
        env: Its environment.
        keep: As for :func:`spawn`.

    Raises:
        UnsupportedError: There is no shell.
    """
    shell = ["/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', name, *args]
    wait_status(spawn(shell, env=env, session=True, keep=keep))


def wait_status(pid: int) -> int:
    """Wait for a child.

    Returns:
        Its exit status, or 128 + the signal that killed it.
    """
    while True:
        try:
            return exit_status(os.waitpid(pid, 0)[1])
        except InterruptedError:
            continue


def exit_status(raw: int) -> int:
    """Turn a wait status into what a shell shows: 128 + signal for a killed process."""
    if os.WIFSIGNALED(raw):
        return 128 + os.WTERMSIG(raw)
    return os.WEXITSTATUS(raw)


def run(args: Sequence[str], *, feed: bytes = b"", limit: int = 1 << 20) -> tuple[int, str, str]:
    """Run a short program to its end.

    Args:
        args: Absolute path and arguments.
        feed: What it reads on its standard input; at most 64 KiB (one pipe).
        limit: Bytes kept of each output.

    Returns:
        Exit status, standard output, standard error.
    """
    fds = [os.memfd_create("out", os.MFD_CLOEXEC), os.memfd_create("err", os.MFD_CLOEXEC)]
    stdin = None
    try:
        if feed:
            stdin = os.memfd_create("in", os.MFD_CLOEXEC)
            os.write(stdin, feed)
            os.lseek(stdin, 0, os.SEEK_SET)
            fds.append(stdin)
        status = wait_status(spawn(args, stdin=stdin, stdout=fds[0], stderr=fds[1]))
        out, err = (os.pread(fd, limit, 0).decode("utf-8", "replace") for fd in fds[:2])
        return status, out, err
    finally:
        for fd in fds:
            os.close(fd)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent ends (``PR_SET_CHILD_SUBREAPER``), for this whole process.

    Raises:
        UnsupportedError: The kernel refuses.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise UnsupportedError("this kernel has no child subreapers")


def only_child() -> int:
    """The one child that this process has, perhaps an adopted one, perhaps ended; 0 when it has none or several."""
    found: list[bytes] = []
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", "rb", buffering=0) as file:
                found += file.read(1 << 12).split()
    except FileNotFoundError:  # a kernel without checkpoints does not keep such lists
        own = b"%d" % os.getpid()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
                    if file.read(4096).rpartition(b")")[2].split()[1] == own:
                        found.append(pid.encode())
            except OSError:
                continue
    return int(found[0]) if len(found) == 1 else 0


def most_files() -> int:
    """How many files a process may have open at once on this host, at most 2**20 (docker's limit for containers)."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard < 0 else min(hard, 1 << 20)


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 when there is none, or it has ended and waits to be reaped.

    Together with :func:`boot_id` it tells a process from a later one with the same number.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if len(fields) < 20 or fields[0] in {b"Z", b"X"} else int(fields[19])


def self_mark() -> str:
    """This process as text: its number and its start."""
    pid = os.getpid()
    return f"{pid} {start_time(pid)}"


def mark_lives(mark: str) -> bool:
    """Whether the process that :func:`self_mark` described still runs (in this boot)."""
    pid, _, started = mark.partition(" ")
    return pid.isdigit() and started.isdigit() and is_alive(int(pid), int(started))


def boot_id() -> str:
    """Identity of this boot of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return file.read(64).decode().strip()
    except OSError:
        return ""


def is_alive(pid: int, started: int) -> bool:
    """Whether the process that had this number at that time still runs."""
    return pid > 0 and started > 0 and start_time(pid) == started


def companions(pid: int) -> list[int]:
    """The processes of the process-id namespace that a process is the first one of, and itself in any case."""
    own = _pid_namespace(pid)
    if not own or own == _pid_namespace(os.getpid()):
        return [pid]
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _pid_namespace(int(name)) == own]


def _pid_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def wait_until(done: Callable[[], bool], seconds: float | None, *, step: float = 0.01) -> bool:
    """Ask again and again, less and less often.

    Args:
        done: Asked at once and then after pauses that grow from ``step`` to 0.1 seconds.
        seconds: How long to go on; ``None`` for ever.
        step: First pause, seconds.

    Returns:
        Whether ``done`` was true in time.
    """
    end = None if seconds is None else time.monotonic() + seconds
    pause = step
    while not done():
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                return False
            pause = min(pause, left)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return True


def wait_gone(pid: int, started: int, seconds: float | None) -> bool:
    """Wait until a process that may not be our child has ended; returns whether it has.

    Args:
        pid: Its number.
        started: Its start, from :func:`start_time`.
        seconds: How long to wait; ``None`` for ever.
    """
    if not is_alive(pid, started):
        return True
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if not is_alive(pid, started):
            return True
        import select

        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if seconds is None else int(seconds * 1000)))
    finally:
        os.close(fd)
