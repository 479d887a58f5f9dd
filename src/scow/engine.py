# SPDX-License-Identifier: Apache-2.0
"""The library's front door: one object that opens each room when it is first needed.

An :class:`Engine` is cheap to make, may be used from many threads, and many engines, in one process or in many, may
share one store. Nothing here prints or exits.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scow.settings import Settings

if TYPE_CHECKING:
    from scow.base.database import Database
    from scow.base.leases import Leases
    from scow.base.progress import Progress
    from scow.containers.service import Containers
    from scow.content.local import LocalContentStore
    from scow.distribution.client import ClientOptions
    from scow.images.pulling import Pulled
    from scow.images.sending import Pushed
    from scow.images.store import ImageRecord, ImageStore
    from scow.images.transfer import Transfers
    from scow.snapshot.snapshotter import Snapshotter


class Engine:
    """Images and containers of one store.

    Args:
        root: The store's directory; ``None`` takes ``SCOW_ROOT`` or the default for this user.
        settings: All settings at once; ``root`` is then ignored.
    """

    def __init__(self, root: str | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_env(os.environ, root=root or "")
        self._db: Database | None = None
        self._leases: Leases | None = None
        self._content: LocalContentStore | None = None
        self._images: ImageStore | None = None
        self._snapshots: Snapshotter | None = None
        self._containers: Containers | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Engine:
        """An engine with the given settings."""
        return cls(settings=settings)

    # ------------------------------------------------------------------ rooms

    @property
    def db(self) -> Database:
        """The store's one database."""
        if self._db is None:
            from scow.base.database import Database

            os.makedirs(self.settings.root, mode=0o711, exist_ok=True)
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
                self.images,
                self.content,
                lambda: self.snapshots,
            )
        return self._containers

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
        return Transfers(
            self.images, self.content, lambda: self.snapshots, self.leases, how, options, progress or silent
        )

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
        if policy == "missing" and not platform:
            from scow.images.store import ImageNotFoundError

            try:
                return self.images.resolve(name)
            except ImageNotFoundError:
                pass
        with self.transfers(progress=progress) as transfers:
            return transfers.ensure(name, policy, platform=platform)
