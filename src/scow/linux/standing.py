# SPDX-License-Identifier: Apache-2.0
"""What the user of this process may do on this host: the mode of working, why it is that one, and what would give more.

=========== ============================================= ==========================================================
mode        who                                           how commands work
=========== ============================================= ==========================================================
``root``    user 0 with CAP_SYS_ADMIN and CAP_NET_ADMIN   as they are, on the host or in a namespace of somebody else
``subids``  a user with ranges in /etc/subuid and         in a user namespace with these ids (``linux.reentry``)
            /etc/subgid, and newuidmap
``single``  any other user, where user namespaces are     in a user namespace that has the user's own id, as 0
            allowed
            and root without one of them                  with every id when it may map them, then as ``subids``
``chroot``  such a root where they are not                trees are copies, commands run in a changed root
``nothing`` anybody else where they are not               without namespaces: images can be moved, not run
=========== ============================================= ==========================================================

The decision is pure (:func:`decide`); :func:`look` finds out what it needs to know.
"""

from __future__ import annotations

import os

from scow.linux.idmaps import IdMap, read_map
from scow.linux.process import find_program
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT, SUBIDS, SINGLE, CHROOT, NOTHING = "root", "subids", "single", "chroot", "nothing"
_CAP_SETGID, _CAP_SETUID, _CAP_NET_ADMIN, _CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 6, 7, 12, 18, 21
_MOST_IDS = 1 << 31
"""Ids that root maps into a namespace of its own; not all there are, so that it can be told from the one outside."""
_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=65536"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with 'userns' for this program",
    ),
)
"""Settings that forbid user namespaces: file, forbidding value, what lifts it."""
_MORE_ROOT = "More: start this container with --privileged."


class Facts(NamedTuple):
    """What the decision depends on.

    Attributes:
        uid: Effective user.
        gid: Effective group.
        name: The user's name, or its number where it has none.
        capabilities: Mask of the effective ones.
        no_new_privileges: Whether set-user-ID programs, such as newuidmap, have no power here.
        subuid: Text of ``/etc/subuid``.
        subgid: Text of ``/etc/subgid``.
        newuidmap: Its path, or ``""``.
        newgidmap: Likewise.
        forbidden: What would allow user namespaces that a setting forbids; ``""`` when none does.
        ids: How many ids there are here, from 0 on.
    """

    uid: int
    gid: int
    name: str = ""
    capabilities: int = 0
    no_new_privileges: bool = False
    subuid: str = ""
    subgid: str = ""
    newuidmap: str = ""
    newgidmap: str = ""
    forbidden: str = ""
    ids: int = 0

    def holds(self, capability: int) -> bool:
        """Whether a capability is effective, by its number."""
        return bool(self.capabilities >> capability & 1)


class Standing(NamedTuple):
    """The mode of working.

    Attributes:
        mode: ``root``, ``subids``, ``single``, ``chroot`` or ``nothing``.
        reason: Why, as part of a sentence.
        more: What would give more, as a sentence; ``""`` when nothing would.
        uids: Users of the namespace to work in; empty where none is made.
        gids: Its groups.
        helpers: Paths of newuidmap and newgidmap, for maps that the kernel takes from them only.
    """

    mode: str
    reason: str
    more: str = ""
    uids: tuple[IdMap, ...] = ()
    gids: tuple[IdMap, ...] = ()
    helpers: tuple[str, ...] = ()


def decide(facts: Facts) -> Standing:
    """Choose the mode of working.

    Args:
        facts: What was found out.
    """
    if facts.uid == 0 and facts.holds(_CAP_SYS_ADMIN) and facts.holds(_CAP_NET_ADMIN):
        return _root()
    if facts.forbidden:
        return lowest(facts, "user namespaces are forbidden on this host", f"To allow them: {facts.forbidden}.")
    if facts.uid == 0 and facts.ids > 1 and facts.holds(_CAP_SETUID) and facts.holds(_CAP_SETGID):
        maps = (IdMap(0, 0, min(facts.ids, _MOST_IDS)),)
        return Standing(SUBIDS, f"{_lacking(facts)}, but may map every id", _MORE_ROOT, maps, maps)
    missing = _missing(facts)
    own = (IdMap(0, facts.uid, 1),), (IdMap(0, facts.gid, 1),)
    if missing:
        return Standing(SINGLE, *missing, *own)
    uids = _whole(facts.uid, subordinate_ids(facts.subuid, facts.name, facts.uid))
    gids = _whole(facts.gid, subordinate_ids(facts.subgid, facts.name, facts.uid))
    count = sum(part.size for part in uids)
    reason = f"{facts.name} has {count - 1} subordinate ids in /etc/subuid"
    return Standing(SUBIDS, reason, "", uids, gids, (facts.newuidmap, facts.newgidmap))


def lowest(facts: Facts, reason: str, more: str) -> Standing:
    """The mode where no user namespace can be made.

    Args:
        facts: What was found out.
        reason: Why none can be made.
        more: What would allow it.
    """
    if facts.uid == 0 and facts.holds(_CAP_SYS_ADMIN):
        return _root()
    return Standing(CHROOT if facts.uid == 0 and facts.holds(_CAP_SYS_CHROOT) else NOTHING, reason, more)


def _root() -> Standing:
    return Standing(ROOT, "this is root with CAP_SYS_ADMIN")


def _lacking(facts: Facts) -> str:
    """Why root is not ``root``: whoever may mount but make no networks has them in a namespace of her own, too."""
    return f"root has no CAP_{'NET' if facts.holds(_CAP_SYS_ADMIN) else 'SYS'}_ADMIN here"


def _missing(facts: Facts) -> tuple[str, str] | None:
    """What subordinate ids lack: why, and what would help."""
    if facts.uid == 0:
        return _lacking(facts), _MORE_ROOT
    for path, text, option in (
        ("/etc/subuid", facts.subuid, "--add-subuids"),
        ("/etc/subgid", facts.subgid, "--add-subgids"),
    ):
        if not subordinate_ids(text, facts.name, facts.uid):
            command = f"usermod {option} 100000-165535 {facts.name}"
            return f"{facts.name} has no subordinate ids in {path}", f"More: as root, {command} (a range nobody has)."
    if not (facts.newuidmap and facts.newgidmap):
        return "newuidmap or newgidmap is not installed", "More: as root, apt install uidmap."
    if facts.no_new_privileges:
        reason = "set-user-ID programs such as newuidmap have no power in this process (no_new_privs)"
        return reason, "More: start it without no-new-privileges."
    return None


def _whole(own: int, ranges: list[tuple[int, int]]) -> tuple[IdMap, ...]:
    """The user's own id as 0, and the subordinate ones after it, in the file's order."""
    maps = [IdMap(0, own, 1)]
    after = 1
    for first, count in ranges:
        maps.append(IdMap(after, first, count))
        after += count
    return tuple(maps)


def subordinate_ids(text: str, user: str, uid: int) -> list[tuple[int, int]]:
    """Read the ranges a user may map.

    Args:
        text: What ``/etc/subuid`` or ``/etc/subgid`` holds.
        user: The user's name.
        uid: The user's number; entries may use either.

    Returns:
        ``(first, count)`` pairs in the file's order, without empty ones.

    Source: subuid(5).
    """
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)) and fields[1].isdigit() and fields[2].isdigit():
            first, count = int(fields[1]), int(fields[2])
            if count > 0:
                found.append((first, count))
    return found


def look() -> Standing:
    """Find out how this process may work; takes less than a millisecond."""
    return decide(find_facts())


def find_facts() -> Facts:
    """Find out what the decision depends on."""
    uid, gid = os.geteuid(), os.getegid()
    status = _status()
    first = next(iter(read_map("/proc/self/uid_map")), IdMap(0, 0, 0))
    return Facts(
        uid=uid,
        gid=gid,
        name=user_name(uid),
        capabilities=int(status.get("CapEff", "0"), 16),
        no_new_privileges=status.get("NoNewPrivs") == "1",
        subuid=_read("/etc/subuid"),
        subgid=_read("/etc/subgid"),
        newuidmap=find_program("newuidmap"),
        newgidmap=find_program("newgidmap"),
        forbidden=what_forbids(),
        ids=first.size if first.inside == 0 else 0,
    )


def what_forbids() -> str:
    """What would allow user namespaces that a setting of this host forbids; ``""`` when no setting does."""
    for path, value, remedy in _SWITCHES:
        if _read(path).strip() == value:
            return remedy
    return ""


def user_name(uid: int) -> str:
    """The name of a user of this host, or the number of one without."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _status() -> Mapping[str, str]:
    values: dict[str, str] = {}
    for line in _read("/proc/self/status").splitlines():
        name, _, value = line.partition(":")
        values[name] = value.strip()
    return values


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
