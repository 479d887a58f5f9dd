# SPDX-License-Identifier: Apache-2.0
"""Mounting: the ``Mount`` value that snapshots hand to whoever mounts, and the calls that make it real.

Promises: file systems are made with the kernel's file-descriptor interface (fsopen, fsconfig, fsmount, move_mount), so
that a stack of layers has no size limit and appears at its target in one step or not at all; kernels or sandboxes
without it get mount(2). When a call of :func:`mount_all` fails, nothing of it stays mounted. Errors are one sentence
with the kernel's own explanation where it gives one.

Nothing here changes namespaces: see ``linux.namespaces.private_mounts``.
"""

from __future__ import annotations

import errno
import os

from scow.errors import ConflictError, DeniedError, NotFoundError, ScowError, UnavailableError, UnsupportedError
from scow.linux import kernel
from scow.linux.capabilities import may_mount
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME = 1, 2, 4, 8, 1024
MS_REMOUNT, MS_BIND, MS_REC = 32, 4096, 16384
MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE = 1 << 18, 1 << 19, 1 << 20, 1 << 17
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC, "noatime": MS_NOATIME}
_ATTRIBUTES = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 0x10}
_IGNORED = frozenset({"rw", "suid", "dev", "exec", "bind", "rbind"})
_PROPAGATION = {
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
    "rprivate": MS_PRIVATE | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
    "rshared": MS_SHARED | MS_REC,
    "runbindable": MS_UNBINDABLE | MS_REC,
}
_SET_FLAG, _SET_STRING, _SET_FD, _CREATE = 0, 1, 5, 6
_LOWER = "lowerdir+"
_PAGE = 4096


class MountError(UnavailableError):
    """The kernel refused a mount."""

    code = "mount"


class Mount(NamedTuple):
    """One mount to be made.

    Attributes:
        type: ``bind``, or a file system such as ``overlay``, ``erofs``, ``tmpfs``, ``proc``.
        source: What to mount: a path, a device or a name.
        target: Absolute path to mount on; ``""`` for the target that :func:`mount_all` is given. A mount with its own
            target inside a stack is only there to be a layer of a later one, and may never appear in the tree.
        options: ``key=value`` or ``key``; for overlay one ``lowerdir+=DIR`` per layer, the top one first.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()


def mount_all(mounts: Sequence[Mount], target: str) -> None:
    """Make mounts, in order, all or none.

    Args:
        mounts: What a snapshotter answered.
        target: An existing directory, for the mounts without a target of their own.

    Raises:
        DeniedError: The caller may not mount.
        UnsupportedError: The kernel lacks the file system or an option.
        NotFoundError: A source or target is missing.
        ConflictError: Something is in use.
        MountError: The kernel refused for another reason.
    """
    if not may_mount():
        from scow.linux.standin import show

        show(mounts, target)
        return
    stack = _Stack()
    try:
        for mount in mounts:
            if mount.type == "bind":
                bind(mount.source, mount.target or target, options=mount.options)
                stack.attached.append(mount.target or target)
            elif mount.target and mount.target != target:
                stack.hold(mount)
            else:
                stack.attach(mount, target)
        stack.settle()
    except BaseException:
        stack.undo()
        raise
    finally:
        stack.close()


class _Stack:
    """The state of one ``mount_all``: layers mounted nowhere yet, and what was attached so far."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[int, Mount]] = {}
        self.hidden: list[str] = []
        self.attached: list[str] = []

    def hold(self, mount: Mount) -> None:
        """Make a mount that is a layer of a later one, without a place in the tree when the kernel can."""
        fd = _detached(mount, {})
        if fd is None:
            _classic(mount, mount.target)
            self.hidden.append(mount.target)
        else:
            self.held[mount.target] = (fd, mount)

    def attach(self, mount: Mount, target: str) -> None:
        layers = {path: fd for path, (fd, _) in self.held.items()}
        try:
            fd = _detached(mount, layers)
        except _NeedsPathsError:
            self.show()
            fd = _detached(mount, {})
        if fd is None:
            self.show()
            _classic(mount, target)
        else:
            try:
                _move(fd, mount, target)
            finally:
                os.close(fd)
        self.attached.append(target)

    def show(self) -> None:
        """Give the held layers their places: this kernel takes overlay layers by path only."""
        for path, (fd, mount) in self.held.items():
            _move(fd, mount, path)
            os.close(fd)
            self.hidden.append(path)
        self.held = {}

    def settle(self) -> None:
        """Take the layers out of the tree again; the mounts above hold them."""
        while self.hidden:
            umount(self.hidden.pop(), detach=True)

    def undo(self) -> None:
        for path in [*reversed(self.attached), *reversed(self.hidden)]:
            try:
                umount(path, detach=True)
            except ScowError:
                continue
        self.attached, self.hidden = [], []

    def close(self) -> None:
        for fd, _ in self.held.values():
            os.close(fd)
        self.held = {}


class _NeedsPathsError(Exception):
    """This kernel does not take overlay layers as file descriptors."""


def _detached(mount: Mount, layers: dict[str, int]) -> int | None:
    """Make a file system that is attached nowhere.

    Args:
        mount: What to make.
        layers: Descriptors of detached mounts by the path the options call them.

    Returns:
        A descriptor of the mount, or ``None`` when the kernel lacks the interface or an option in it.
    """
    try:
        context = kernel.call(kernel.FSOPEN, mount.type.encode(), 1)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return None
        raise mount_error(error, mount, "") from error
    try:
        if mount.source:
            _configure(context, _SET_STRING, "source", mount.source, 0)
        attributes = 0
        for option in mount.options:
            if option in _ATTRIBUTES:
                attributes |= _ATTRIBUTES[option]
                if option == "ro":
                    _configure(context, _SET_FLAG, "ro", None, 0)
            elif option not in _IGNORED:
                _set_option(context, option, layers)
        _configure(context, _CREATE, None, None, 0)
        return kernel.call(kernel.FSMOUNT, context, 1, attributes)
    except OSError as error:
        if error.errno == errno.ENOTBLK and mount.type == "erofs":
            return _through_loops(mount, lambda looped: _detached(looped, layers))
        explanation = _explanation(context)
        if _knows_no_layers(error, mount, explanation):
            return None
        raise mount_error(error, mount, explanation) from error
    finally:
        os.close(context)


def _knows_no_layers(error: OSError, mount: Mount, explanation: str) -> bool:
    """Whether a kernel has no ``lowerdir+``: it says so at once, or, before 6.5, takes any word and then fails mutely.

    Source: kernel documentation, overlayfs: "lowerdir+" appeared in 6.8; fs/fs_context.c, ``legacy_parse_param``.
    """
    if error.errno != errno.EINVAL or mount.type != "overlay":
        return False
    if explanation.startswith("VFS: Legacy: "):  # more than a page, which mount(2) may fill more sparingly
        return True
    return error.filename == _LOWER or (error.filename is None and not explanation)


def _set_option(context: int, option: str, layers: dict[str, int]) -> None:
    key, equals, value = option.partition("=")
    if not equals:
        _configure(context, _SET_FLAG, key, None, 0)
        return
    if key == _LOWER and value in layers:
        try:
            _configure(context, _SET_FD, key, None, layers[value])
        except OSError as error:
            # by descriptor: since 6.13, detached: since 6.15; before 6.5 overlayfs took no descriptor at all
            if error.errno in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
                raise _NeedsPathsError from error
            raise
        return
    _configure(context, _SET_STRING, key, value, 0)


def _configure(context: int, command: int, key: str | None, value: str | None, auxiliary: int) -> None:
    try:
        kernel.call(
            kernel.FSCONFIG,
            context,
            command,
            None if key is None else key.encode(),
            None if value is None else os.fsencode(value),
            auxiliary,
        )
    except OSError as error:
        error.filename = key
        raise


def _explanation(context: int) -> str:
    """What the kernel logged about a failed file system."""
    lines = []
    try:
        while line := os.read(context, 1024):
            lines.append(line.decode(errors="replace").strip().removeprefix("e ").removeprefix("w "))
    except OSError:
        pass
    return "; ".join(lines)


def _move(fd: int, mount: Mount, target: str) -> None:
    try:
        kernel.call(kernel.MOVE_MOUNT, fd, b"", kernel.AT_FDCWD, os.fsencode(target), 4)
    except OSError as error:
        raise mount_error(error, mount._replace(target=target), "") from error


def _through_loops(mount: Mount, make: Callable[[Mount], T]) -> T:
    """Make an EROFS mount over loop devices, for kernels that cannot mount a file."""
    from scow.linux.loop import attach

    held = [attach(mount.source)]
    try:
        options = []
        for option in mount.options:
            if option.startswith("device="):
                held.append(attach(option[7:]))
                option = f"device={held[-1].path}"
            options.append(option)
        return make(mount._replace(source=held[0].path, options=tuple(options)))
    finally:
        for loop in held:
            os.close(loop.fd)


def _classic(mount: Mount, target: str) -> None:
    """mount(2), with overlay layers joined into the one option that old kernels know."""
    flags = 0
    data: list[str] = []
    lowers: list[str] = []
    for option in mount.options:
        key, _, value = option.partition("=")
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif key == _LOWER:
            lowers.append(value.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,"))
        elif option not in _IGNORED:
            data.append(option.replace(",", "\\,") if key in ("upperdir", "workdir") else option)
    base = ""
    if lowers:
        joined = ":".join(lowers)
        if len(joined) + sum(map(len, data)) > _PAGE - 64:
            base = os.path.commonpath(lowers)
            joined = ":".join(os.path.relpath(path, base) for path in lowers)
        data.insert(0, f"lowerdir={joined}")
    text = ",".join(data).encode()
    if len(text) >= _PAGE:
        raise UnsupportedError(
            f"{len(lowers)} layers are too many for one mount on this kernel",
            hint="Linux 6.8 or newer has no such limit",
        )
    try:
        if base:
            _mount_from(base, mount, target, flags, text)
        else:
            kernel.mount(mount.source, target, mount.type, flags, text)
    except OSError as error:
        if error.errno == errno.ENOTBLK and mount.type == "erofs":
            _through_loops(mount, lambda looped: _classic(looped, target))
            return
        raise mount_error(error, mount._replace(target=target), "") from error


def _mount_from(base: str, mount: Mount, target: str, flags: int, data: bytes) -> None:
    """mount(2) with options relative to a directory, in a child: the working directory belongs to the whole process."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            os.chdir(base)
            kernel.mount(mount.source, target, mount.type, flags, data)
            status = 0
        except OSError as error:
            status = min(error.errno or 255, 255)
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        raise OSError(abs(code), os.strerror(abs(code)))


def bind(source: str, target: str, *, options: Iterable[str] = (), recursive: bool = True) -> None:
    """Show a file or directory at a second place.

    Args:
        source: What to show.
        target: An existing file or directory of the same kind.
        options: ``ro``, ``nosuid``, ``nodev``, ``noexec``, ``bind`` (not recursive), a propagation such as ``rslave``.
        recursive: Show what is mounted below the source too.

    Raises:
        ScowError: As :func:`mount_all`.
    """
    wanted = list(options)
    if "bind" in wanted and "rbind" not in wanted:
        recursive = False
    mount = Mount("bind", source, target)
    known = {*_FLAGS, *_PROPAGATION, *_IGNORED}
    for option in wanted:
        if option not in known:
            raise UnsupportedError(f"{option!r} is not an option of a bind mount")
    rest = MS_REC if recursive else 0
    try:
        kernel.mount(source, target, "", MS_BIND | rest, None)
        try:
            _restrict(target, [option for option in wanted if option in _FLAGS], recursive=recursive)
            for option in wanted:
                if option in _PROPAGATION:
                    kernel.mount("", target, "", _PROPAGATION[option], None)
        except BaseException:
            umount(target, detach=True)
            raise
    except OSError as error:
        raise mount_error(error, mount, "") from error


def _restrict(target: str, options: list[str], *, recursive: bool) -> None:
    if not options:
        return
    attributes = sum(_ATTRIBUTES[option] for option in set(options))
    try:
        kernel.mount_setattr(target, attributes, 0, recursive=recursive)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Before Linux 5.12 only the top mount can be restricted. Flags it has already must be kept.
        flags = sum(_FLAGS[option] for option in set(options)) | (os.statvfs(target).f_flag & 0x40F)
        kernel.mount("", target, "", MS_REMOUNT | MS_BIND | flags, None)


def remount_readonly(target: str, *, recursive: bool = False) -> None:
    """Make a mount read-only for those who see it there.

    Args:
        target: A mount point.
        recursive: With all that is mounted below.

    Raises:
        ScowError: As :func:`mount_all`.
    """
    try:
        _restrict(target, ["ro"], recursive=recursive)
    except OSError as error:
        raise mount_error(error, Mount("bind", target, target, ("ro",)), "") from error


def set_propagation(target: str, kind: str) -> None:
    """Say whether mounts made elsewhere appear below a mount.

    Args:
        target: A mount point.
        kind: ``private``, ``slave``, ``shared``, ``unbindable``, or one of these with ``r`` before it: all below too.

    Raises:
        ScowError: As :func:`mount_all`.
    """
    try:
        kernel.mount("", target, "", _PROPAGATION[kind], None)
    except OSError as error:
        raise mount_error(error, Mount(kind, "", target), "") from error


def umount(target: str, *, detach: bool = False) -> None:
    """Take away the topmost mount at a path; a link at its end is not followed.

    Args:
        target: A mount point.
        detach: At once, even when it is in use or has mounts below it; the kernel finishes when nobody uses it.

    Raises:
        ConflictError: It is in use.
        NotFoundError: Nothing is mounted there.
        DeniedError: The caller may not.
    """
    if not may_mount():
        from scow.linux.standin import is_shown, take_away

        if is_shown(target):
            take_away(target)
            return
    try:
        kernel.umount(target, (MNT_DETACH if detach else 0) | UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise NotFoundError(f"nothing is mounted on {target!r}") from error
        if error.errno == errno.EBUSY:
            raise ConflictError(f"cannot unmount {target!r}: it is in use") from error
        raise mount_error(error, Mount("", "", target), "") from error


def mount_error(error: OSError, mount: Mount, explanation: str) -> ScowError:
    """Say in one sentence why a mount failed.

    Args:
        error: What the kernel answered.
        mount: What was tried.
        explanation: What the kernel logged about it, or ``""``.

    Returns:
        The error to raise instead.
    """
    number = error.errno or 0
    what = f"cannot mount {mount.type} {mount.source!r}" if mount.source else f"cannot mount {mount.type}"
    if mount.target:
        what += f" on {mount.target!r}"
    reason = explanation or os.strerror(number)
    if number in (errno.EPERM, errno.EACCES):
        return DeniedError(f"{what}: {reason}", hint="mounting needs root (CAP_SYS_ADMIN)")
    if number == errno.ENODEV and not explanation:
        return UnsupportedError(f"{what}: this kernel has no {mount.type} file system", hint=f"modprobe {mount.type}")
    if number == errno.ENOENT:
        return NotFoundError(f"{what}: {reason}")
    if number == errno.EBUSY:
        return ConflictError(f"{what}: it is in use ({reason})")
    return MountError(f"{what}: {reason}")
