# SPDX-License-Identifier: Apache-2.0
"""conmon: the small program that stays with a detached container.

It keeps the container's terminal or pipes open, writes the log, serves the attach socket, and writes the exit status
down when the container ends, whatever became of the scow that started it.

::

    <bundle>/pid            the container's first process
    <bundle>/conmon.pid     the monitor itself
    <bundle>/<id>           the exit status, once it has ended
    <bundle>/log            the output, or where its bytes are bounded a pipe, log.pipe
    <bundle>/attach         socket (SOCK_SEQPACKET): input in, output out with one byte before it that says which
    <bundle>/ctl            pipe: "1 ROWS COLUMNS" resizes the terminal, "2 0 0" reopens the log

Source: conmon(8) 2.1 and its behaviour.
"""

from __future__ import annotations

import os

from scow import jsontext
from scow.errors import UnsupportedError
from scow.linux import cgroups, process
from scow.runtime.handover import Begun
from scow.runtime.oci import StartError, start_error
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scow.runtime.oci import OciRuntime

_SYNC, _START = 3, 4
# The runtime's arguments begin with what a shell has as $0 and $1; then come conmon's: "create", options, the name.
_RUN = 'state=$1; shift 2; exec "$0" --root "$state" run --detach "$@"'


class Watch(NamedTuple):
    """What a monitor is told.

    Args:
        identity: The container.
        name: Its name, shown in the log of the system.
        bundle: Its directory.
        start: Whether its command is started at once; otherwise the runtime's ``start`` lets it go.
        stdin: Whether its input is kept open.
        terminal: Whether it has a terminal.
        leave_stdin_open: Whether input stays open when the one who is attached leaves.
        log: The file that output is logged in, or a pipe that somebody reads; ``""`` for none.
        exit_command: What to run when the container has ended.
        environment: For the exit command.
        keep: Descriptors the monitor shall have as long as it lives: number there -> number here.
    """

    identity: str
    name: str
    bundle: str
    start: bool
    stdin: bool
    terminal: bool
    leave_stdin_open: bool
    log: str = ""
    exit_command: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    keep: Mapping[int, int] | None = None


def find_monitor() -> str:
    """Absolute path of conmon.

    Raises:
        UnsupportedError: It is not installed.
    """
    path = process.find_program("conmon", ("/usr/libexec/podman", "/usr/lib/podman"))
    if not path:
        raise UnsupportedError(
            "conmon is not installed: it watches detached containers", hint="Install it: apt install conmon"
        )
    return path


def begin(runtime: OciRuntime, watch: Watch) -> Begun:
    """Let a monitor create a container; :func:`created` tells what became of it.

    The monitor is born in the mount namespace of the calling thread.

    Raises:
        UnsupportedError: conmon is not installed.
    """
    cgroups.hasten()
    words = _words(runtime, watch)
    sync_reader, sync_writer = os.pipe2(os.O_CLOEXEC)
    start_reader, start_writer = os.pipe2(os.O_CLOEXEC)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        **(watch.environment or {}),
        "_OCI_SYNCPIPE": str(_SYNC),
        "_OCI_STARTPIPE": str(_START),
    }
    keep = {_SYNC: sync_writer, _START: start_reader, **(watch.keep or {})}
    try:
        child = process.spawn(words, keep=keep, env=environment)
        os.write(start_writer, b"go")
    except BaseException:
        os.close(sync_reader)
        raise
    finally:
        for fd in (sync_writer, start_reader, start_writer):
            os.close(fd)
    return Begun(child, sync_reader)


def created(begun: Begun) -> int:
    """Wait until a container exists, or where that was asked for, until its command was started.

    Args:
        begun: What :func:`begin` gave.

    Returns:
        The container's first process.

    Raises:
        StartError: The runtime could not create or start it.
    """
    try:
        answer = _read_line(begun.ended)
    finally:
        os.close(begun.ended)
    process.wait_status(begun.child)
    return _pid(answer)


def _words(runtime: OciRuntime, watch: Watch) -> list[str]:
    bundle = watch.bundle
    words = [find_monitor(), "--api-version", "1", "-c", watch.identity, "-u", watch.identity, "-n", watch.name]
    # conmon knows no "run": a shell says it in its place, which takes a millisecond and saves a start of the runtime.
    program, *args = ["/bin/sh", "-c", _RUN, runtime.program, runtime.state] if watch.start else runtime.words()
    words += ["-r", program]
    for arg in args:
        words += ["--runtime-arg", arg]
    words += ["-b", bundle, "-p", f"{bundle}/pid", "-P", f"{bundle}/conmon.pid", "--exit-dir", bundle]
    words += ["--full-attach", "--no-sync-log", "-l", f"k8s-file:{watch.log}" if watch.log else "none"]
    if watch.stdin:
        words.append("-i")
    if watch.terminal:
        words.append("-t")
    if watch.leave_stdin_open:
        words.append("--leave-stdin-open")
    if watch.exit_command:
        program, *rest = watch.exit_command
        words += ["--exit-command", program]
        for word in rest:
            words += ["--exit-command-arg", word]
    return words


def _read_line(fd: int) -> str:
    data = b""
    while b"\n" not in data:
        part = os.read(fd, 1 << 14)
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace")


def _pid(answer: str) -> int:
    """Read what the monitor answered: the process id, or why there is none."""
    try:
        found = jsontext.loads(answer)
        pid = int(found.get("data", found.get("pid", -1)))
    except (ValueError, AttributeError):
        raise StartError("conmon ended without saying what became of the container") from None
    if pid <= 0:
        raise start_error(str(found.get("message") or "the OCI runtime failed without a word"))
    return pid


def exit_status(bundle: str, identity: str) -> tuple[int, float] | None:
    """What the monitor wrote down: exit status and when, or ``None`` when the container has not ended.

    Args:
        bundle: The container's directory.
        identity: The container.
    """
    path = f"{bundle}/{identity}"
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(16).strip()
            when = os.fstat(file.fileno()).st_mtime
        return (int(text), when) if text else None
    except (OSError, ValueError):
        return None


def monitor_pid(bundle: str) -> int:
    """The monitor's process id, 0 when it is not known."""
    try:
        with open(f"{bundle}/conmon.pid", encoding="ascii") as file:
            return int(file.read(16))
    except (OSError, ValueError):
        return 0


def resize(bundle: str, rows: int, columns: int) -> None:
    """Tell the container's terminal its size; nothing happens when it has ended.

    Args:
        bundle: The container's directory.
        rows: Lines.
        columns: Characters a line.
    """
    try:
        fd = os.open(f"{bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, f"1 {rows} {columns}\n".encode())
    except OSError:
        pass
    finally:
        os.close(fd)


def forget(bundle: str, identity: str) -> None:
    """Remove what a former run of the container left, so that it cannot be taken for the next one's."""
    # ".pid" is left by a runtime that was killed while it wrote "pid"; runc will not write over it.
    for name in (identity, "pid", ".pid", "conmon.pid", "attach", "ctl", "winsz"):
        try:
            os.unlink(f"{bundle}/{name}")
        except OSError:
            continue
