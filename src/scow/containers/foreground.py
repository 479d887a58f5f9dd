# SPDX-License-Identifier: Apache-2.0
"""Running a container in the foreground: this process is its monitor, and nothing else is started but the runtime.

For a process of its own only (the command line): it takes private mounts, adopts orphans and handles signals. The
container dies with it (``runtime.deadman``), and its mounts with the container. A terminal, or output that shall
outlive this process, is the business of ``containers.detached``.
"""

from __future__ import annotations

import os
import time

from scow.containers.store import RUNNING
from scow.linux import cgroups, process
from scow.runtime.deadman import Deadman
from scow.runtime.handover import Begun
from scow.runtime.oci import StartError, start_error
from scow.runtime.stdio import Pump
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container
    from scow.runtime.door import Door
    from scow.runtime.stdio import Streams


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
    if not container.auto_remove:
        from scow.containers import logbook

        if logbook.is_kept(container):
            from scow.runtime.logs import LogWriter

            log = LogWriter(os.path.join(directory, "log"), *logbook.bounds(container))
    pump = Pump(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr, log=log)
    with Deadman(_last_will(service, container)) as deadman:
        with service.alone(container):
            pid, door = _begin(service, service.still(container), pump, proxy=proxy)
        pidfd = os.pidfd_open(pid)
        pump.release()
        pump.until(pidfd, drain=True)
        door.close()
        status = process.exit_status(os.waitpid(pid, 0)[1])
        from scow.containers import ending

        ending.ended(service, container, status)
        deadman.disarm(wait=False)
    return status


def _begin(service: Containers, container: Container, pump: Pump, *, proxy: bool) -> tuple[int, Door]:
    """Start a container's command; returns its first process, and where others attach."""
    try:
        service.dedicated = True
        attached = service.attach(container)
        begun, stubs = service.privately(
            lambda: service.launch(container, attached, lambda: _spawn(service, container, pump))
        )
    except BaseException as error:
        from scow.containers import ending

        ending.failed(service, container, str(error))
        raise
    # From here on the runtime works on the other processor: what is loaded now costs nothing.
    from scow.containers import ending
    from scow.runtime.door import Door
    from scow.runtime.signals import forward

    try:
        pid = _started(service, container, pump, begun)
        if attached:
            attached.close()
    except StartError as error:
        ending.failed(service, container, error.message, status=error.status)
        raise
    if proxy:
        forward(os.pidfd_open(pid))
    door = Door(service.directory(container.id))
    pump.open(door)
    with service.db.write():
        service.store.update(
            container.id,
            status=RUNNING,
            pid=pid,
            pid_start=process.start_time(pid),
            boot=process.boot_id(),
            monitor=f"direct {process.self_mark()}",
            started=time.time(),
            **({"stubs": stubs} if stubs != container.stubs else {}),
        )
        service.note("attach", container)
        service.note("start", container)
    return pid, door


def _spawn(service: Containers, container: Container, pump: Pump) -> Begun:
    """Let the runtime start the container."""
    directory = service.directory(container.id)
    words = service.runtime_of(container).words(
        "run", "--detach", "--bundle", directory, "--pid-file", f"{directory}/pid", container.id
    )
    cgroups.hasten()
    child = process.spawn(words, stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr)
    pump.started()
    return Begun(child, os.pidfd_open(child))


def _last_will(service: Containers, container: Container) -> list[str]:
    """What is to be done when this process is killed: end the container, then write its end down."""
    import sys

    place = (f"SCOW_ROOT={service.root}", f"SCOW_RUN_ROOT={service.run_root}")
    then = ("/usr/bin/env", *place, sys.executable, "-I", "-m", "scow.cli.ended", container.id)
    return service.runtime_of(container).last_will(container.id, service.directory(container.id), *then)


def _started(service: Containers, container: Container, pump: Pump, begun: Begun) -> int:
    """Wait for the runtime; returns the container's first process.

    Raises:
        StartError: It could not start the command.
    """
    pump.until(begun.ended, drain=False)
    os.close(begun.ended)
    if process.wait_status(begun.child) != 0:
        raise start_error(pump.held())
    try:
        with open(f"{service.directory(container.id)}/pid", encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        raise StartError("the OCI runtime left no process id") from None
