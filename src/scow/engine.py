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
    from scow.content.local import LocalContentStore
    from scow.images.store import ImageStore
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
