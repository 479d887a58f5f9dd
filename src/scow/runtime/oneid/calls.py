# SPDX-License-Identifier: Apache-2.0
"""The system calls that are answered: their numbers on each processor, and when they ask.

Only what cannot be left to the kernel asks: owners and users it does not know, devices it would not make, and what it
would tell of them. 32-bit programs on a 64-bit kernel are answered about owners and users; ``stat`` of theirs is left
to the kernel (``statx`` is not).
Source: kernel, arch/x86/entry/syscalls, scripts/syscall.tbl; include/uapi/linux/audit.h.
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_X86_64 = (
    "chown 92 fchown 93 lchown 94 fchownat 260 mknod 133 mknodat 259"
    " setuid 105 setgid 106 setreuid 113 setregid 114 setresuid 117 setresgid 119 setfsuid 122 setfsgid 123"
    " setgroups 116 getuid 102 geteuid 107 getgid 104 getegid 108 getresuid 118 getresgid 120 getgroups 115"
    " stat 4 lstat 6 fstat 5 newfstatat 262 statx 332 open 2 creat 85 openat 257 mkdir 83 mkdirat 258"
    " symlink 88 symlinkat 266 utimensat 280 execve 59 execveat 322 access 21 faccessat 269 faccessat2 439"
    " prctl 157 capget 125 capset 126 chroot 161 pivot_root 155 setns 308"
)
_X86 = (
    "chown32 212 fchown32 207 lchown32 198 fchownat 298 mknod 14 mknodat 297"
    " setuid32 213 setgid32 214 setreuid32 203 setregid32 204 setresuid32 208 setresgid32 210 setfsuid32 215"
    " setfsgid32 216 setgroups32 206 getuid32 199 geteuid32 201 getgid32 200 getegid32 202 getresuid32 209"
    " getresgid32 211 getgroups32 205 statx 383 open 5 creat 8 openat 295 mkdir 39 mkdirat 296"
    " symlink 83 symlinkat 304 execve 11 execveat 358 access 33 faccessat 307 faccessat2 439"
    " prctl 172 capget 184 capset 185 chroot 61 pivot_root 217 setns 346"
)
_GENERIC = (
    "fchown 55 fchownat 54 mknodat 33"
    " setuid 146 setgid 144 setreuid 145 setregid 143 setresuid 147 setresgid 149 setfsuid 151 setfsgid 152"
    " setgroups 159 getuid 174 geteuid 175 getgid 176 getegid 177 getresuid 148 getresgid 150 getgroups 158"
    " newfstatat 79 fstat 80 statx 291 openat 56 mkdirat 34 symlinkat 36 utimensat 88 execve 221 execveat 281"
    " faccessat 48 faccessat2 439 prctl 167 capget 90 capset 91"
    " chroot 51 pivot_root 41 setns 268"
)

_ALLOW, _NOTIFY = "SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY"
_O_CREAT, _NO_FOLLOW, _ANY, _SET_KEEPCAPS = 0o100, 0x100, 0xFFFFFFFF, 8
CONDITIONS = {
    "open": (1, _O_CREAT, _O_CREAT),
    "openat": (2, _O_CREAT, _O_CREAT),
    "utimensat": (3, _NO_FOLLOW, _NO_FOLLOW),
    "prctl": (0, _ANY, _SET_KEEPCAPS),
}
"""Calls that only ask when an argument has a value: which argument, the bits of it that count, the value."""


_DEVICES, _DEVICE_BIT = {"mknod": 1, "mknodat": 2}, 0o020000
"""Which argument is the mode, and what of it only devices have (and links, which nobody can make so)."""


class Abi(NamedTuple):
    """One way of calling the kernel.

    Attributes:
        audit: ``AUDIT_ARCH_*``, as filters and notifications name it.
        seccomp: As the runtime specification names it.
        calls: Number of each call.
        stat: Where ``struct stat`` has mode, user, group and device number; none of them where it is left alone.
    """

    audit: int
    seccomp: str
    calls: dict[str, int]
    stat: tuple[int, int, int, int] | None


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def abis(machine: str) -> tuple[Abi, ...]:
    """The ways of calling the kernel of a processor; none where this is not known.

    Args:
        machine: As ``os.uname().machine``.
    """
    generic = (16, 24, 28, 32)
    if machine == "x86_64":
        return (
            Abi(0xC000003E, "SCMP_ARCH_X86_64", _table(_X86_64), (24, 28, 32, 40)),
            Abi(0x40000003, "SCMP_ARCH_X86", _table(_X86), None),
        )
    if machine == "aarch64":
        return (Abi(0xC00000B7, "SCMP_ARCH_AARCH64", _table(_GENERIC), generic),)
    if machine == "riscv64":
        return (Abi(0xC00000F3, "SCMP_ARCH_RISCV64", _table(_GENERIC), generic),)
    return ()


def asking(profile: dict[str, Any] | None, machine: str, socket: str) -> dict[str, Any] | None:
    """Let a container's calls ask, those that it may make at all.

    Args:
        profile: Its ``linux.seccomp``; ``None`` for one that may do everything.
        machine: As ``os.uname().machine``.
        socket: Where the OCI runtime sends the listener.

    Returns:
        The profile to use instead; the same where nobody can be asked on this processor.

    Source: OCI runtime-spec v1.1, config-linux.md, "Seccomp".
    """
    known = abis(machine)
    if not known:
        return profile
    base = profile or {
        "defaultAction": _ALLOW,
        "architectures": [abi.seccomp for abi in known],
        "syscalls": [],
    }
    names = {name for abi in known for name in abi.calls} & _allowed(base, known)
    rules: list[dict[str, Any]] = [{"names": sorted(names - CONDITIONS.keys()), "action": _NOTIFY}]
    for name, (index, mask, value) in CONDITIONS.items():
        if name in names:
            argument = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({"names": [name], "action": _NOTIFY, "args": [argument]})
            other = {**argument, "valueTwo": 0}
            if mask == _ANY:
                other = {"index": index, "value": value, "valueTwo": 0, "op": "SCMP_CMP_NE"}
            rules.append({"names": [name], "action": _ALLOW, "args": [other]})
    return {**base, "syscalls": [*rules, *_without(base["syscalls"], names)], "listenerPath": socket}


def asking_devices(profile: dict[str, Any] | None, machine: str, socket: str) -> dict[str, Any]:
    """Let only those calls ask that would make devices.

    Args:
        profile: The container's ``linux.seccomp``; ``None`` for one that may do everything.
        machine: As ``os.uname().machine``; one that is known here.
        socket: Where the OCI runtime sends the listener.

    Returns:
        The profile to use instead.
    """
    known = abis(machine)
    base = profile or {
        "defaultAction": _ALLOW,
        "architectures": [abi.seccomp for abi in known],
        "syscalls": [],
    }
    names = _DEVICES.keys() & _allowed(base, known)
    rules: list[dict[str, Any]] = []
    for name in sorted(names):
        for action, value in ((_NOTIFY, _DEVICE_BIT), (_ALLOW, 0)):
            argument = {"index": _DEVICES[name], "value": _DEVICE_BIT, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({"names": [name], "action": action, "args": [argument]})
    return {**base, "syscalls": [*rules, *_without(base["syscalls"], names)], "listenerPath": socket}


def _without(rules: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    """Rules for all other calls."""
    found = []
    for rule in rules:
        left = [name for name in rule["names"] if name not in names]
        if left:
            found.append({**rule, "names": left})
    return found


def _allowed(profile: dict[str, Any], known: tuple[Abi, ...]) -> set[str]:
    """The calls that a profile lets pass whatever their arguments are."""
    allowed: set[str] = set()
    if profile["defaultAction"] == _ALLOW:
        allowed = {name for abi in known for name in abi.calls}
        allowed -= {name for rule in profile["syscalls"] if rule["action"] != _ALLOW for name in rule["names"]}
    for rule in profile["syscalls"]:
        if rule["action"] == _ALLOW and not rule.get("args"):
            allowed.update(rule["names"])
    return allowed
