# SPDX-License-Identifier: Apache-2.0
"""Looking after a container that has a HEALTHCHECK, for as long as it runs.

There is no daemon: whoever starts such a container leaves a small process behind that looks from time to time, writes
down what it found, and ends with the container.
"""

from __future__ import annotations

import os
import sys
import time

from scow.base.clock import rfc3339
from scow.containers import executing
from scow.errors import ScowError
from scow.linux import process
from scow.runtime import health
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_LIMIT = 1 << 16


def start_watch(service: Containers, container: Container) -> None:
    """Leave a process behind that looks after a container that has just been started."""
    if health.read_check(container.config) is None:
        return
    service.store.update(container.id, health=health.begin())
    words = [sys.executable, "-I", "-m", "scow.cli.health", container.id]
    environment = {"SCOW_ROOT": service.root, "SCOW_RUN_ROOT": service.run_root, "PATH": os.defpath}
    process.leave_behind(words, name="scow-health", env=environment)


def watch(service: Containers, identity: str) -> None:
    """Look after a container until it ends; for a process of its own."""
    process.adopt_orphans()
    container = service.store.get(identity)
    if container is None:
        return
    check = health.read_check(container.config)
    if check is None:
        return
    pid, started = container.pid, container.pid_start
    state = container.health or health.begin()
    while True:
        age = time.time() - container.started
        if process.wait_gone(pid, started, health.pause(state, check, running_for=age)):
            return
        current = service.store.get(identity)
        if current is None or current.pid != pid:
            return
        if current.status == "paused":
            continue
        age = time.time() - container.started
        result = _look(service, current, check)
        before = state["Status"]
        state = health.after(state, check, result, running_for=age)
        if not process.is_alive(pid, started) or not _note(service, identity, pid, state):
            return
        if state["Status"] != before:
            service.note(f"health_status: {state['Status']}", current)


def _note(service: Containers, identity: str, pid: int, state: dict[str, Any]) -> bool:
    """Write down what was found; false when it is no longer about the container's run of now."""
    with service.db.write():
        current = service.store.get(identity)
        return current is not None and current.pid == pid and service.store.update(identity, health=state)


def _look(service: Containers, container: Container, check: health.Check) -> health.Result:
    start = time.time()
    try:
        code, output = executing.probe(
            service, container, executing.Exec(args=check.command), seconds=check.timeout, limit=_LIMIT
        )
    except ScowError as error:
        code, output = getattr(error, "status", 1), error.message
    if code < 0:
        output = f"Health check exceeded timeout ({check.timeout:g}s)" + (f": {output}" if output else "")
    return health.Result(rfc3339(start), rfc3339(time.time()), code, output)
