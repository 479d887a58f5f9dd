# SPDX-License-Identifier: Apache-2.0
"""A container's ``config.json`` inside a user namespace: what the kernel refuses there is left out or borrowed.

The file systems ``proc`` and ``sysfs`` belong to a process or network namespace: where that is the host's, they cannot
be mounted anew, and the host's own are shown instead. So they are in a container (docker, a pod) that has parts of them
covered, since new ones would show those; processes then see numbers that are not their own. Ids beyond those mapped do
not exist. Control groups can be made only below a group that was delegated to the user. The domain name is set through
a file of root's.

Source: user_namespaces(7), "Effect of capabilities within a user namespace"; kernel, mount_too_revealing().
"""

from __future__ import annotations

from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_BORROWED = ["rbind", "nosuid", "noexec", "nodev"]


_BARE = ("/proc/sys/fs/binfmt_misc", "/sys/fs/", "/sys/kernel/")
"""Where something is mounted on empty directories, which covers nothing."""


def covered(points: Iterable[str]) -> frozenset[str]:
    """Which of ``/proc`` and ``/sys`` have parts covered.

    Args:
        points: Where something is mounted at and below them.
    """
    parts = [point for point in points if point.count("/") > 1 and not point.startswith(_BARE)]
    return frozenset(point[: point.index("/", 1)] for point in parts)


def borrowed_here() -> frozenset[str]:
    """Which of ``/proc`` and ``/sys`` cannot be mounted anew in the user namespace of this process."""
    from scow.linux.mountinfo import mount_points

    return covered([*mount_points("/proc"), *mount_points("/sys")])


def confine(spec: dict[str, Any], ids: int, borrowed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Make a configuration fit for a user namespace.

    Args:
        spec: Content of ``config.json``; changed in place.
        ids: How many group ids there are.
        borrowed: Which of ``/proc`` and ``/sys`` cannot be mounted anew.

    Returns:
        The same.
    """
    linux = spec["linux"]
    own = {space["type"] for space in linux["namespaces"]}
    spec["mounts"] = [
        mount for mount in (_mount(mount, own, linux, ids, borrowed) for mount in spec["mounts"]) if mount
    ]
    if not linux["cgroupsPath"]:
        del linux["cgroupsPath"]
        linux["resources"] = {}
    linux["sysctl"].pop("kernel.domainname", None)
    pings = linux["sysctl"].get("net.ipv4.ping_group_range", "")
    if pings:
        first, _, last = pings.partition(" ")
        linux["sysctl"]["net.ipv4.ping_group_range"] = f"{min(int(first), ids - 1)} {min(int(last), ids - 1)}"
    return spec


def _mount(
    mount: dict[str, Any], own: set[str], linux: dict[str, Any], ids: int, borrowed: frozenset[str]
) -> dict[str, Any] | None:
    kind = mount["type"]
    if any(_is_foreign(option, ids) for option in mount["options"]):
        mount = {**mount, "options": [option for option in mount["options"] if not _is_foreign(option, ids)]}
    if kind == "sysfs" and ("network" not in own or "/sys" in borrowed):
        access = "ro" if "ro" in mount["options"] else "rw"
        return {**mount, "type": "bind", "source": "/sys", "options": [*_BORROWED, access, "rslave"]}
    if kind == "proc" and ("pid" not in own or "/proc" in borrowed):
        return {**mount, "type": "bind", "source": "/proc", "options": [*_BORROWED, "rslave"]}
    if kind == "cgroup" and not linux["cgroupsPath"]:
        return None
    return mount


def _is_foreign(option: str, ids: int) -> bool:
    """Whether an option of a mount names an id that does not exist."""
    name, _, value = option.partition("=")
    return name in {"uid", "gid"} and value.isdigit() and int(value) >= ids
