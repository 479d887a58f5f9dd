# SPDX-License-Identifier: Apache-2.0
"""The host's OCI runtime: found, called, and its complaints read.

Containers are isolated by ``runc`` (or ``crun``); this module only speaks to it. State is kept below the run root,
so that a reboot forgets it together with the processes.

Source: OCI runtime-spec v1.1, runtime.md; runc(8).
"""

from __future__ import annotations

import os

from scow.errors import ScowError, UnavailableError, UnsupportedError
from scow.linux import process
from scow.linux.capabilities import holds, may_mount
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

RUNTIMES = ("runc", "crun")
_UNIFIED = "/sys/fs/cgroup/unified/cgroup.controllers"
_BEHIND_FILTERS = ("create session key: operation not permitted", "pivot_root .: operation not permitted")
_FILTERED = (
    "A seccomp filter of the container that scow runs in forbids this: start that one with "
    "--security-opt seccomp=unconfined, or without --cap-add SYS_ADMIN."
)
_NO_SUCH_ID = (
    "This user or group is beyond the subordinate ids in /etc/subuid and /etc/subgid. To add to them, as root: "
    "usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER (a range nobody has)."
)
_SETTING_IDS = ("unable to setup user", "setresuid", "setresgid", "setgroups")
NOT_FOUND, NOT_EXECUTABLE, FAILED = 127, 126, 125
_NOT_EXECUTABLE_WORDS = ("permission denied", "is a directory", "exec format error", "open executable:")


class StartError(ScowError):
    """A container's process could not be started.

    Args:
        message: The runtime's complaint.
        status: 127 when the command is not found, 126 when it cannot be executed, else 125.
    """

    code = "start-failed"
    http_status = 400

    def __init__(self, message: str, *, status: int = FAILED, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RuntimeState(NamedTuple):
    """What the runtime says of a container.

    Args:
        status: ``created``, ``running``, ``paused`` or ``stopped``.
        pid: Its first process, 0 when there is none.
    """

    status: str
    pid: int


class OciRuntime:
    """Calls of one runtime program.

    Args:
        state: Directory for the runtime's own state.
        program: Absolute path, or ``""`` to look for it.
        name: What to look for, one of :data:`RUNTIMES`; ``""`` for runc, then crun.
    """

    __slots__ = ("_name", "_program", "state")

    def __init__(self, state: str, program: str = "", name: str = "") -> None:
        self.state = state
        self._program = program
        self._name = name

    @property
    def program(self) -> str:
        """Absolute path of the runtime: runc or crun, or where they cannot work our own.

        Raises:
            UnsupportedError: It is not installed, or cannot work here.
        """
        if not self._program and not may_mount():
            self._program = _last_resort(os.path.dirname(self.state))
        if not self._program:
            self._program = find(self._name)
        return self._program

    @property
    def reads_once(self) -> bool:
        """Whether it opens a bundle's ``config.json`` a single time, so that it may be a pipe; crun copies it later."""
        return os.path.basename(self.program) == "runc"

    def words(self, *args: str, log: str = "") -> list[str]:
        """A command line for the runtime.

        Args:
            args: Verb, flags and operands.
            log: File that gets its complaints as lines of JSON.
        """
        words = [self.program, "--root", self.state]
        if log:
            words += ["--log", log, "--log-format", "json"]
        words.extend(args)
        return words

    def call(self, *args: str) -> str:
        """Run one verb to its end.

        Returns:
            Its standard output.

        Raises:
            StartError: It failed.
        """
        status, out, err = process.run(self.words(*args))
        if status:
            raise start_error(err)
        return out

    def state_of(self, identity: str) -> RuntimeState | None:
        """Ask for a container's state; ``None`` when the runtime does not know it."""
        from scow import jsontext

        status, out, _ = process.run(self.words("state", identity))
        if status:
            return None
        found: dict[str, Any] = jsontext.loads(out)
        return RuntimeState(str(found.get("status", "")), int(found.get("pid", 0)))

    def last_will(self, identity: str, bundle: str, *then: str) -> list[str]:
        """A command line that ends a container whose starter was killed, for ``runtime.deadman``.

        Args:
            identity: The container.
            bundle: Its directory.
            then: What is to be executed after that.
        """
        # A runtime that waits for its document is let go first: it finds the pipe empty and ends.
        script = '[ -p "$1" ] && : <> "$1"; "$2" --root "$3" delete --force "$4"; shift 4; [ $# = 0 ] || exec "$@"'
        words = [f"{bundle}/config.json", self.program, self.state, identity, *then]
        return ["/bin/sh", "-c", script, "scow-last-will", *words]

    def knows(self, identity: str) -> bool:
        """Whether the runtime keeps state of this container (asks the file system only)."""
        return os.path.isdir(os.path.join(self.state, identity))

    def delete(self, identity: str) -> None:
        """Kill what is left of a container and forget it; an unknown one is fine."""
        if self.knows(identity):
            process.run(self.words("delete", "--force", identity))


def find(name: str = "") -> str:
    """Find a runtime that can work here.

    Args:
        name: One of :data:`RUNTIMES`; ``""`` for the first of them that is installed.

    Raises:
        UnsupportedError: It is not installed, or cannot work here.
    """
    for wanted in (name,) if name else RUNTIMES:
        program = process.find_program(wanted)
        if program:
            if wanted == "crun" and _is_mixed():
                raise UnsupportedError(
                    "crun does not work on this host: its control groups of version 1 and 2 both have controllers",
                    hint="Use runc, or start the machine with systemd.unified_cgroup_hierarchy=1.",
                )
            return program
    raise UnsupportedError(
        f"{name} is not installed" if name else "no OCI runtime found: containers are run by runc",
        hint=f"Install it: apt install {name or 'runc'}",
    )


def _is_mixed() -> bool:
    """Whether version 2 of control groups has controllers while version 1 has the others."""
    try:
        with open(_UNIFIED, encoding="ascii") as file:
            return bool(file.read().strip())
    except OSError:
        return False


def _last_resort(run_root: str) -> str:
    """A program that starts ``runtime.chroot``, made when missing.

    Raises:
        UnsupportedError: Only root may change the root.
    """
    import sys

    if not holds("SYS_CHROOT"):
        raise UnsupportedError(
            "this process may neither make namespaces nor change its root, so it can run nothing in an image",
            hint="'scow info' says what would allow it.",
        )
    path = os.path.join(run_root, "chroot-runtime")
    text = f'#!/bin/sh\nexec {sys.executable} -I -m scow.cli.chrooted "$@"\n'
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return path
    except FileNotFoundError:
        pass
    os.makedirs(run_root, mode=0o700, exist_ok=True)
    # By a shell, under a name of its own: a program that another thread's child inherits open for writing is "busy".
    script = 'umask 077 && printf %s "$1" >"$2.$$" && chmod 700 "$2.$$" && mv -f "$2.$$" "$2"'
    status, _, error = process.run(["/bin/sh", "-c", script, "sh", text, path])
    if status:
        raise UnavailableError(f"cannot make {path}: {error.strip()}")
    return path


def start_error(text: str) -> StartError:
    """Read the runtime's complaint.

    Args:
        text: Its standard error, or the message from its log.

    Returns:
        The error to raise, in docker's words, with the exit status that ``run`` gives.
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    message = lines[-1].strip() if lines else "the OCI runtime failed without a word"
    if message.startswith("{"):
        message = _logged(message) or message
    message = message.removeprefix("ERRO[0000] ")
    mark = ' level=error msg="'
    if mark in message:
        message = message.partition(mark)[2].removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")
    status = failure_status(message)
    message = message.replace("runc run failed:", "runc create failed:")
    return StartError(
        f"failed to create shim task: OCI runtime create failed: {message}: unknown",
        status=status,
        hint=_remedy(message),
    )


def _remedy(message: str) -> str:
    """What would help against a complaint of the runtime's, ``""`` when that is not known."""
    if message.endswith(_BEHIND_FILTERS):
        return _FILTERED
    if message.lower().endswith("invalid argument") and any(word in message for word in _SETTING_IDS):
        return _NO_SUCH_ID
    return ""


def failure_status(message: str) -> int:
    """The exit status that docker gives for what a daemon or runtime says: it looks for words."""
    lowered = message.lower()
    if "executable file not found" in lowered or "no such file or directory" in lowered:
        return NOT_FOUND
    if any(words in lowered for words in _NOT_EXECUTABLE_WORDS):
        return NOT_EXECUTABLE
    return FAILED


def logged_error(path: str) -> str:
    """The last complaint in a runtime's JSON log; ``""`` when there is none.

    Args:
        path: The log file.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if '"level":"error"' in line:
            return _logged(line)
    return ""


def _logged(line: str) -> str:
    from scow import jsontext

    try:
        return str(jsontext.loads(line).get("msg", ""))
    except (ValueError, AttributeError):
        return ""
