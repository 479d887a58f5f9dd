# SPDX-License-Identifier: Apache-2.0
"""Running a container in the foreground: this process is its monitor, and nothing else is started but the runtime.

For a process of its own only (the command line): it takes private mounts, adopts orphans and handles signals. The
container dies with it (``runtime.deadman``), and its mounts with the container. A terminal, or output that shall
outlive this process, is the business of ``containers.detached``.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from scow.base.clock import now
from scow.containers import bundle, ending
from scow.containers.store import RUNNING
from scow.linux import process
from scow.runtime.deadman import Deadman
from scow.runtime.logs import LogWriter
from scow.runtime.oci import StartError, start_error
from scow.runtime.stdio import Pump

if TYPE_CHECKING:
    from types import FrameType

    from scow.containers.service import Containers
    from scow.containers.store import Container

_NOT_PROXIED = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGURG,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGWINCH,
        signal.SIGPROF,
        signal.SIGALRM,
        signal.SIGVTALRM,
    }
)


class Streams(NamedTuple):
    """Where the container's streams go, as descriptors; ``None`` for nowhere.

    Args:
        stdin: Input.
        stdout: Output.
        stderr: Error output.
    """

    stdin: int | None = None
    stdout: int | None = 1
    stderr: int | None = 2


def run(service: Containers, container: Container, streams: Streams, *, proxy: bool = True) -> int:
    """Run a created container to its end.

    Args:
        service: The room.
        container: The container.
        streams: The user's streams.
        proxy: Whether signals that reach this process are passed on.

    Returns:
        Its exit status.

    Raises:
        StartError: Its command could not be started.
    """
    process.adopt_orphans()
    directory = service.directory(container.id)
    log = None
    if not container.auto_remove and (container.host.get("LogConfig") or {}).get("Type") != "none":
        log = LogWriter(os.path.join(directory, "log"))
    pump = Pump(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr, log=log)
    try:
        service.dedicated = True
        rootfs = service.privately(lambda: bundle.mount_root(service, container))
        stubs = bundle.write_bundle(service, container, rootfs)
    except BaseException as error:
        ending.failed(service, container, str(error))
        raise
    with Deadman(service.runtime.words("delete", "--force", container.id)):
        try:
            pid = _start(service, container, pump)
        except StartError as error:
            ending.failed(service, container, error.message, status=error.status)
            raise
        pidfd = os.pidfd_open(pid)
        if proxy:
            _proxy_signals(pidfd)
        service.store.update(
            container.id,
            status=RUNNING,
            pid=pid,
            pid_start=process.start_time(pid),
            boot=process.boot_id(),
            monitor=f"direct {process.self_mark()}",
            started=now(),
            **({"stubs": stubs} if stubs != container.stubs else {}),
        )
        service.note("start", container)
        pump.release()
        pump.until(pidfd, drain=True)
        status = process.exit_status(os.waitpid(pid, 0)[1])
        ending.ended(service, container, status)
    return status


def _start(service: Containers, container: Container, pump: Pump) -> int:
    """Let the runtime start the container; returns its first process."""
    directory = service.directory(container.id)
    pid_file = os.path.join(directory, "pid")
    words = service.runtime.words("run", "--detach", "--bundle", directory, "--pid-file", pid_file, container.id)
    child = process.spawn(words, stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    pidfd = os.pidfd_open(child)
    pump.until(pidfd, drain=False)
    os.close(pidfd)
    if process.wait_status(child) != 0:
        raise start_error(pump.held())
    try:
        with open(pid_file, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        raise StartError("the OCI runtime left no process id") from None


def _proxy_signals(pidfd: int) -> None:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        try:
            signal.pidfd_send_signal(pidfd, number)
        except OSError:
            return

    for number in signal.valid_signals() - _NOT_PROXIED:
        try:
            signal.signal(number, pass_on)
        except (OSError, ValueError):
            continue
