# SPDX-License-Identifier: Apache-2.0
"""Who a process believes to be, where it can really be one user only: the kernel's rules on changing ids. Pure.

Source: credentials(7), setuid(2), setreuid(2), setresuid(2), setfsuid(2), setgroups(2), execve(2); kernel/sys.c.
"""

from __future__ import annotations

from scow.typing import NamedTuple

KEEP = (1 << 32) - 1
"""An id argument of -1: leave it."""
MAX_GROUPS = 65536
CHOWN, DAC_OVERRIDE, SETGID, SETUID, MKNOD = 0, 1, 6, 7, 27
"""Capabilities by number. Source: include/uapi/linux/capability.h."""
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE go with the user of files.
_FILES = sum(1 << number for number in (0, 1, 2, 3, 4, 9, 27, 32))


class Ids(NamedTuple):
    """The ids of one kind, users or groups.

    Attributes:
        real: Whose process it is.
        effective: With whose rights it acts.
        saved: What it may go back to.
        files: With whose rights it reaches files; follows ``effective``.
    """

    real: int
    effective: int
    saved: int
    files: int

    def set(self, value: int, *, powerful: bool) -> Ids | None:
        """``setuid`` and ``setgid``; ``None`` when it is not permitted."""
        if powerful:
            return all_of(value)
        if value in (self.real, self.saved):
            return self._replace(effective=value, files=value)
        return None

    def set_two(self, real: int, effective: int, *, powerful: bool) -> Ids | None:
        """``setreuid`` and ``setregid``; ``None`` when it is not permitted."""
        if not powerful:
            if real != KEEP and real not in (self.real, self.effective):
                return None
            if effective != KEEP and effective not in (self.real, self.effective, self.saved):
                return None
        new_real = self.real if real == KEEP else real
        new = self.effective if effective == KEEP else effective
        saves = real != KEEP or (effective not in (KEEP, self.real))
        return Ids(new_real, new, new if saves else self.saved, new)

    def set_three(self, real: int, effective: int, saved: int, *, powerful: bool) -> Ids | None:
        """``setresuid`` and ``setresgid``; ``None`` when it is not permitted."""
        mine = (KEEP, self.real, self.effective, self.saved)
        if not powerful and not {real, effective, saved} <= {*mine}:
            return None
        new = self.effective if effective == KEEP else effective
        return Ids(
            self.real if real == KEEP else real,
            new,
            self.saved if saved == KEEP else saved,
            new,
        )

    def set_files(self, value: int, *, powerful: bool) -> Ids:
        """``setfsuid`` and ``setfsgid``; what is not permitted changes nothing."""
        if value != KEEP and (powerful or value in self[:3] or value == self.files):
            return self._replace(files=value)
        return self

    def executed(self, owner: int | None) -> Ids:
        """What they are once a program was executed.

        Args:
            owner: Whose set-id program it is; ``None`` for an ordinary one.
        """
        new = self.effective if owner is None else owner
        return Ids(self.real, new, new, new)


def all_of(value: int) -> Ids:
    """One id in every role."""
    return Ids(value, value, value, value)


class Credentials(NamedTuple):
    """Who a process believes to be.

    Attributes:
        users: User ids.
        groups: Group ids.
        supplementary: Further groups.
        permitted: Mask of the capabilities it may take.
        effective: Mask of those it has taken.
        keeps: Whether it keeps the permitted ones when it stops being root (``PR_SET_KEEPCAPS``).
    """

    users: Ids
    groups: Ids
    supplementary: tuple[int, ...] = ()
    permitted: int = 0
    effective: int = 0
    keeps: bool = False

    def may(self, capability: int) -> bool:
        """Whether it has taken a capability, by its number."""
        return bool(self.effective >> capability & 1)

    def in_group(self, gid: int) -> bool:
        """Whether it reaches files with the rights of a group."""
        return gid == self.groups.files or gid in self.supplementary

    def with_users(self, users: Ids) -> Credentials:
        """What other user ids make of it. Source: capabilities(7), "Effect of user ID changes on capabilities"."""
        permitted, effective = self.permitted, self.effective
        if 0 in self.users[:3] and 0 not in users[:3] and not self.keeps:
            permitted = effective = 0
        if self.users.effective == 0 != users.effective:
            effective = 0
        elif self.users.effective != 0 == users.effective:
            effective = permitted
        return self._replace(users=users, permitted=permitted, effective=effective)

    def with_files(self, users: Ids) -> Credentials:
        """What another user of files makes of it, from ``setfsuid``."""
        effective = self.effective
        if self.users.files == 0 != users.files:
            effective &= ~_FILES
        elif self.users.files != 0 == users.files:
            effective |= self.permitted & _FILES
        return self._replace(users=users, effective=effective)

    def executed(self, uid: int | None, gid: int | None, bounding: int) -> Credentials:
        """What executing a program makes of it. Source: execve(2); capabilities(7), "programs run by root".

        Args:
            uid: Whose set-user-ID program it is; ``None`` for an ordinary one.
            gid: Likewise of groups.
            bounding: Mask of the capabilities that root gets.
        """
        users, groups = self.users.executed(uid), self.groups.executed(gid)
        permitted = bounding if 0 in (users.real, users.effective) else 0
        effective = permitted if users.effective == 0 else 0
        return Credentials(users, groups, self.supplementary, permitted, effective)


def of(uid: int, gid: int, supplementary: tuple[int, ...] = (), bounding: int = 0) -> Credentials:
    """The credentials that a container's process starts with.

    Args:
        uid: Its user.
        gid: Its group.
        supplementary: Further groups; kept in order, as the kernel does.
        bounding: Mask of the capabilities that root gets.
    """
    held = 0 if uid else bounding
    return Credentials(all_of(uid), all_of(gid), tuple(sorted(supplementary)), held, held)
