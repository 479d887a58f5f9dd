# SPDX-License-Identifier: Apache-2.0
"""The library's front door: one object that opens each room when it is first needed.

An :class:`Engine` is cheap to make, may be used from many threads, and many engines, in one process or in many, may
share one store. Nothing here prints or exits.
"""

from __future__ import annotations

import os

from scow.settings import Settings
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from scow.base.database import Database
    from scow.base.leases import Leases
    from scow.base.progress import Progress
    from scow.base.streams import Readable
    from scow.build.builder import Builder
    from scow.build.cache import BuildCache
    from scow.containers.service import Containers
    from scow.containers.usage import DiskUsage, PrunedAll
    from scow.content.local import LocalContentStore
    from scow.distribution.client import ClientOptions
    from scow.images.archive import Loaded
    from scow.images.fsck import Finding
    from scow.images.history import Step
    from scow.images.listing import Listed
    from scow.images.prune import Freed, Pruned
    from scow.images.pulling import Pulled
    from scow.images.remove import Removal, User
    from scow.images.saving import Sink
    from scow.images.sending import Pushed
    from scow.images.store import ImageRecord, ImageStore
    from scow.images.transfer import Transfers
    from scow.layer.changeset import Limits
    from scow.linux.standing import Standing
    from scow.oci.digest import ImageID
    from scow.oci.model import Platform
    from scow.runtime.step import StepPlace
    from scow.snapshot.snapshotter import Snapshotter
    from scow.trust.notary import TrustPlace
    from scow.trust.policy import Passphrases
    from scow.trust.service import Trust


class Engine:
    """Images and containers of one store.

    Args:
        root: The store's directory; ``None`` takes ``SCOW_ROOT`` or the default for this user.
        settings: All settings at once; ``root`` is then ignored.
    """

    def __init__(self, root: str | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_env(os.environ, root=root or "")
        self._standing: Standing | None = None
        self._db: Database | None = None
        self._leases: Leases | None = None
        self._content: LocalContentStore | None = None
        self._images: ImageStore | None = None
        self._snapshots: Snapshotter | None = None
        self._containers: Containers | None = None
        self._builder: Builder | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Engine:
        """An engine with the given settings."""
        return cls(settings=settings)

    def enter(self, meanwhile: Callable[[], object] | None = None) -> Standing | None:
        """Go where this user may mount and give files to other users: call it before the first thread is started.

        Root that may mount and make networks stays where it is. Any other process moves into the user namespace of the
        store, where the host allows one; without this, it can look at images, move and copy them, but not unpack, build
        or run them.

        Args:
            meanwhile: Called when there is something to wait for: a moment to load modules.

        Returns:
            The mode of working, and why; ``None`` for root that may do everything.

        Raises:
            DeniedError: The run root or the user's ids cannot be used; the hint says what would help.
            UnsupportedError: This process has several threads.
        """
        from scow.linux.capabilities import is_whole_root

        if os.geteuid() == 0 and is_whole_root():
            return None
        from scow.linux.standing import SINGLE, SUBIDS, decide, find_facts, lowest

        facts = find_facts()
        self._standing = decide(facts)
        if self._standing.mode in {SINGLE, SUBIDS}:
            from scow.linux.reentry import NoNamespacesError, enter

            try:
                enter(self._standing, self.settings.run_root, meanwhile)
            except NoNamespacesError as error:
                self._standing = lowest(facts, error.message, error.hint)
        return self._standing

    # ------------------------------------------------------------------ rooms

    @property
    def db(self) -> Database:
        """The store's one database."""
        if self._db is None:
            from scow.base.database import Database
            from scow.linux.ownstore import own_store

            own_store(self.settings.root)
            self._db = Database(os.path.join(self.settings.root, "scow.db"))
        return self._db

    @property
    def leases(self) -> Leases:
        """Who needs what: the links that garbage collection follows."""
        if self._leases is None:
            from scow.base.leases import Leases

            self._leases = Leases(self.db)
        return self._leases

    @property
    def content(self) -> LocalContentStore:
        """Blobs by digest."""
        if self._content is None:
            from scow.content.local import LocalContentStore

            self._content = LocalContentStore(self.settings.root, self.db, self.leases)
        return self._content

    @property
    def images(self) -> ImageStore:
        """Names and records of images."""
        if self._images is None:
            from scow.images.store import ImageStore

            self._images = ImageStore(self.db, self.content, self.leases)
        return self._images

    @property
    def snapshots(self) -> Snapshotter:
        """Layers, stacked and mountable."""
        if self._snapshots is None:
            from scow.snapshot.choose import open_snapshotter

            self._snapshots = open_snapshotter(
                self.settings.root, self.db, self.content, self.leases, self.settings.snapshotter
            )
        return self._snapshots

    @property
    def containers(self) -> Containers:
        """Containers, their volumes and networks."""
        if self._containers is None:
            from scow.containers.service import Containers

            self._containers = Containers(
                self.settings.root,
                self.settings.run_root,
                self.db,
                self.leases,
                lambda: self.images,
                lambda: self.content,
                lambda: self.snapshots,
                self.settings.runtime,
            )
        return self._containers

    def _step_place(self, step: str) -> AbstractContextManager[StepPlace]:
        """A place on the default network for a build step; the room is opened by the first that asks."""
        return self.containers.step_place(step)

    @property
    def builder(self) -> Builder:
        """Builds images from Dockerfiles."""
        if self._builder is None:
            from scow.build.builder import Builder, Rooms
            from scow.oci.reference import Reference

            here = self.settings
            self._builder = Builder(
                Rooms(
                    root=here.root,
                    run_root=here.run_root,
                    db=self.db,
                    leases=self.leases,
                    content=self.content,
                    images=self.images,
                    snapshots=lambda: self.snapshots,
                    ensure=self.ensure_image,
                    limits=self.limits,
                    cache_size=here.build_cache_size,
                    network=self._step_place if _has_step_networks() else None,
                    repository=lambda name, push: self.transfers().client.repository(Reference.parse(name), push=push),
                    runtime=here.runtime,
                    pinned=self.pinned if here.content_trust else None,
                )
            )
        return self._builder

    # ------------------------------------------------------------------ registries

    def transfers(self, options: ClientOptions | None = None, progress: Progress | None = None) -> Transfers:
        """Everything that talks to registries; use it in a ``with`` block.

        Args:
            options: Certificates, credentials and plain HTTP for this operation only.
            progress: Told what happens.
        """
        from scow import __version__
        from scow.base.progress import silent
        from scow.images.transfer import Transfers, TransferSettings
        from scow.layer.changeset import Limits

        here = self.settings
        limits = Limits(here.max_layer_size, here.max_layer_entries, here.max_ratio)
        how = TransferSettings(here.config_dir, here.environ, here.default_platform, limits, f"scow/{__version__}")
        report = progress or silent
        made = Transfers(self.images, self.content, lambda: self.snapshots, self.leases, how, options, report)
        made.noted = lambda action, name: self._note_image(action, name.familiar, name.familiar_repository)
        if here.content_trust:
            from scow.base.progress import Event
            from scow.trust.notary import NotaryPolicy

            made.pins = NotaryPolicy(made.client, self.trust_place, lambda said: report(Event("", f"WARNING: {said}")))
        return made

    @property
    def trust_place(self) -> TrustPlace:
        """Where signatures and keys are."""
        from scow.trust.notary import TrustPlace

        return TrustPlace(self.settings.config_dir, self.settings.trust_server, self.settings.trust_max_offline)

    def trust(self, passphrases: Passphrases, warn: Callable[[str], None]) -> Trust:
        """Signatures and keys; use it in a ``with`` block. ``warn`` is told what the user should know."""
        from scow.trust.service import Trust

        return Trust(self.transfers().client, self.trust_place, passphrases, warn)

    def pinned(self, name: str) -> str:
        """A name by which only signed content is found, when only that is to be believed; else the name itself."""
        if not self.settings.content_trust:
            return name
        with self.transfers() as transfers:
            return transfers.pinned(name)

    def pull(self, name: str, *, platform: str = "", progress: Progress | None = None) -> Pulled:
        """Bring an image here from its registry."""
        with self.transfers(progress=progress) as transfers:
            return transfers.pull(name, platform=platform)

    def push(self, name: str, *, progress: Progress | None = None) -> Pushed:
        """Send a local image to the registry that its name says."""
        with self.transfers(progress=progress) as transfers:
            return transfers.push(name)

    def ensure_image(
        self, name: str, policy: str = "missing", platform: str = "", progress: Progress | None = None
    ) -> ImageRecord:
        """The image of a name, pulled when the policy (``missing``, ``always`` or ``never``) says so."""
        if policy == "missing" and not platform and not self.settings.content_trust:
            from scow.images.store import ImageNotFoundError

            try:
                return self.images.resolve(name)
            except ImageNotFoundError:
                pass
        with self.transfers(progress=progress) as transfers:
            return transfers.ensure(name, policy, platform=platform)

    def meant(self, name: str) -> str:
        """The name of the image here that a name means: another one only when podman's short names are wanted."""
        if not self.settings.environ.get("SCOW_SHORT_NAMES"):
            return name
        with self.transfers() as transfers:
            return transfers.meant(name)

    @property
    def limits(self) -> Limits:
        """What one layer may be at most."""
        from scow.layer.changeset import Limits

        return Limits(self.settings.max_layer_size, self.settings.max_layer_entries, self.settings.max_ratio)

    # ------------------------------------------------------------------ images

    def list_images(self, filters: Iterable[tuple[str, str]] = (), *, every: bool = False) -> list[Listed]:
        """List images, the newest first; see ``images.listing``."""
        from scow.images.listing import list_images

        return list_images(self.images, filters, every=every)

    def tag(self, source: str, target: str) -> ImageRecord:
        """Give an image another name."""
        from scow.images.wholes import whole_of
        from scow.oci.reference import Reference

        reference = Reference.parse(target)
        record = self.images.resolve(source)
        self.images.tag(reference, record.id, whole_of(self.images, source, record))
        self._note_image("tag", record.id, reference.with_default_tag().familiar)
        return record

    def _note_image(self, action: str, identity: str, name: str = "") -> None:
        """Write down what happened to an image."""
        from scow.containers.events import Events

        Events(self.db).add("image", action, identity, {"name": name or identity})

    def history(self, name: str) -> list[Step]:
        """How an image was made, the newest step first."""
        from scow.images.history import history

        return history(self.images, self.images.resolve(name))

    def inspect_image(self, name: str) -> dict[str, Any]:
        """An image as docker's JSON."""
        from scow.images.inspect import inspect

        return inspect(self.images, self.content, self.snapshots, self.images.resolve(name))

    def image_users(self, identity: ImageID) -> list[User]:
        """The containers made from an image."""
        from scow.containers.usage import image_users

        return image_users(self.containers, identity)

    def remove_image(self, name: str, *, force: bool = False, prune_parents: bool = True) -> list[Removal]:
        """Take a name away, and the image with it when it was the last; see ``images.remove``."""
        from scow.images.remove import remove_image

        removed = remove_image(self.images, name, self.image_users, force=force, prune_parents=prune_parents)
        self._note_removals(removed)
        if any(removal.kind == "Deleted" for removal in removed):
            self.collect()
        return removed

    def _note_removals(self, removed: Iterable[Removal]) -> None:
        for kind, what, is_layer in removed:
            if not is_layer:
                self._note_image({"Untagged": "untag", "Deleted": "delete"}[kind], what)

    def prune_images(self, *, every: bool = False, filters: Iterable[tuple[str, str]] = ()) -> Pruned:
        """Remove images without a tag, or ``every`` one, that no container uses."""
        from scow.images.listing import prune_filter
        from scow.images.prune import prune_images

        dangling, wanted = prune_filter(self.images, filters)
        every = every if dangling is None else not dangling
        pruned = prune_images(self.images, self.content, self.snapshots, self.image_users, every=every, wanted=wanted)
        self._note_removals(pruned.removed)
        return pruned

    def collect(self) -> Freed:
        """Free blobs and layers that nothing needs."""
        from scow.images.prune import collect

        return collect(self.images, self.content, self.snapshots)

    def save(self, names: Sequence[str], out: Sink, *, form: str = "docker") -> None:
        """Write images as an archive; see ``images.saving``."""
        from scow.images.saving import save

        for record in save(self.images, self.content, names, out, form=form):
            self._note_image("save", record.id)

    def load(self, source: int | str, *, platform: str = "", progress: Progress | None = None) -> list[Loaded]:
        """Bring the images of an archive (a file descriptor) or layout directory (a path) in, ready to run."""
        from scow.base.progress import silent
        from scow.images.archive import load

        wanted = self.platform(platform or self.settings.default_platform)
        report = progress or silent
        loaded = load(
            self.images, self.content, self.snapshots, source, limits=self.limits, platform=wanted, progress=report
        )
        for image in loaded:
            self._note_image("load", image.record.id)
        return loaded

    def import_image(
        self, source: Readable, name: str = "", *, changes: Sequence[str] = (), message: str = "", platform: str = ""
    ) -> ImageRecord:
        """Make an image of a file system's tarball; see ``images.importing``."""
        from scow.base.clock import now, source_date_epoch
        from scow.images.importing import import_tar
        from scow.oci.reference import Reference

        names = [Reference.parse(name).with_default_tag()] if name else []
        epoch = source_date_epoch(self.settings.environ)
        record = import_tar(
            self.images,
            self.content,
            self.snapshots,
            source,
            self.platform(platform),
            created=now() if epoch is None else epoch,
            names=names,
            changes=changes,
            message=message,
            limits=self.limits,
        )
        self._note_image("import", record.id, names[0].familiar if names else "")
        return record

    def platform(self, text: str = "") -> Platform:
        """The platform a user names; this host's for ``""``."""
        from scow.oci.platform import host_platform, parse_platform

        host = host_platform(os.uname().machine)
        return parse_platform(text, host) if text else host

    def fsck(self, *, repair: bool = False) -> Iterator[Finding]:
        """Check every digest and every link of the store; see ``images.fsck``."""
        from scow.images.fsck import fsck

        return fsck(self.settings.root, self.images, self.content, self.snapshots, repair=repair)

    # ------------------------------------------------------------------ the store as a whole

    def build_cache(self) -> BuildCache:
        """The records of earlier builds."""
        from scow.build.cache import BuildCache

        return BuildCache(self.db, self.content, self.leases, self.settings.build_cache_size)

    def disk_usage(self) -> DiskUsage:
        """What takes space, and what of it could be freed."""
        from scow.containers.usage import disk_usage

        return disk_usage(self.containers, self.build_cache().records())

    def info(self) -> dict[str, Any]:
        """The store and the host, in docker's members."""
        from scow import __version__
        from scow.containers.hostinfo import info
        from scow.linux.standing import look

        standing = self._standing or look()
        return info(self.containers, self.settings.environ, self.settings.snapshotter, __version__, standing)

    def prune(
        self, *, every: bool = False, volumes: bool = False, filters: Sequence[tuple[str, str]] = ()
    ) -> PrunedAll:
        """Remove stopped containers, unused networks, images, build cache and, when asked, anonymous volumes."""
        from scow.containers.networks_verbs import prune as prune_networks
        from scow.containers.usage import PrunedAll, prune_stopped, prune_volumes

        containers, size = prune_stopped(self.containers, filters)
        networks = prune_networks(self.containers, filters)
        volume_names, volume_size = prune_volumes(self.containers) if volumes else ([], 0)
        cache = self.build_cache().prune(lambda _record: True) if not filters else []
        images = self.prune_images(every=every, filters=filters)
        total = size + volume_size + images.freed.size
        return PrunedAll(containers, networks, volume_names, images.removed, [record.id for record in cache], total)


def _has_step_networks() -> bool:
    """Whether build steps can be on a network of their own; else they are on the host's."""
    from scow.linux.capabilities import may_mount
    from scow.linux.idmaps import in_user_namespace

    if not in_user_namespace():
        return may_mount()
    from scow.runtime.network.usermode import is_usable

    return is_usable()
