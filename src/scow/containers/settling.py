# SPDX-License-Identifier: Apache-2.0
"""Bringing rows in line with processes: a container whose process is gone has ended, whoever notices first."""

from __future__ import annotations

import time

from scow.containers import ending
from scow.containers.store import ALIVE, EXITED, RESTARTING
from scow.linux import process
from scow.runtime import monitor
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

_KILLED, _REBOOTED = 137, 255
_MONITOR_LOOKS = 2000
_LONGEST_PAUSE = 60.0
_GOOD_RUN_SECONDS = 10.0


def settle(service: Containers, container: Container) -> Container | None:
    """Look whether a container is still what its row says, and put the row right.

    Returns:
        Its record as it is now; ``None`` when it was to be removed at its end, and is.
    """
    if container.status == RESTARTING:
        return _still_restarting(service, container)
    if container.status not in ALIVE:
        return container
    same_boot = container.boot == process.boot_id()
    if same_boot and process.is_alive(container.pid, container.pid_start):
        return container
    if same_boot and _watcher_lives(container):
        return container
    directory = service.directory(container.id)
    found = monitor.exit_status(directory, container.id)
    if found is None and same_boot and container.monitor == "conmon":
        found = _await_monitor(directory, container.id)
    status, when = found or (_KILLED if same_boot else _REBOOTED, 0.0)
    with service.alone(container):
        # Whoever stopped it may have done this already, and may be about to start it again.
        current = service.store.get(container.id)
        if current is None or current.pid != container.pid or not current.is_alive:
            return current
        ending.ended(service, container, status, finished=when)
        return service.store.get(container.id)


def _still_restarting(service: Containers, container: Container) -> Container | None:
    """A container between two runs; it has ended when the process that was to start it again is gone."""
    kind, _, mark = container.monitor.partition(" ")
    if kind == "restart" and container.boot == process.boot_id() and process.mark_lives(mark):
        return container
    with service.db.write():  # somebody may be starting it at this moment
        current = service.store.get(container.id)
        if current is not None and (current.status, current.monitor) == (RESTARTING, container.monitor):
            service.store.update(container.id, status=EXITED)
            current = current._replace(status=EXITED)
    return current


def _watcher_lives(container: Container) -> bool:
    """Whether the command in whose foreground the container ran is there to write its end down."""
    kind, _, mark = container.monitor.partition(" ")
    return kind == "direct" and process.mark_lives(mark)


def _await_monitor(directory: str, identity: str) -> tuple[int, float] | None:
    """The monitor may be about to write the exit status down: it does so when the log has all of the output."""
    pid = monitor.monitor_pid(directory)
    # not by the clock: what keeps the monitor from a processor may keep this process too
    for _ in range(_MONITOR_LOOKS):
        found = monitor.exit_status(directory, identity)
        if found is not None or not process.start_time(pid):
            break
        time.sleep(0.01)
    return monitor.exit_status(directory, identity)


def settle_all(service: Containers) -> None:
    """Put every row right whose process is gone, and drop what a killed ``run --rm`` never started."""
    for identity, mark in service.store.unstarted():
        if not process.mark_lives(mark.partition(" ")[2]):
            container = service.store.get(identity)
            if container is not None and container.status == "created":
                ending.clean(service, container)
                ending.forget(service, container, volumes=True)
    boot = process.boot_id()
    for identity, pid, started, ran_in in service.store.processes():
        if ran_in != boot or not process.is_alive(pid, started):
            container = service.store.get(identity)
            if container is not None:
                settle(service, container)
    service.sweep()
    service.reap_networks()


def wait_end(service: Containers, container: Container, seconds: float | None = None) -> Container | None:
    """Wait until a container has ended and its row says so.

    Args:
        service: The room.
        container: The container.
        seconds: How long; ``None`` for ever.

    Returns:
        Its record; ``None`` when it was removed at its end. One that still runs when the time is over is returned
        as it is.
    """
    end = None if seconds is None else time.monotonic() + seconds
    current: Container | None = container
    while current is not None and current.is_alive:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not process.wait_gone(current.pid, current.pid_start, left):
            return current
        identity = current.id
        current = settle(service, current)
        if current is not None and current.is_alive:
            time.sleep(0.005)
            current = service.store.get(identity)
    return current


def has_ended(service: Containers, identity: str) -> None:
    """What a monitor's exit command does: settle the container, then restart it when its policy says so."""
    container = service.store.get(identity)
    if container is None:
        return
    service.unmount_all(container)  # first: what is mounted in a directory keeps it from being removed
    with service.alone(container):  # who starts it may not have said yet that it runs
        started = service.store.get(identity)
    if started is None:
        return
    settled = settle(service, started)
    if settled is None:
        return
    with service.alone(settled):
        # Somebody may have stopped it meanwhile, or started it again.
        current = service.store.get(identity)
        if current is None or current.status != EXITED or not should_restart(current):
            return
        mark = f"restart {process.self_mark()}"
        service.store.update(identity, status=RESTARTING, restarts=current.restarts + 1, monitor=mark)
    time.sleep(_pause(current))
    from scow.containers.detached import start

    start(service, current._replace(status=RESTARTING, monitor=mark))


def should_restart(container: Container) -> bool:
    """Whether a container that has ended is to be started again."""
    if container.stopped:
        return False
    policy = container.host.get("RestartPolicy") or {}
    name, most = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    if name in {"always", "unless-stopped"}:
        return True
    return name == "on-failure" and container.exit_code != 0 and (not most or container.restarts < most)


def _pause(container: Container) -> float:
    """Seconds before the next start: 0.1, doubled each time, from the beginning again after a good run."""
    if container.finished - container.started >= _GOOD_RUN_SECONDS:
        return 0.1
    return float(min(0.1 * 2 ** min(container.restarts, 16), _LONGEST_PAUSE))
