# SPDX-License-Identifier: Apache-2.0
"""Control groups, version 1, 2 or both: where a container's are, what they count, and taking empty ones away.

The OCI runtime makes the groups and writes the limits; this module finds them again.
"""

from __future__ import annotations

import _thread
import os

from scow.linux.idmaps import in_user_namespace
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT = "/sys/fs/cgroup"
ALL = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
_LEAF = "scow-commands"
WITHOUT = "no control group is delegated to this user"
"""What is said where :func:`home` finds none."""
_CGROUP2_MAGIC_FILE = f"{MOUNT}/cgroup.controllers"


def is_unified() -> bool:
    """Whether the host has version 2 only."""
    return os.path.exists(_CGROUP2_MAGIC_FILE)


def home() -> str:
    """The group below which this process may make groups: ``/scow``, in a user namespace one that was delegated.

    Returns:
        Its path; ``""`` when there is none: with version 1, and in a group that belongs to root.

    Source: kernel documentation, cgroup-v2, "Delegation"; systemd.resource-control(5), ``Delegate=``.
    """
    if not in_user_namespace():
        return "/scow"
    own = (_own_group() or "").removesuffix(f"/{_LEAF}") if is_unified() else ""
    return own if own and os.access(f"{MOUNT}{own}/cgroup.procs", os.W_OK) else ""


def hasten() -> None:
    """Let the kernel get ready to move a process between groups, beside other work: the OCI runtime is about to.

    The first move waits until no processor is in the middle of a fork (10 ms), one soon after it does not. So a thread
    moves this process to the group it is in, which changes nothing. Where that cannot be asked for, the runtime waits
    as ever.

    Source: kernel sources, cgroup_attach_lock() and percpu_down_write(); docs/measurements.md.
    """
    own = None if in_user_namespace() else _own_group()
    if own is None or "/.." in own:  # unknown, or above what this process sees
        return
    try:
        fd = os.open(f"{MOUNT if is_unified() else MOUNT + '/unified'}{own}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _thread.start_new_thread(_move_nowhere, (fd,))
    except RuntimeError:  # no more threads
        os.close(fd)


def _move_nowhere(fd: int) -> None:
    try:
        os.write(fd, b"0")
    except OSError:
        return
    finally:
        os.close(fd)


def controllers() -> frozenset[str]:
    """What can be limited in groups below :func:`home`, such as ``memory``; everything outside of user namespaces.

    A group that is to have groups with limits may hold no processes itself, so this one goes into a group beside them;
    where others are left in it, nothing can be limited.

    Source: kernel documentation, cgroup-v2, "No Internal Process Constraint".
    """
    if not in_user_namespace():
        return ALL
    own = home()
    if not own:
        return frozenset()
    top = MOUNT + own
    missing = _words(f"{top}/cgroup.controllers") - _words(f"{top}/cgroup.subtree_control")
    if missing and not _write(f"{top}/cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing))):
        try:
            os.makedirs(f"{top}/{_LEAF}", mode=0o755, exist_ok=True)
        except OSError:
            return frozenset()
        _write(f"{top}/{_LEAF}/cgroup.procs", str(os.getpid()))
        for name in missing:
            _write(f"{top}/cgroup.subtree_control", f"+{name}")
    return _words(f"{top}/cgroup.subtree_control")


def _words(path: str) -> frozenset[str]:
    try:
        with open(path, encoding="ascii") as file:
            return frozenset(file.read().split())
    except OSError:
        return frozenset()


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def remedy() -> str:
    """What gives a user without control groups some of her own, as a sentence."""
    if is_unified():
        return "Start scow in a group of its own: systemd-run --user --scope -p Delegate=yes scow ..."
    return (
        "This needs version 2 of control groups (kernel parameter systemd.unified_cgroup_hierarchy=1)"
        " and a delegated group (systemd-run --user --scope -p Delegate=yes scow ...)."
    )


def _own_group() -> str | None:
    """This process's group of version 2, ``""`` for the root; ``None`` when it is not known."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if line.startswith("0::/"):
                    return line[3:].rstrip("\n").rstrip("/")
    except OSError:
        pass
    return None


def hierarchies() -> list[str]:
    """Directories of all mounted hierarchies; one with version 2, one per controller with version 1."""
    if is_unified():
        return [MOUNT]
    try:
        names = sorted(os.listdir(MOUNT))
    except OSError:
        return []
    return [path for path in (f"{MOUNT}/{name}" for name in names) if not os.path.islink(path) and os.path.isdir(path)]


def directories(group: str) -> Iterator[str]:
    """The existing directories of one group.

    Args:
        group: Path such as ``/scow/<id>``; ``""`` has none.
    """
    for top in hierarchies() if group else ():
        path = top + group
        if os.path.isdir(path):
            yield path


def directory(group: str, controller: str) -> str:
    """Directory of a group in the hierarchy of a controller (``memory``, ``cpuacct`` ...)."""
    return (MOUNT if is_unified() else f"{MOUNT}/{controller}") + group


def weighs_io() -> bool:
    """Whether this kernel can give groups different shares of a disk."""
    names = ("io.weight", "io.bfq.weight") if is_unified() else ("blkio/blkio.weight", "blkio/blkio.bfq.weight")
    return any(os.path.exists(f"{MOUNT}/{name}") for name in names)


def remove(group: str) -> bool:
    """Remove a group with its empty children; returns whether nothing is left of it.

    Args:
        group: Path such as ``/scow/<id>``; processes in it are left alone, and then so is the group; ``""`` is none.
    """
    gone = True
    for top in hierarchies() if group else ():
        try:
            os.rmdir(top + group)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # most groups have no children, so they are looked for only here
            gone = _remove_with_children(top + group) and gone
    return gone


def _remove_with_children(path: str) -> bool:
    gone = True
    for parent, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(parent)
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def processes(group: str) -> list[int]:
    """Process ids of a group and of the groups below it."""
    found: set[int] = set()
    for path in directories(group):
        for parent, _, _ in os.walk(path):
            try:
                with open(os.path.join(parent, "cgroup.procs"), encoding="utf-8") as file:
                    found.update(int(line) for line in file)
            except (OSError, ValueError):
                continue
        if found:
            break
    return sorted(found)


def read_value(path: str) -> int:
    """A counter file's number; -1 for ``max`` or when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return -1


def read_table(path: str) -> dict[str, int]:
    """A file of ``name number`` lines; empty when it cannot be read."""
    table: dict[str, int] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name, _, value = line.strip().rpartition(" ")
                if value.isdigit():
                    table[name] = int(value)
    except OSError:
        return {}
    return table


def out_of_memory(group: str) -> bool:
    """Whether the kernel killed a process of the group for want of memory."""
    if not group:
        return False
    if is_unified():
        return read_table(f"{MOUNT}{group}/memory.events").get("oom_kill", 0) > 0
    return read_table(f"{MOUNT}/memory{group}/memory.oom_control").get("oom_kill", 0) > 0
