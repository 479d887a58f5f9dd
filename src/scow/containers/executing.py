# SPDX-License-Identifier: Apache-2.0
"""One more process in a running container."""

from __future__ import annotations

import os

from scow.base import jsontext
from scow.containers.bundle import hostname
from scow.containers.stopping import NotRunningError
from scow.errors import ConflictError
from scow.linux import capabilities, process
from scow.linux.idmaps import mapped_groups
from scow.runtime import inside, spec, users
from scow.runtime.oci import StartError, start_error
from scow.runtime.stdio import Pump
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.containers.foreground import Streams
    from scow.containers.service import Containers
    from scow.containers.store import Container

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
    """Run a process without a terminal to its end; for a dedicated process (it adopts orphans).

    Returns:
        Its exit status.

    Raises:
        StartError: It could not be started; ``.status`` is 126 or 127.
        NotRunningError: The container does not run.
    """
    check(container)
    process.adopt_orphans()
    pump = Pump(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr)
    base = _write(service, container, wish)
    try:
        words = service.runtime.words(
            "exec", "--detach", "--process", f"{base}.json", "--pid-file", f"{base}.pid", container.id
        )
        child = process.spawn(words, stdin=pump.child_stdin, stdout=pump.child_stdout, stderr=pump.child_stderr)
        pump.started()
        pidfd = os.pidfd_open(child)
        pump.until(pidfd, drain=False)
        os.close(pidfd)
        if process.wait_status(child):
            raise exec_error(pump.held())
        pid = _read_pid(base)
    finally:
        _forget(base)
    pump.release()
    pidfd = os.pidfd_open(pid)
    pump.until(pidfd, drain=True)
    os.close(pidfd)
    return process.exit_status(os.waitpid(pid, 0)[1])


def probe(service: Containers, container: Container, wish: Exec, *, seconds: float, limit: int) -> tuple[int, str]:
    """Run a process for a limited time and keep what it says; for a dedicated process.

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
    base = _write(service, container, wish)
    out = os.memfd_create("probe", os.MFD_CLOEXEC)
    try:
        words = ["exec", "--detach", "--process", f"{base}.json", "--pid-file", f"{base}.pid", container.id]
        child = process.spawn(service.runtime.words(*words), stdout=out, stderr=out)
        if process.wait_status(child):
            raise exec_error(os.pread(out, limit, 0).decode("utf-8", "replace"))
        pid = _read_pid(base)
        gone = process.wait_gone(pid, process.start_time(pid), seconds)
        if not gone:
            os.kill(pid, _SIGKILL)
        status = process.exit_status(os.waitpid(pid, 0)[1])
        return status if gone else -1, os.pread(out, limit, 0).decode("utf-8", "replace")
    finally:
        os.close(out)
        _forget(base)


def run_detached(service: Containers, container: Container, wish: Exec) -> None:
    """Start a process and leave it alone.

    Raises:
        StartError: It could not be started.
        NotRunningError: The container does not run.
    """
    check(container)
    base = _write(service, container, wish)
    try:
        words = ["exec", "--detach", "--process", f"{base}.json", container.id]
        status, _, complaint = process.run(service.runtime.words(*words))
    finally:
        _forget(base)
    if status:
        raise exec_error(complaint)


def run_terminal(
    service: Containers, container: Container, wish: Exec, *, stdin: int | None, stdout: int, keys: bytes
) -> int:
    """Run a process with a terminal of its own to its end; for a dedicated process.

    Returns:
        Its exit status; 0 when the user left by the detach keys.

    Raises:
        StartError: It could not be started.
        NotRunningError: The container does not run.
    """
    from scow.runtime.console import Console

    check(container)
    process.adopt_orphans()
    base = _write(service, container, wish)
    try:
        with Console(f"{base}.sock") as console:
            words = ["exec", "--detach", "--tty", "--console-socket", f"{base}.sock", "--process", f"{base}.json"]
            status, _, complaint = process.run(service.runtime.words(*words, "--pid-file", f"{base}.pid", container.id))
            if status:
                raise exec_error(complaint)
            pid = _read_pid(base)
            console.receive()
            left = console.carry(stdin, stdout, os.pidfd_open(pid), keys)
    finally:
        _forget(base)
    return 0 if left else process.exit_status(os.waitpid(pid, 0)[1])


def exec_error(text: str) -> StartError:
    """The runtime's complaint, in docker's words."""
    error = start_error(text)
    message = error.message.replace(
        "failed to create shim task: OCI runtime create failed:", "OCI runtime exec failed:"
    )
    return StartError(message, status=error.status)


def _write(service: Containers, container: Container, wish: Exec) -> str:
    """Write the process down for the runtime; returns the path without its ending."""
    config, host = container.config, container.host
    privileged = wish.privileged or bool(host.get("Privileged"))
    with inside.Root(f"/proc/{container.pid}/root") as root:
        identity = users.resolve(
            wish.user or config.get("User") or "",
            root.read("/etc/passwd", users.MAX_FILE),
            root.read("/etc/group", users.MAX_FILE),
            host.get("GroupAdd") or (),
        )
    names = capabilities.resolve(
        tuple(host.get("CapAdd") or ()),
        tuple(host.get("CapDrop") or ()),
        privileged=privileged,
        last=capabilities.last_known(),
    )
    merged = {**config, "Tty": wish.terminal, "Env": [*(config.get("Env") or ()), *wish.env]}
    document = spec.make_process(
        wish.args,
        env=spec.environment(merged, hostname(container)),
        cwd=wish.cwd or config.get("WorkingDir") or "/",
        identity=identity,
        capabilities=names,
        terminal=wish.terminal,
        no_new_privileges=spec.no_new_privileges(host),
        rlimits=host.get("Ulimits") or (),
        nofile=process.most_files(),
    )
    if mapped_groups() == 1:
        from scow.runtime.oneid.answerer import become

        become(document, f"{service.directory(container.id)}/config.json")
    directory = os.path.join(service.run_root, "exec")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    base = os.path.join(directory, os.urandom(8).hex())
    with open(f"{base}.json", "w", encoding="utf-8") as file:
        file.write(jsontext.dumps(document))
    return base


def _read_pid(base: str) -> int:
    try:
        with open(f"{base}.pid", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        raise StartError("the OCI runtime left no process id") from None


def _forget(base: str) -> None:
    for ending in ("json", "pid", "sock"):
        try:
            os.unlink(f"{base}.{ending}")
        except OSError:
            continue
