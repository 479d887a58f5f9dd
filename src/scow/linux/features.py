# SPDX-License-Identifier: Apache-2.0
"""What this host can do, found by trying, and remembered until it boots again.

Nothing is loaded or changed for longer than the question takes. A feature is asked of the kernel, not guessed from
its version: distributions move features in both directions.
"""

from __future__ import annotations

import errno
import os

from scow.linux import kernel
from scow.linux.capabilities import may_mount
from scow.linux.process import boot_id, find_program
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_LIBEXEC = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/libexec", "/usr/lib/cri-o-runc/sbin")
PROGRAMS = {
    "runc": "runc",
    "crun": "crun",
    "conmon": "conmon",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "nft": "nftables",
    "ip": "iproute2",
    "pasta": "passt",
    "slirp4netns": "slirp4netns",
    "fuse-overlayfs": "fuse-overlayfs",
    "newuidmap": "uidmap",
    "debootstrap": "debootstrap",
    "mmdebstrap": "mmdebstrap",
}
"""Programs scow can use, and the Debian packages that have them."""
_FORMAT = 1
_CREATE = 6  # FSCONFIG_CMD_CREATE


class Features(NamedTuple):
    """What was found.

    Attributes:
        kernel: Release, such as ``6.12.9-amd64``.
        machine: Such as ``x86_64``.
        root: Whether this user may mount.
        overlay: Whether there is overlayfs.
        erofs: Whether there is EROFS; whether it can mount a file, ``snapshot.choose`` tries in the store.
        loop: Whether there are loop devices.
        user_namespaces: Whether this user may make user namespaces.
        cgroups: ``v1``, ``v2``, ``hybrid`` or ``none``.
        security: Names of the kernel's active security modules and ``seccomp``.
        programs: Path of each of :data:`PROGRAMS` that is installed.
    """

    kernel: str
    machine: str
    root: bool
    overlay: bool
    erofs: bool
    loop: bool
    user_namespaces: bool
    cgroups: str
    security: tuple[str, ...]
    programs: dict[str, str]


def kernel_version(release: str) -> tuple[int, int]:
    """The first two numbers of a kernel release; zeros for what is not one."""
    numbers = []
    for part in release.split("-", 1)[0].split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits) if digits else 0)
    major, minor = (*numbers, 0, 0)[:2]
    return major, minor


def has_filesystem(name: str) -> bool:
    """Ask the kernel for a file system; it may load a module.

    Args:
        name: Such as ``overlay``.
    """
    try:
        os.close(kernel.call(kernel.FSOPEN, name.encode(), 1))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        return name in known_filesystems(_read("/proc/filesystems"))
    return True


def may_make(kind: str) -> bool:
    """Whether file systems of a kind may be made here; asks without making one. In a user namespace few may be.

    Ask where mounts may be made, such as in ``namespaces.run_private``.

    Args:
        kind: Such as ``erofs``.
    """
    try:
        context = kernel.call(kernel.FSOPEN, kind.encode(), 1)
    except OSError as error:
        return error.errno == errno.ENOSYS  # an older kernel, which has to be asked by doing it
    try:
        kernel.call(kernel.FSCONFIG, context, _CREATE, None, None, 0)
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.EACCES)
    else:
        return True
    finally:
        os.close(context)


def known_filesystems(text: str) -> frozenset[str]:
    """The names in ``/proc/filesystems``."""
    return frozenset(line.split()[-1] for line in text.splitlines() if line.strip())


def cgroup_mode(mountinfo: str) -> str:
    """Tell how control groups are mounted.

    Args:
        mountinfo: What ``/proc/self/mountinfo`` holds.

    Returns:
        ``v2`` (unified), ``v1``, ``hybrid`` (v1 with a v2 tree beside it) or ``none``.

    Source: cgroups(7); systemd, "The New Control Group Interfaces", modes.
    """
    one = two = unified = False
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind = right.split(" ", 1)[0]
        if kind == "cgroup2":
            two = True
            unified = unified or left.split(" ")[4] == "/sys/fs/cgroup"
        elif kind == "cgroup":
            one = True
    if unified:
        return "v2"
    if one:
        return "hybrid" if two else "v1"
    return "v2" if two else "none"


def _may_unshare_users() -> bool:
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        status = 1
        try:
            kernel.unshare(0x10000000)
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def _security() -> tuple[str, ...]:
    modules = [name for name in _read("/sys/kernel/security/lsm").strip().split(",") if name]
    if "apparmor" not in modules and _read("/sys/module/apparmor/parameters/enabled").startswith("Y"):
        modules.append("apparmor")
    if "Seccomp:" in _read("/proc/self/status"):
        modules.append("seccomp")
    return tuple(modules)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def probe() -> Features:
    """Find out everything now; takes some milliseconds."""
    name = os.uname()
    programs = {program: path for program in PROGRAMS if (path := find_program(program, _LIBEXEC))}
    return Features(
        kernel=name.release,
        machine=name.machine,
        root=may_mount(),
        overlay=has_filesystem("overlay"),
        erofs=has_filesystem("erofs"),
        loop=os.path.exists("/dev/loop-control"),
        user_namespaces=_may_unshare_users(),
        cgroups=cgroup_mode(_read("/proc/self/mountinfo")),
        security=_security(),
        programs=programs,
    )


def load(run_root: str) -> Features:
    """What this host can do, from the notes of this boot or by trying.

    A program that went away, or one that was missing before, is looked for again.

    Args:
        run_root: Where the notes are kept; not being able to write them is no error.
    """
    import json

    path = os.path.join(run_root, f"features-{os.geteuid()}.json")
    stamp = [_FORMAT, boot_id()]
    try:
        with open(path, encoding="utf-8") as file:
            noted: dict[str, Any] = json.load(file)
        if noted["stamp"] == stamp:
            values = noted["features"]
            values["security"] = tuple(values["security"])
            values["programs"] = {name: place for name in PROGRAMS if (place := find_program(name, _LIBEXEC))}
            return Features(**values)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = probe()
    _note(path, json.dumps({"stamp": stamp, "features": found._asdict()}))
    return found


def _note(path: str, text: str) -> None:
    temporary = f"{path}.{os.urandom(4).hex()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, path)
    except OSError:
        pass
