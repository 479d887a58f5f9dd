# SPDX-License-Identifier: Apache-2.0
"""The end of a container: what the runtime, the kernel and the network keep of it goes away, its row tells the result.

Every step may be repeated: the process that watches, a monitor's exit command and any later scow command may all come
to the same end.
"""

from __future__ import annotations

import os
import time

from scow.base.files import remove_tree
from scow.containers.store import CREATED, EXITED
from scow.errors import ScowError
from scow.linux import cgroups, process
from scow.linux.capabilities import may_mount
from scow.linux.idmaps import in_user_namespace
from scow.runtime.handover import release
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.containers.service import Containers
    from scow.containers.store import Container

_LOST = 137


def ended(
    service: Containers,
    container: Container,
    status: int,
    *,
    finished: float = 0.0,
    remove: bool = True,
) -> None:
    """Write down that a container has ended, and take away what is left of it.

    Args:
        service: The room.
        container: The container, as it was when it ran.
        status: Its exit status.
        finished: When, seconds since the epoch; 0 for now.
        remove: Whether a container with ``--rm`` goes away.
    """
    oom = cgroups.out_of_memory(service.cgroup_of(container)) if status == _LOST else False
    leaving = service.leave(container)
    try:
        clean(service, container, networks=False)
        if remove and container.auto_remove:
            with service.db.write():
                service.note("die", container, exitCode=str(status))
                forget(service, container, volumes=True)
            return
        service.note("die", container, exitCode=str(status))
    finally:
        if leaving is not None:
            leaving.finish()
    service.store.update(
        container.id, status=EXITED, pid=0, exit_code=status, finished=finished or time.time(), oom=int(oom), error=""
    )


def failed(service: Containers, container: Container, message: str, *, status: int = 125) -> None:
    """Write down that a container could not be started; one with ``--rm`` goes away."""
    clean(service, container)
    if container.auto_remove:
        forget(service, container, volumes=True)
        return
    service.store.update(
        container.id,
        status=CREATED if not container.started else EXITED,
        pid=0,
        exit_code=status,
        error=message,
        finished=container.finished,
    )


def clean(service: Containers, container: Container, *, networks: bool = True) -> None:
    """Take away what runtime, kernel and (unless somebody is at it) network keep of a container that has ended."""
    service.unmount_root(container)
    leaving = service.leave(container) if networks else None
    if leaving is not None:
        leaving.finish()
    state = os.path.join(service.runtime_of(container).state, container.id)
    # Where nothing can be mounted, the runtime has put things into the tree, and must take them out again.
    alone = may_mount() and cgroups.remove(service.cgroup_of(container))
    if alone and not _first_process_lives(service, container):
        if os.path.isdir(state):
            remove_tree(state)
    else:
        # Processes are left: it shared the host's process ids, or was given up before its command started.
        service.runtime_of(container).delete(container.id)


def _first_process_lives(service: Containers, container: Container) -> bool:
    """Whether the container's first process is there, seen without the help of control groups."""
    if not in_user_namespace():
        return False
    try:
        with open(f"{service.directory(container.id)}/pid", encoding="ascii") as file:
            pid = file.read(16).strip()
    except OSError:
        return False
    return pid.isdigit() and process.start_time(int(pid)) > 0


def forget(service: Containers, container: Container, *, volumes: bool) -> None:
    """Remove a container that has ended, row first.

    Args:
        service: The room.
        container: The container.
        volumes: Whether its anonymous volumes go too.
    """
    with service.db.write():
        there = service.store.delete(container.id)
        service.leases.unlink(container.owner)
        for name in (container.id, *(mount["View"] for mount in container.mounts if mount["Type"] == "image")):
            service.snapshots.remove(name, force=True)
        if volumes:
            drop_anonymous(service, container)
        if there:
            service.note("destroy", container)
        # Last: while it is there, ``sweep`` knows that something may have been interrupted.
        service.db.after_commit(lambda: discard(service.directory(container.id)))


def discard(directory: str) -> None:
    """Remove a container's directory, whatever still waits in it or is about to write to it."""
    release(directory)
    gone = f"{directory}.gone"
    try:
        os.rename(directory, gone)
    except FileNotFoundError:
        return
    remove_tree(gone)


def drop_anonymous(service: Containers, container: Container) -> None:
    """Remove those volumes of a container that nobody named and nobody else has."""
    for mount in container.mounts:
        if mount["Type"] == "volume":
            try:
                if service.volumes.get(mount["Name"]).anonymous:
                    service.volumes.remove(mount["Name"])
            except ScowError:
                continue
