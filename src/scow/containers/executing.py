# SPDX-License-Identifier: Apache-2.0
"""One more process in a running container."""

from __future__ import annotations

import os

from scow.containers.store import NotRunningError
from scow.errors import ConflictError
from scow.linux import process
from scow.runtime.oci import NOT_EXECUTABLE, NOT_FOUND, StartError, start_error
from scow.runtime.stdio import Pump, write_all
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Self

    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.runtime.console import Console
    from scow.runtime.stdio import Streams

_MAX_COMPLAINT = 1 << 16
_SIGKILL = 9


class Exec(NamedTuple):
    """What to run.

    Args:
        args: Command line.
        env: ``NAME=value``, beside the container's own.
        user: As for ``--user``; ``""`` for the container's own.
        cwd: ``""`` for the container's own.
        terminal: Whether it gets one.
        privileged: Whether it holds every capability.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    cwd: str = ""
    terminal: bool = False
    privileged: bool = False


def check(container: Container) -> None:
    """Refuse a container that no process can be added to.

    Raises:
        NotRunningError: It does not run.
        ConflictError: It is halted.
    """
    if container.status == "paused":
        raise ConflictError(f"Container {container.name} is paused, unpause the container before exec")
    if not container.is_alive:
        raise NotRunningError(f"Container {container.id} is not running")


def run(service: Containers, container: Container, wish: Exec, streams: Streams) -> int:
    """Run a process without a terminal to its end; for a process that does nothing else (it adopts orphans).

    Returns:
        Its exit status.

    Raises:
        StartError: It could not be started; ``.status`` is 126 or 127.
        NotRunningError: The container does not run.
    """
    check(container)
    pump = Pump(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr)
    with _Beginning(service, container) as beginning:
        beginning.spawn(stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr)
        pump.started()
        process.adopt_orphans()  # the runtime leaves the process behind, and knows nothing of it yet
        beginning.tell(wish)
        pidfd = os.pidfd_open(beginning.pid)
        pump.until(pidfd, drain=False)
        os.close(pidfd)
        pid = beginning.started(pump.held)
    pump.release()
    pidfd = os.pidfd_open(pid)
    pump.until(pidfd, drain=True)
    os.close(pidfd)
    return beginning.over(process.exit_status(os.waitpid(pid, 0)[1]))


def probe(service: Containers, container: Container, wish: Exec, *, seconds: float, limit: int) -> tuple[int, str]:
    """Run a process for a limited time and keep what it says; for a process that does nothing else.

    Args:
        service: The room.
        container: One that runs.
        wish: What to run.
        seconds: After which it is killed.
        limit: Bytes of output that are kept.

    Returns:
        Its exit status, -1 when the time was over; its output, both streams together.

    Raises:
        StartError: It could not be started.
    """
    check(container)
    out = os.memfd_create("probe", os.MFD_CLOEXEC)

    def said() -> str:
        return os.pread(out, limit, 0).decode("utf-8", "replace")

    try:
        with _Beginning(service, container) as beginning:
            beginning.spawn(stdout=out, stderr=out)
            beginning.tell(wish)
            pid = beginning.started(said)
        gone = process.wait_gone(pid, process.start_time(pid), seconds)
        if not gone:
            os.kill(pid, _SIGKILL)
        status = beginning.over(process.exit_status(os.waitpid(pid, 0)[1]))
        return status if gone else -1, said()
    finally:
        os.close(out)


def run_detached(service: Containers, container: Container, wish: Exec) -> None:
    """Start a process and leave it alone.

    Raises:
        StartError: It could not be started.
        NotRunningError: The container does not run.
    """
    check(container)
    complaint = os.memfd_create("complaint", os.MFD_CLOEXEC)
    try:
        with _Beginning(service, container) as beginning:
            beginning.spawn(stderr=complaint)
            beginning.tell(wish)
            beginning.ended(lambda: os.pread(complaint, _MAX_COMPLAINT, 0).decode("utf-8", "replace"))
    finally:
        os.close(complaint)


def run_terminal(
    service: Containers,
    container: Container,
    wish: Exec,
    *,
    stdin: int | None,
    stdout: int,
    keys: bytes,
    detached: bool = False,
) -> int:
    """Run a process with a terminal of its own to its end; for a process that does nothing else.

    Args:
        service: The room.
        container: One that runs.
        wish: What to run.
        stdin: The user's input, or ``None``.
        stdout: Where output goes.
        keys: The sequence that means "leave".
        detached: Leave it alone once it runs; another process holds the other end of its terminal.

    Returns:
        Its exit status; 0 when it is left behind or the user left by the detach keys.

    Raises:
        StartError: It could not be started.
        NotRunningError: The container does not run.
    """
    check(container)
    directory = os.path.join(service.run_root, "exec")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, f"{os.urandom(8).hex()}.sock")
    complaint = os.memfd_create("complaint", os.MFD_CLOEXEC)
    with _Beginning(service, container) as beginning:
        from scow.runtime.console import Console

        try:
            with Console(path) as console:
                beginning.spawn("--tty", "--console-socket", path, stderr=complaint)
                process.adopt_orphans()
                beginning.tell(wish)
                pid = beginning.started(lambda: os.pread(complaint, _MAX_COMPLAINT, 0).decode("utf-8", "replace"))
                console.receive()
                os.unlink(path)
                if detached:
                    if not os.fork():
                        _hold(console, pid)
                    return 0
                left = console.carry(stdin, stdout, os.pidfd_open(pid), keys)
        finally:
            os.close(complaint)
            if os.path.lexists(path):
                os.unlink(path)
    return 0 if left else beginning.over(process.exit_status(os.waitpid(pid, 0)[1]))


def _hold(console: Console, pid: int) -> NoReturn:
    """Take what a process says to its terminal until it has ended: it could not go on without a reader."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        console.carry(None, null, os.pidfd_open(pid), b"")
    finally:
        os._exit(0)


class _Beginning:
    """The runtime on its way to start one more process; use it in a ``with`` block.

    It is started before it is known what it shall start, and waits for that at a pipe: it needs as long to get going as
    scow needs to find out. No file is left when both are killed.

    Args:
        service: The room.
        container: The container.

    Attributes:
        pid: The runtime's process.
        identity: What events call the new process.
    """

    def __init__(self, service: Containers, container: Container) -> None:
        self._service = service
        self._container = container
        self._writer = -1
        self.pid = 0
        self.identity = os.urandom(32).hex()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self.pid:  # something failed here
            os.kill(self.pid, _SIGKILL)
            process.wait_status(self.pid)

    def _close(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def spawn(
        self, *flags: str, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None
    ) -> None:
        """Start the runtime: before anything that takes time, such as loading what :meth:`tell` needs."""
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        try:
            words = ("exec", "--detach", *flags, "--process", "/proc/self/fd/3", self._container.id)
            self.pid = process.spawn(
                self._service.runtime_of(self._container).words(*words),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                keep={3: reader},
            )
        finally:
            os.close(reader)

    def tell(self, wish: Exec) -> None:
        """Say what it shall start."""
        from scow.containers.process_spec import describe

        try:
            write_all(self._writer, describe(self._service, self._container, wish).encode())
        except BrokenPipeError:
            pass  # the runtime has ended, and said why
        self._close()
        command = " ".join(wish.args)
        with self._service.db.write():
            self._service.note(f"exec_create: {command}", self._container, execID=self.identity)
            self._service.note(f"exec_start: {command}", self._container, execID=self.identity)

    def over(self, status: int) -> int:
        """Note that the process has ended, and how."""
        self._service.note("exec_die", self._container, execID=self.identity, exitCode=str(status))
        return status

    def ended(self, said: Callable[[], str]) -> None:
        """Wait for the runtime.

        Args:
            said: Gives what it has said.

        Raises:
            StartError: It could not start the process.
        """
        status = process.wait_status(self.pid)
        self.pid = 0
        if status:
            raise exec_error(said())

    def started(self, said: Callable[[], str]) -> int:
        """Wait for the runtime; returns the process, which is this one's child now.

        Raises:
            StartError: It could not be started.
        """
        self.ended(said)
        pid = process.only_child()
        if not pid:
            raise StartError("the OCI runtime left no process behind")
        return pid


def exec_error(text: str) -> StartError:
    """The complaint in docker's words; what is not "not found" gives 126 here, unlike the start of a container."""
    error = start_error(text)
    message = error.message.replace(
        "failed to create shim task: OCI runtime create failed:", "OCI runtime exec failed:"
    )
    status = NOT_FOUND if error.status == NOT_FOUND else NOT_EXECUTABLE
    return StartError(message, status=status, hint=error.hint)
