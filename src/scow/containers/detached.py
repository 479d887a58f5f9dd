# SPDX-License-Identifier: Apache-2.0
"""Starting a container under a monitor of its own, so that it outlives the command that started it."""

from __future__ import annotations

import os
import sys
import time

from scow.containers import ending, logbook
from scow.containers.store import RESTARTING, RUNNING
from scow.linux import process
from scow.linux.idmaps import in_user_namespace
from scow.runtime import monitor
from scow.runtime.deadman import Deadman
from scow.runtime.oci import StartError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.containers.networks_attach import Attached
    from scow.containers.service import Containers
    from scow.containers.store import Container


def start(service: Containers, container: Container, before: Callable[[Container], None] | None = None) -> Container:
    """Start a container.

    Args:
        service: The room.
        container: One that does not run.
        before: Called when the container exists and its command does not run yet: the moment to attach.

    Returns:
        Its record.

    Raises:
        StartError: Its command could not be started; the record says why.
        UnsupportedError: runc or conmon is missing.
        ContainerNotFoundError: It has been removed meanwhile.
    """
    with service.alone(container):
        current = service.find(service.still(container).id)
        if current.is_alive:
            return current  # another process was faster
        if container.status == RESTARTING and (current.status, current.monitor) != (RESTARTING, container.monitor):
            return current  # it was stopped, or started and has ended, while this process waited to start it again
        return _start(service, current, before)


def _start(service: Containers, container: Container, before: Callable[[Container], None] | None) -> Container:
    directory = service.directory(container.id)
    if in_user_namespace():
        from scow.linux.reentry import note_container

        note_container(service.run_root, directory)
    monitor.forget(directory, container.id)
    runtime = service.runtime_of(container)
    runtime.delete(container.id)
    deadman = Deadman(runtime.last_will(container.id, directory))
    attached = None
    log = logbook.open_log(service, container)
    try:
        attached = service.attach(container)
        watch = _watch(service, container, attached, log.path, start=before is None)
        # In the mount namespace that monitor and container will keep alive.
        begun, stubs = service.privately(
            lambda: service.launch(container, attached, lambda: monitor.begin(runtime, watch))
        )
        pid = monitor.created(begun)
        running = container._replace(pid=pid, pid_start=process.start_time(pid), stubs=stubs)
        if before is not None:
            before(running)
            runtime.call("start", container.id)
        running = _enter(service, running)
    except BaseException as error:
        message = str(error)
        code = error.status if isinstance(error, StartError) else 125
        ending.failed(service, container, message, status=code)
        raise
    else:
        if service.answerer is not None:
            service.answerer.leave()
    finally:
        log.close()
        if attached:
            attached.close()
            attached.hand_over()
        deadman.disarm()
    if container.config.get("Healthcheck"):
        from scow.containers.health import start_watch

        start_watch(service, running)
    return running


def _enter(service: Containers, container: Container) -> Container:
    """Write down that a container runs, all at once: until then it is this process that others must see alive."""
    now: dict[str, Any] = {
        "status": RUNNING,
        "pid": container.pid,
        "pid_start": container.pid_start,
        "boot": process.boot_id(),
        "stubs": container.stubs,
        "monitor": "conmon",
        "started": time.time(),
        "finished": 0.0,
        "exit_code": 0,
        "error": "",
        "oom": 0,
        "stopped": 0,
    }
    with service.db.write():
        service.store.update(container.id, **now)
        service.note("start", container)
    return container._replace(**now)


def _watch(
    service: Containers, container: Container, attached: Attached | None, log: str, *, start: bool
) -> monitor.Watch:
    config = container.config
    return monitor.Watch(
        identity=container.id,
        name=container.name,
        bundle=service.directory(container.id),
        start=start,
        stdin=bool(config.get("OpenStdin")),
        terminal=bool(config.get("Tty")),
        # Who leaves a terminal may come back; a pipe is at its end when the one who fed it is gone.
        leave_stdin_open=bool(config.get("Tty")) or not config.get("StdinOnce"),
        log=log,
        exit_command=(sys.executable, "-I", "-m", "scow.cli.ended", container.id),
        environment={"SCOW_ROOT": service.root, "SCOW_RUN_ROOT": service.run_root, "PATH": os.defpath},
        keep=attached.keep if attached else None,
    )
