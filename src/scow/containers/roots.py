# SPDX-License-Identifier: Apache-2.0
"""Working on a container's files from outside, in a thread that is locked into them.

Files of a running container can change under the hands of whoever reads them: a directory becomes a link to
``/etc/shadow`` of the host between two looks. So the thread that reads or writes has the container's root as its own
root (chroot in a mount namespace of its own): there is nothing else to be reached, whatever the links say. While it is
there it may load no code, for Python would look for modules among the container's files.
"""

from __future__ import annotations

import os
import sys
import threading

from scow.errors import UnsupportedError
from scow.linux import kernel, namespaces
from scow.linux.capabilities import may_mount
from scow.linux.mount import bind, mount_all, umount
from scow.linux.standin import NEEDS
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, TypeVar

    from scow.containers.service import Containers
    from scow.containers.store import Container

    T = TypeVar("T")

_CLONE = 1  # OPEN_TREE_CLONE
_CLOEXEC = os.O_CLOEXEC


class _NoImports:
    """While active, this thread loads no modules."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse in this thread; leave others to the next finder."""
        del path, target
        if threading.get_ident() == self._thread:
            raise ImportError(f"{name} must be loaded before a thread is locked into a container")

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.meta_path.remove(self)


def in_root(service: Containers, container: Container, work: Callable[[], T], *, mounts: bool) -> T:
    """Call something with a container's root as ``/``.

    Args:
        service: The room.
        container: Running or not.
        work: What to call; it gets paths as the container's processes see them. Everything it needs must be imported
            already.
        mounts: Whether volumes and other mounts are there too; else only the container's own layer and its image.

    Returns:
        What it returned; what it raised is raised.
    """
    if not may_mount():
        raise UnsupportedError("files of a container cannot be copied in and out here", hint=NEEDS)
    if container.is_alive:
        return namespaces.run_inside(container.pid, ("mnt",), lambda: _in_running(work, mounts=mounts))
    return namespaces.run_private(lambda: _in_stopped(service, container, work, mounts=mounts))


def _in_running(work: Callable[[], T], *, mounts: bool) -> T:
    if mounts:
        with _NoImports():
            return work()
    with _NoImports():
        tree = kernel.call(kernel.OPEN_TREE, kernel.AT_FDCWD, b"/", _CLONE | _CLOEXEC)
        try:
            _lock_into(tree)
            return work()
        finally:
            os.close(tree)


def _in_stopped(service: Containers, container: Container, work: Callable[[], T], *, mounts: bool) -> T:
    from scow.containers.bundle import mount_root

    rootfs = mount_root(service, container)
    if mounts:
        _bind_mounts(service, container, rootfs)
    fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _NoImports():
            _lock_into(fd)
            return work()
    finally:
        os.close(fd)


def _bind_mounts(service: Containers, container: Container, rootfs: str) -> None:
    """Show volumes and binds at their places, as far as there are places."""
    from scow.runtime.inside import Root

    with Root(rootfs) as root:
        for mount in container.mounts:
            source = _source_of(service, container, mount)
            if mount["Type"] not in {"volume", "bind"} or not os.path.exists(source):
                continue
            target = root.resolve(mount["Destination"])
            if root.exists(target):
                options = () if mount["RW"] else ("ro",)
                bind(source, rootfs + target, options=options)


def _source_of(service: Containers, container: Container, mount: dict[str, Any]) -> str:
    if mount["Type"] != "volume":
        return str(mount["Source"])
    volume = service.volumes.get(mount["Name"])
    if not volume.options:
        return volume.path
    from scow.containers.volumes_mounted import mount_volume

    return mount_volume(volume, os.path.join(service.directory(container.id), "volumes", volume.name))


def _lock_into(fd: int) -> None:
    """Make a directory this thread's root; its file system state is its own already."""
    os.fchdir(fd)
    os.chroot(".")
    os.chdir("/")


def in_difference(
    service: Containers, container: Container, work: Callable[[str, str | None], T], *, frozen: bool
) -> T:
    """Call something with what a container changed, and what it stands on.

    Args:
        service: The room.
        container: Running or not.
        work: Gets the directory of differences in overlay form, and the tree below (``None`` when there is none), both
            read-only, and can reach nothing else. Everything it needs must be imported already.
        frozen: Whether a running container is halted meanwhile.

    Returns:
        What it returned; what it raised is raised.
    """
    with _halted(service, container) if frozen else _nothing():
        if not may_mount():
            return _in_copies(service, container, work)
        return namespaces.run_private(lambda: _in_stage(service, container, work))


def _in_copies(service: Containers, container: Container, work: Callable[[str, str | None], T]) -> T:
    """As :func:`_in_stage`, where trees are copies: they are looked at where they are, and links never followed."""
    parent = service.snapshots.stat(container.id).parent
    view = f"view:{container.id}:{os.urandom(4).hex()}"
    with service.leases.hold(f"differences of {container.id}") as lease:
        lower = service.snapshots.view(view, parent, lease=lease)[0].source if parent is not None else None
        try:
            return work(service.snapshots.upper(container.id), lower)
        finally:
            if parent is not None:
                service.snapshots.remove(view, force=True)


def whole_tree(service: Containers, container: Container, work: Callable[[str], T]) -> T:
    """Call something with the path of a container's tree, without volumes and other mounts.

    Args:
        service: The room.
        container: Running or not.
        work: What to call; it must not follow links. Everything it needs must be imported already.

    Returns:
        What it returned; what it raised is raised.
    """
    if not may_mount():
        return work(service.snapshots.mounts(container.id)[0].source)
    return in_root(service, container, lambda: work("/"), mounts=False)


def _in_stage(service: Containers, container: Container, work: Callable[[str, str | None], T]) -> T:
    stage = os.path.join(service.directory(container.id), "stage")
    upper, lower = os.path.join(stage, "upper"), os.path.join(stage, "lower")
    for path in (upper, lower):
        os.makedirs(path, mode=0o711, exist_ok=True)
    parent = service.snapshots.stat(container.id).parent
    view = f"view:{container.id}:{os.urandom(4).hex()}"
    with service.leases.hold(f"differences of {container.id}") as lease:
        bind(service.snapshots.upper(container.id), upper, options=("ro",))
        try:
            if parent is not None:
                mount_all(service.snapshots.view(view, parent, lease=lease), lower)
            root = os.open(stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            before = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with _NoImports():
                    _lock_into(root)
                    try:
                        return work("/upper", "/lower" if parent is not None else None)
                    finally:
                        _lock_into(before)
            finally:
                os.close(root)
                os.close(before)
        finally:
            for path in (upper, lower):
                if os.path.ismount(path):
                    umount(path, detach=True)
            if parent is not None:
                service.snapshots.remove(view, force=True)


def _halted(service: Containers, container: Container) -> AbstractContextManager[None]:
    """Halt a running container for the length of a block, where it can be halted."""
    from contextlib import contextmanager

    from scow.containers.limits import can_freeze

    @contextmanager
    def block() -> Iterator[None]:
        if container.status != "running" or not can_freeze(service, container):
            yield
            return
        service.runtime_of(container).call("pause", container.id)
        try:
            yield
        finally:
            service.runtime_of(container).call("resume", container.id)

    return block()


def _nothing() -> AbstractContextManager[None]:
    from contextlib import nullcontext

    return nullcontext()
