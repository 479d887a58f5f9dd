# SPDX-License-Identifier: Apache-2.0
"""Capability sets by name: Docker's default, what ``--cap-add`` and ``--cap-drop`` make of it, and what we hold."""

from __future__ import annotations

from scow.errors import InvalidArgumentError

_ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE"
    " NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT"
    " SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL"
    " SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
_DEFAULT = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT"
    " KILL AUDIT_WRITE"
)

# In the kernel's order of numbers (include/uapi/linux/capability.h).
ALL: tuple[str, ...] = tuple([f"CAP_{name}" for name in _ALL.split()])
# Docker's set for an ordinary container.
DEFAULT: tuple[str, ...] = tuple([f"CAP_{name}" for name in _DEFAULT.split()])


def resolve(
    added: tuple[str, ...] = (),
    dropped: tuple[str, ...] = (),
    *,
    privileged: bool = False,
    last: int = len(ALL) - 1,
) -> tuple[str, ...]:
    """The capabilities a container gets.

    Args:
        added: From ``--cap-add``; ``ALL`` or names with or without ``CAP_``, any case.
        dropped: From ``--cap-drop``, likewise.
        privileged: Everything the kernel knows and this process may pass on, whatever the other two say.
        last: Number of the last capability this kernel knows.

    Raises:
        InvalidArgumentError: No such capability.
    """
    known = ALL[: last + 1]
    if privileged:
        return _passable(known)
    plus, minus = _normalise(added, known), _normalise(dropped, known)
    if not plus and not minus:
        return tuple(name for name in DEFAULT if name in known)
    if "ALL" in plus:
        return tuple(name for name in _passable(known) if name not in minus)
    base = () if "ALL" in minus else tuple(name for name in DEFAULT if name not in minus)
    return (*base, *(name for name in plus if name not in base))


def is_known(name: str) -> bool:
    """Whether there is such a capability, with or without ``CAP_``, any case; ``ALL`` counts."""
    full = name.strip().upper().removeprefix("CAP_")
    return full == "ALL" or f"CAP_{full}" in ALL


def last_known() -> int:
    """Number of the last capability of the running kernel; the newest this table has when it cannot be read."""
    try:
        with open("/proc/sys/kernel/cap_last_cap", "rb", buffering=0) as file:
            return min(int(file.read(16)), len(ALL) - 1)
    except (OSError, ValueError):
        return len(ALL) - 1


def may_mount() -> bool:
    """Whether this thread may mount anything."""
    return holds("SYS_ADMIN")


def is_whole_root() -> bool:
    """Whether this thread may mount and make networks on the host."""
    return holds("SYS_ADMIN", "NET_ADMIN")


def holds(*names: str) -> bool:
    """Whether the calling thread may use capabilities now.

    Args:
        names: Without ``CAP_``.
    """
    mask = sum(1 << ALL.index(f"CAP_{name}") for name in names)
    own = _own("CapEff")
    return own >= 0 and own & mask == mask


def _own(which: str) -> int:
    """One of the calling thread's sets as a mask; -1 when it cannot be read.

    Source: proc_pid_status(5). Asking the kernel by capget(2) would load ctypes, which not every command needs.
    """
    try:
        with open("/proc/thread-self/status", "rb", buffering=0) as file:
            return int(file.read(1 << 14).partition(f"\n{which}:".encode())[2].split(None, 1)[0], 16)
    except (OSError, ValueError, IndexError):
        return -1


def _passable(known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the bounding set: the runtime cannot give away what it does not have, as inside another container."""
    bits = _own("CapBnd")
    return tuple(name for number, name in enumerate(known) if bits >> number & 1)


def _normalise(names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    out: list[str] = []
    for name in names:
        full = name.strip().upper()
        if full in {"ALL", "CAP_ALL"}:
            out.append("ALL")
            continue
        if not full.startswith("CAP_"):
            full = f"CAP_{full}"
        if full not in ALL:
            raise InvalidArgumentError(f"invalid capability: {name!r}")
        if full in known:
            out.append(full)
    return tuple(out)
