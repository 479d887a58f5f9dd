# SPDX-License-Identifier: Apache-2.0
"""Ending containers, and halting them: stop, kill, pause, remove, prune."""

from __future__ import annotations

import os
import signal

from scow.containers import ending, settling
from scow.containers.limits import check_freezer
from scow.containers.store import (
    CREATED,
    EXITED,
    PAUSED,
    RESTARTING,
    RUNNING,
    NameTakenError,
    NotRunningError,
    check_name,
)
from scow.errors import ConflictError, InvalidArgumentError, UnavailableError
from scow.linux import process
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from scow.containers.service import Containers
    from scow.containers.store import Container

_STOP_SECONDS = 10
_KILL_SECONDS = 30.0


def signal_number(text: str) -> int:
    """Read a signal: a number, or a name with or without ``SIG``.

    Raises:
        InvalidArgumentError: No such signal.
    """
    if text.isdigit():
        if not int(text):
            raise InvalidArgumentError(f"Invalid signal: {text}")
        if 0 < int(text) < signal.NSIG:
            return int(text)
        raise InvalidArgumentError(f"The linux daemon does not support signal {text}")
    name = text.upper().removeprefix("SIG")
    base, plus, offset = name.partition("+")
    if base == "RTMIN" and plus and offset.isdigit():
        return int(signal.SIGRTMIN) + int(offset)
    if base.startswith("RTMAX-") and base[6:].isdigit():
        return int(signal.SIGRTMAX) - int(base[6:])
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise InvalidArgumentError(f"Invalid signal: {text}") from None


def send(container: Container, number: int) -> None:
    """Send a signal to a container's first process; one that is gone is fine."""
    try:
        fd = os.pidfd_open(container.pid)
    except OSError:
        return
    try:
        if process.is_alive(container.pid, container.pid_start):
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return
    finally:
        os.close(fd)


def stop(service: Containers, container: Container, seconds: int | None = None, name: str = "") -> None:
    """Ask a container to end, and kill it when it does not.

    Args:
        service: The room.
        container: The container; one that does not run is fine.
        seconds: Time it has; ``None`` for its own setting, negative for all it needs.
        name: A signal to ask with, or ``""`` for its own setting.
    """
    asked = signal_number(name or container.config.get("StopSignal") or "SIGTERM")
    stopped = _not_again(service, container)
    if stopped is None or not stopped.is_alive:
        return
    container = unpause(service, stopped) if stopped.status == PAUSED else stopped
    patience = container.config.get("StopTimeout") if seconds is None else seconds
    if patience is None:
        patience = _STOP_SECONDS
    service.note("kill", container, signal=str(asked))
    send(container, asked)
    left = settling.wait_end(service, container, None if patience < 0 else float(patience))
    if left is not None and left.is_alive:
        kill_and_wait(service, left)
    service.note("stop", container)


def _not_again(service: Containers, container: Container) -> Container | None:
    """Let a container's restart policy rest; one that waits for its next start has ended with that.

    Returns:
        Its record as it is now; ``None`` when it has been removed meanwhile.
    """
    with service.alone(container):  # whoever starts it says so first: by then it can be told to end
        current = service.store.get(container.id)
        if current is None:
            return None
        now: dict[str, Any] = {"stopped": 1, "status": EXITED} if current.status == RESTARTING else {"stopped": 1}
        service.store.update(container.id, **now)
        return current._replace(**now)


def kill_and_wait(service: Containers, container: Container) -> None:
    """Kill a container's processes and wait for their end.

    Raises:
        UnavailableError: They do not end: the kernel holds them.
    """
    service.note("kill", container, signal=str(int(signal.SIGKILL)))
    send(container, signal.SIGKILL)
    if container.status == PAUSED:
        container = unpause(service, container)
    left = settling.wait_end(service, container, _KILL_SECONDS)
    if left is not None and left.is_alive:
        raise UnavailableError(f"container {container.id} does not end although it was killed")


def kill(service: Containers, container: Container, name: str) -> None:
    """Send a signal.

    Args:
        service: The room.
        container: The container.
        name: The signal, a name or a number.

    Raises:
        NotRunningError: It does not run.
        InvalidArgumentError: No such signal.
    """
    number = signal_number(name or "KILL")
    waits = container.status == RESTARTING
    if not (container.is_alive or waits):
        raise NotRunningError(f"Container {container.id} is not running")
    if waits or number in {signal.SIGKILL, signal.SIGTERM, signal_number(container.config.get("StopSignal") or "TERM")}:
        stopped = _not_again(service, container)
        if stopped is None or not stopped.is_alive:
            return
        container = stopped
    if number == signal.SIGKILL:
        kill_and_wait(service, container)
    else:
        service.note("kill", container, signal=str(number))
        send(container, number)


def pause(service: Containers, container: Container) -> None:
    """Halt a container's processes.

    Raises:
        NotRunningError: It does not run.
        ConflictError: It is halted already.
    """
    with service.alone(container):
        current = service.find(container.id)
        if current.status == PAUSED:
            raise ConflictError(f"Container {container.id} is already paused")
        if current.status != RUNNING:
            raise NotRunningError(f"Container {container.id} is not running")
        check_freezer(service, current)
        service.runtime_of(current).call("pause", container.id)
        service.store.update(container.id, status=PAUSED)
        service.note("pause", current)


def unpause(service: Containers, container: Container) -> Container:
    """Let a halted container go on.

    Returns:
        Its record as it is now.

    Raises:
        ConflictError: It is not halted.
    """
    with service.alone(container):
        current = service.find(container.id)
        if current.status != PAUSED:
            raise ConflictError(f"Container {container.id} is not paused")
        service.runtime_of(current).call("resume", container.id)
        service.store.update(container.id, status=RUNNING)
        service.note("unpause", current)
    return current._replace(status=RUNNING)


def remove(service: Containers, container: Container, *, force: bool = False, volumes: bool = False) -> None:
    """Remove a container with its writable layer, its log and its files.

    Args:
        service: The room.
        container: The container.
        force: Kill it first when it runs.
        volumes: Remove its anonymous volumes too.

    Raises:
        ConflictError: It runs, and ``force`` was not given.
        ContainerNotFoundError: Another process has removed it meanwhile.
    """
    _check_removal(container, force=force)
    if force:
        service.store.update(container.id, stopped=1)
    with service.alone(container):
        current = service.find(service.still(container).id)
        _check_removal(current, force=force)
        if current.is_alive:
            kill_and_wait(service, current)
        ending.clean(service, current)
        ending.forget(service, current, volumes=volumes or bool(current.auto_remove))


def _check_removal(container: Container, *, force: bool) -> None:
    if not force and (container.is_alive or container.status == RESTARTING):
        how = "Unpause and then stop" if container.status == PAUSED else "Stop"
        raise ConflictError(
            f"You cannot remove a {container.status} container {container.id}. "
            f"{how} the container before attempting removal or force remove"
        )


def rename(service: Containers, container: Container, name: str) -> None:
    """Give a container another name.

    Raises:
        InvalidArgumentError: A character is not allowed, or it has that name already.
        NameTakenError: Another container has it.
    """
    if not name:
        raise InvalidArgumentError("Neither old nor new names may be empty")
    lead = "Error when allocating new name: "
    try:
        plain = check_name(name if name.startswith("/") else f"/{name}")
    except InvalidArgumentError as error:
        raise InvalidArgumentError(lead + error.message) from None
    if plain == container.name:
        raise InvalidArgumentError("Renaming a container with the same name as its current name")
    try:
        service.store.rename(container.id, plain)
    except NameTakenError as error:
        raise NameTakenError(lead + error.message) from None
    service.note("rename", container._replace(name=plain), oldName=f"/{container.name}")


def prunable(containers: list[Container]) -> list[Container]:
    """Those that do not run."""
    return [container for container in containers if container.status in {CREATED, EXITED, "dead"}]
