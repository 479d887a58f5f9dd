# SPDX-License-Identifier: Apache-2.0
"""The room's door: everything that can be done with containers, each verb in a module of its own.

The object holds what every verb needs (the store's services) and nothing else; verbs are loaded when they are used,
because ``run`` pays for every module.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident
from contextlib import contextmanager

from scow.containers.events import Events
from scow.containers.store import ContainerNotFoundError, ContainerStore
from scow.errors import ScowError, UnavailableError
from scow.linux import cgroups, process
from scow.linux.idmaps import in_user_namespace
from scow.runtime.oci import RUNTIMES, OciRuntime
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from scow.base.database import Database
    from scow.base.leases import Leases
    from scow.containers.networks import Networks
    from scow.containers.networks_attach import Attached, Leaving
    from scow.containers.store import Container
    from scow.containers.volumes import Volumes
    from scow.containers.wiring import Wiring
    from scow.content.local import LocalContentStore
    from scow.images.store import ImageRecord, ImageStore
    from scow.runtime.handover import Begun
    from scow.runtime.oneid.answerer import Answerer
    from scow.runtime.step import StepPlace
    from scow.snapshot.snapshotter import Snapshotter

    T = TypeVar("T")

_YOUNG_SECONDS = 60.0


class Containers:
    """Containers of one store.

    Args:
        root: The store's directory.
        run_root: Directory for what a reboot may lose.
        db: The store's database.
        leases: Its references.
        open_images: Opens its images when they are first needed.
        open_content: Opens its blobs.
        open_snapshots: Opens the snapshotter.
        default_runtime: What new containers are run by, ``runc`` or ``crun``; ``""`` for what is installed.

    Attributes:
        warnings: What was asked for and cannot be had here, as sentences; the caller shows and empties them.
        answerer: Answers for the container that was started last, where this user has one id.
        dedicated: Whether this process does nothing else, so that it may change itself (mounts, signals).
    """

    def __init__(
        self,
        root: str,
        run_root: str,
        db: Database,
        leases: Leases,
        open_images: Callable[[], ImageStore],
        open_content: Callable[[], LocalContentStore],
        open_snapshots: Callable[[], Snapshotter],
        default_runtime: str = "",
    ) -> None:
        self.root = root
        self.run_root = run_root
        self.db = db
        self.leases = leases
        self._open_images = open_images
        self._open_content = open_content
        self._open_snapshots = open_snapshots
        self.dedicated = False
        self.answerer: Answerer | None = None
        self.warnings: list[str] = []
        self._holders: set[tuple[int, str]] = set()
        self._private = False
        self._volumes: Volumes | None = None
        self._networks: Networks | None = None
        self._wiring: Wiring | None = None
        self.store = ContainerStore(db)
        self.events = Events(db)
        self.default_runtime = default_runtime
        self._runtimes: dict[str, OciRuntime] = {}

    def runtime_of(self, container: Container) -> OciRuntime:
        """What runs a container: the runtime it was made with, for all of its life."""
        name: str = container.host.get("Runtime") or ""
        if name not in RUNTIMES:
            name = ""
        if name not in self._runtimes:
            self._runtimes[name] = OciRuntime(os.path.join(self.run_root, name or "runc"), name=name)
        return self._runtimes[name]

    @property
    def images(self) -> ImageStore:
        """The images."""
        return self._open_images()

    @property
    def content(self) -> LocalContentStore:
        """The blobs."""
        return self._open_content()

    @property
    def snapshots(self) -> Snapshotter:
        """The snapshotter."""
        return self._open_snapshots()

    @property
    def volumes(self) -> Volumes:
        """The volumes."""
        if self._volumes is None:
            from scow.containers.volumes import Volumes

            self._volumes = Volumes(self.root, self.db)
        return self._volumes

    @property
    def networks(self) -> Networks:
        """The networks."""
        if self._networks is None:
            from scow.containers.networks import Networks

            self._networks = Networks(self.db)
        return self._networks

    @property
    def wiring(self) -> Wiring:
        """How containers get onto networks here."""
        if self._wiring is None:
            from scow.containers.wiring import wiring

            self._wiring = wiring(self)
        return self._wiring

    @staticmethod
    def uses_networks(container: Container) -> bool:
        """Whether a container has networks of its own, rather than none, the host's or another container's."""
        mode: str = container.host.get("NetworkMode") or "default"
        return mode not in {"none", "host"} and not mode.startswith("container:")

    def attach(self, container: Container) -> Attached | None:
        """Put a container that is about to start on its networks; see ``networks_attach``."""
        if not self.uses_networks(container):
            return None
        from scow.containers.networks_attach import attach

        return attach(self, container)

    def launch(
        self, container: Container, attached: Attached | None, begin: Callable[[], Begun]
    ) -> tuple[Begun, list[str]]:
        """Start a container's runtime, and make its bundle while that gets going.

        Args:
            container: What is started.
            attached: Its networks, if it has any; they are ready before it has the document.
            begin: Starts the runtime.

        Returns:
            The runtime, and the stubs in the container's root.
        """
        from scow.runtime.handover import launch

        def make() -> tuple[str, list[str]]:
            from scow.containers import bundle  # while the runtime gets going

            made = bundle.make(self, container, attached.addresses if attached else None)
            if attached:
                attached.ready()
            return made

        return launch(self.directory(container.id), begin, make, early=self.runtime_of(container).reads_once)

    def leave(self, container: Container) -> Leaving | None:
        """Take a container that has ended off its networks; the caller finishes it."""
        if not self.uses_networks(container):
            return None
        from scow.containers.networks_attach import Leaving

        return Leaving(self, container)

    def reap_networks(self) -> None:
        """Take away what killed containers have left on networks."""
        if self.networks.endpoints():
            from scow.containers.networks_attach import reap

            reap(self)
            if any(network.resolves for network in self.networks.all()):
                from scow.containers.networks_dns import heal

                heal(self)

    def directory(self, identity: str) -> str:
        """Where a container's files are."""
        return f"{self.root}/containers/{identity}"

    def cgroup_of(self, container: Container) -> str:
        """A container's control group; ``""`` when it has none of its own."""
        if not in_user_namespace():
            return (container.host.get("CgroupParent") or cgroups.home()).rstrip("/") + "/" + container.id
        try:
            with open(f"{self.directory(container.id)}/cgroup", encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def choose_cgroup(self, container: Container) -> str:
        """The control group for a container that is about to start; ``""`` where none can be made."""
        if in_user_namespace():
            home = cgroups.home()  # of the command that starts it, so it is written down for the others
            with open(f"{self.directory(container.id)}/cgroup", "w", encoding="utf-8") as file:
                file.write(f"{home}/{container.id}" if home else "")
        return self.cgroup_of(container)

    @contextmanager
    def alone(self, container: Container) -> Iterator[None]:
        """Take a container's start, end or removal in hand alone; other processes and threads wait.

        Blocks of one thread nest. One that was removed meanwhile is nobody's any more, and locks nothing.
        """
        import fcntl

        holder = (get_ident(), container.id)
        if holder in self._holders:
            yield
            return
        try:
            fd = os.open(self.directory(container.id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        except OSError as error:
            raise UnavailableError(f"cannot lock the container {container.id}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._holders.add(holder)
            yield
        finally:
            self._holders.discard(holder)
            os.close(fd)

    def still(self, container: Container) -> Container:
        """A container as it is now.

        Raises:
            ContainerNotFoundError: It has been removed meanwhile.
        """
        found = self.store.get(container.id)
        if found is None:
            raise ContainerNotFoundError(f"No such container: {container.id}")
        return found

    def privately(self, work: Callable[[], T]) -> T:
        """Call something where mounts are seen by nobody else.

        A process that is ``dedicated`` to one command gets private mounts itself, which is cheaper than a thread.
        """
        from scow.linux import namespaces

        if not self.dedicated:
            return namespaces.run_private(work)
        if not self._private:
            namespaces.private_mounts()
            self._private = True
        return work()

    def unmount_root(self, container: Container) -> None:
        """Take a container's root away again where this process has mounted it for itself."""
        if not self._private:
            return
        if container.mounts or (container.host.get("IpcMode") or "").startswith("container:"):
            self.unmount_all(container)
            return
        from scow.linux.mount import umount

        try:
            umount(f"{self.directory(container.id)}/rootfs", detach=True)
        except ScowError:
            return

    def unmount_all(self, container: Container) -> None:
        """Take away all that this process sees mounted for a container that has ended.

        A monitor's exit command begins in the mount namespace of the run that is over: were its mounts left there, each
        restart would add another layer of them.
        """
        from scow.linux.mount import umount
        from scow.linux.mountinfo import mount_points

        for point in mount_points(self.directory(container.id))[::-1]:
            try:
                umount(point, detach=True)
            except ScowError:
                continue

    def find(self, text: str) -> Container:
        """Find the container a user means, with its state as it is now.

        Raises:
            ContainerNotFoundError: Nothing matches.
        """
        container = self.store.find(text)
        if not (container.is_alive or container.status == "restarting") or (
            container.boot == process.boot_id() and process.is_alive(container.pid, container.pid_start)
        ):
            return container
        from scow.containers.settling import settle

        return settle(self, container) or self.store.find(text)

    def all(self) -> list[Container]:
        """All containers, the newest first, with their states as they are now."""
        from scow.containers.settling import settle_all

        settle_all(self)
        return self.store.all()

    def step_place(self, identity: str) -> AbstractContextManager[StepPlace]:
        """A place on the default network for one build step; see :mod:`scow.containers.networks_steps`."""
        from scow.containers.networks_steps import step_place

        return step_place(self, identity)

    def unpacked(self, image: ImageRecord) -> str | None:
        """Make sure that an image can be mounted.

        Returns:
            The name of its snapshot; ``None`` for an image without layers.

        Raises:
            UnavailableError: Its snapshot vanished while it was being made.
        """
        if image.chain is None:
            return None
        snapshots = self.snapshots
        if not snapshots.exists(image.chain):
            from scow.images.unpack import unpack

            with self.leases.hold(f"unpack {image.id}") as lease:
                unpack(image, self.images, self.content, snapshots, lease)
            if not snapshots.exists(image.chain):
                raise UnavailableError("the image's layers were removed while they were being unpacked")
        return image.chain

    def note(self, action: str, container: Container, **attributes: str) -> None:
        """Write an event down for ``scow events``."""
        labels = container.config.get("Labels") or {}
        self.events.add(
            "container",
            action,
            container.id,
            {**labels, "image": container.image_name, "name": container.name, **attributes},
        )

    def last_status(self, identity: str) -> int:
        """Exit status of the latest run of a container, also of one that was removed at its end."""
        event = self.events.last(identity, "die")
        return int(event.attributes.get("exitCode", 0)) if event else 0

    def sweep(self) -> None:
        """Remove what never got a row, or lost it when a removal was interrupted."""
        from scow.containers.ending import discard

        top = f"{self.root}/containers"
        names = os.listdir(top) if os.path.isdir(top) else []
        known = self.store.ids() if names else set()
        gone = False
        for name in names:
            path = f"{top}/{name}"
            # One that is being made has a directory first and a row a moment later.
            if name not in known and time.time() - os.stat(path).st_mtime > _YOUNG_SECONDS:
                if not gone:
                    self.snapshots.sweep_orphans()
                gone = True
                discard(path)
        if os.path.isdir(f"{self.root}/volumes"):
            self.volumes.sweep(_YOUNG_SECONDS)

    # ------------------------------------------------------------------ verbs

    def create(self, request: Mapping[str, Any], name: str = "") -> Container:
        """Make a container; see :func:`scow.containers.creating.create`."""
        from scow.containers.creating import create

        return create(self, request, name)

    def start(self, container: Container) -> Container:
        """Start a container in the background; one that runs is fine.

        Raises:
            StartError: Its command could not be started.
        """
        if container.is_alive:
            return container
        from scow.containers.detached import start

        return start(self, container)

    def restart(self, container: Container, seconds: int | None = None, signal: str = "") -> Container:
        """Stop a container and start it again; see :func:`scow.containers.stopping.stop`."""
        from scow.containers.stopping import stop

        stop(self, container, seconds, signal)
        current = self.store.get(container.id) or container
        started = self.start(current)
        self.note("restart", started)
        return started
