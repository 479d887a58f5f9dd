# SPDX-License-Identifier: Apache-2.0
"""A program with the command line of ``runc``, for hosts where no OCI runtime can work: it changes the root.

It isolates files by chroot and drops capabilities; processes, network and names of the container around it are
shared, and nothing is mounted (``places``). ``run``, ``create`` and ``start``, ``exec``, ``state``, ``kill`` and
``delete`` do what scow asks of a runtime; a terminal, ``pause`` and limits by control groups are refused.

::

    <root>/<id>/state.json    bundle, tree, process and its start
    <root>/<id>/places.json   what was put into the tree
    <root>/<id>/go            a pipe: a created process waits in it until it is started

Source: OCI runtime-spec v1.1, runtime.md; runc(8).
"""

from __future__ import annotations

import json
import os
import signal
import time

from scow.base.files import remove_tree
from scow.errors import ScowError, UnavailableError, UnsupportedError
from scow.linux import process
from scow.linux.standin import NEEDS
from scow.runtime.chroot import start
from scow.runtime.chroot.places import Places, undo
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_VALUES = frozenset({"root", "log", "log-format", "bundle", "b", "pid-file", "process", "p", "console-socket", "user"})
_ROUNDS = 2000
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


class Words(NamedTuple):
    """A command line, taken apart.

    Attributes:
        verb: What to do.
        flags: Flags by name, without dashes; ``""`` for those without a value.
        operands: The rest.
    """

    verb: str
    flags: dict[str, str]
    operands: list[str]


def parse(argv: Sequence[str]) -> Words:
    """Take a command line apart; flags are those of runc, before and after the verb."""
    flags: dict[str, str] = {}
    operands: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if name in _VALUES and not equals:
            value = words.pop(0) if words else ""
        flags[name] = value
    return Words(operands[0] if operands else "", flags, operands[1:])


class Container:
    """One container of this runtime.

    Args:
        words: The command line; its first operand names the container.
    """

    def __init__(self, words: Words) -> None:
        if not words.operands or "/" in words.operands[0] or words.operands[0] in (".", ".."):
            raise UnsupportedError("a container needs a name")
        self.name = words.operands[0]
        self.directory = os.path.join(words.flags["root"], self.name)
        self._path = os.path.join(self.directory, "state.json")

    def read(self) -> dict[str, Any]:
        """Its state.

        Raises:
            ScowError: There is none.
        """
        try:
            with open(self._path, encoding="utf-8") as file:
                state: dict[str, Any] = json.load(file)
        except (OSError, ValueError):
            raise ScowError("container does not exist") from None
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Write its state down."""
        with open(f"{self._path}.new", "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(f"{self._path}.new", self._path)

    @property
    def go(self) -> str:
        """The pipe that a created process waits in."""
        return os.path.join(self.directory, "go")


def main(argv: Sequence[str]) -> int:
    """Do what the arguments say.

    Args:
        argv: As runc takes them, without the program's name.

    Returns:
        The exit status.
    """
    words = parse(argv)
    verbs: dict[str, Callable[[Words], int]] = {
        "run": _run,
        "create": _create,
        "start": _start,
        "exec": _exec,
        "state": _state,
        "kill": _kill,
        "delete": _delete,
    }
    try:
        verb = verbs.get(words.verb)
        if verb is None:
            raise UnsupportedError(
                f"{words.verb} needs namespaces and control groups, which there are none of here. {NEEDS}"
            )
        return verb(words)
    except (ScowError, OSError, ValueError, KeyError) as error:
        text = error.message if isinstance(error, ScowError) else getattr(error, "strerror", "") or str(error)
        _complain(words, text)
        return 1


def _complain(words: Words, text: str) -> None:
    prefix = "" if words.verb in {"state", "kill", "delete"} else f"runc {words.verb} failed: "
    line = json.dumps({"level": "error", "msg": f"{prefix}{text}"}, separators=(",", ":"))
    if words.flags.get("log"):
        with open(words.flags["log"], "a", encoding="utf-8") as file:
            file.write(line + "\n")
    os.write(2, (line + "\n").encode())


# ------------------------------------------------------------------ making


def _prepare(words: Words) -> tuple[Container, dict[str, Any]]:
    """Make a container's state and fill its places.

    Returns:
        The container and its configuration.
    """
    bundle = os.path.abspath(words.flags.get("bundle") or words.flags.get("b") or ".")
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        config: dict[str, Any] = json.load(file)
    container = Container(words)
    if config["process"].get("terminal"):
        raise UnsupportedError("a terminal needs a mount of devpts, and nothing can be mounted here", hint=NEEDS)
    wanted = {space["type"] for space in config["linux"]["namespaces"]}
    if "network" in wanted:
        raise UnsupportedError("no network of its own can be made here", hint=NEEDS)
    tree = os.path.realpath(os.path.join(bundle, config["root"]["path"]))
    os.makedirs(container.directory, mode=0o711)
    container.write({"bundle": bundle, "tree": tree, "pid": 0, "started": 0})
    try:
        Places(tree, container.directory).fill(config["mounts"])
    except BaseException:
        _forget(container)
        raise
    return container, config


def _spawn(container: Container, config: dict[str, Any], *, wait: bool) -> int:
    """Start a container's first process; its number is written down."""
    tree = container.read()["tree"]
    pid = _fork(tree, config["process"], container.go if wait else "")
    container.write({**container.read(), "pid": pid, "started": process.start_time(pid)})
    return pid


def _fork(tree: str, document: dict[str, Any], go: str = "") -> int:
    """Start a process in a tree.

    Args:
        tree: Its root.
        document: The ``process`` of a configuration.
        go: A pipe to wait in first; what goes wrong then is told on its standard error.

    Raises:
        ScowError: It could not be started.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number in _IGNORED:
                signal.signal(number, signal.SIG_DFL)
            if go:
                os.close(writer)
                writer = 2
                os.close(os.open(go, os.O_RDONLY | os.O_CLOEXEC))
            start.execute(tree, document)
        except OSError as error:
            os.write(writer, (error.strerror or str(error)).encode("utf-8", "replace"))
        finally:
            os._exit(127)
    os.close(writer)
    complaint = b"" if go else os.read(reader, 4096)
    os.close(reader)
    if complaint:
        os.waitpid(pid, 0)
        raise ScowError(f"unable to start container process: {complaint.decode('utf-8', 'replace')}")
    return pid


def _run(words: Words) -> int:
    container, config = _prepare(words)
    try:
        pid = _spawn(container, config, wait=False)
        _note(words, pid)
    except BaseException:
        _forget(container)
        raise
    if "detach" in words.flags or "d" in words.flags:
        return 0
    status = process.wait_status(pid)
    _forget(container)
    return status


def _create(words: Words) -> int:
    container, config = _prepare(words)
    try:
        os.mkfifo(container.go, 0o600)
        _note(words, _spawn(container, config, wait=True))
    except BaseException:
        _forget(container)
        raise
    return 0


def _start(words: Words) -> int:
    container = Container(words)
    container.read()
    os.close(os.open(container.go, os.O_WRONLY | os.O_CLOEXEC))
    os.unlink(container.go)
    return 0


def _exec(words: Words) -> int:
    state = Container(words).read()
    if not process.is_alive(state["pid"], state["started"]):
        raise ScowError("cannot exec in a stopped container")
    with open(words.flags.get("process") or words.flags["p"], encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
    if document.get("terminal"):
        raise UnsupportedError("a terminal needs a mount of devpts, and nothing can be mounted here", hint=NEEDS)
    pid = _fork(state["tree"], document)
    _note(words, pid)
    return 0 if "detach" in words.flags or "d" in words.flags else process.wait_status(pid)


def _note(words: Words, pid: int) -> None:
    if words.flags.get("pid-file"):
        with open(words.flags["pid-file"], "w", encoding="ascii") as file:
            file.write(str(pid))


# ------------------------------------------------------------------ looking and ending


def _state(words: Words) -> int:
    container = Container(words)
    state = container.read()
    alive = process.is_alive(state["pid"], state["started"])
    status = ("created" if os.path.exists(container.go) else "running") if alive else "stopped"
    pid = state["pid"] if alive else 0
    text = json.dumps(
        {"ociVersion": "1.0.2", "id": container.name, "status": status, "pid": pid, "bundle": state["bundle"]}
    )
    os.write(1, text.encode())
    return 0


def _kill(words: Words) -> int:
    state = Container(words).read()
    name = (words.operands[1:] or ["SIGTERM"])[0]
    number = int(name) if name.isdigit() else signal.Signals["SIG" + name.upper().removeprefix("SIG")].value
    if not process.is_alive(state["pid"], state["started"]):
        raise ScowError("process already finished")
    os.kill(state["pid"], number)
    return 0


def _delete(words: Words) -> int:
    container = Container(words)
    force = "force" in words.flags or "f" in words.flags
    try:
        state = container.read()
    except ScowError:
        if force:
            remove_tree(container.directory)
            return 0
        raise
    if process.is_alive(state["pid"], state["started"]) and not force:
        raise ScowError(f"cannot delete container {container.name} that is not stopped")
    _forget(container)
    return 0


def _forget(container: Container) -> None:
    """End everything that works in a container's tree, and leave the tree as it was found."""
    tree = container.read()["tree"]
    end_all(tree)
    undo(tree, container.directory)
    remove_tree(container.directory)


def end_all(tree: str) -> None:
    """Kill the processes whose root is a tree, until there are none: they share the host's numbers, so each is sought.

    Args:
        tree: The directory, itself no link.

    Raises:
        UnavailableError: Some do not end; what they work in must not be touched.
    """
    found: list[int] = []
    for _ in range(_ROUNDS):
        found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_in(pid, tree)]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    raise UnavailableError(f"processes in {tree!r} do not end: {', '.join(map(str, found[:10]))}")


def _is_in(pid: int, tree: str) -> bool:
    root = _root_of(pid)
    return (root == tree or root.startswith(tree + "/")) and process.start_time(pid) > 0


def _root_of(pid: int) -> str:
    """The root of a process, or ``""``. Who may not look into another user's (CAP_SYS_PTRACE) looks as that user."""
    path = f"/proc/{pid}/root"
    try:
        return os.readlink(path)
    except PermissionError:
        pass
    except OSError:
        return ""
    uid, gid = os.geteuid(), os.getegid()
    try:
        found = os.stat(f"/proc/{pid}")
        os.setegid(found.st_gid)
        os.seteuid(found.st_uid)
        return os.readlink(path)
    except OSError:
        return ""
    finally:
        os.seteuid(uid)
        os.setegid(gid)
