# SPDX-License-Identifier: Apache-2.0
"""A registry's directory: scow's content store, and in the same database what the registry knows about it.

::

    <root>/
    ├── token.key                    signs tokens
    ├── scow.db                      rows of ``content``, ``leases`` and ``registry``
    ├── blobs/<algorithm>/<hex>      every blob and manifest once, whoever pushed it
    └── ingest/<upload>              uploads that have not ended

Any number of servers may work on one directory at once. Content is durable before its row; a blob is held by a lease
from the moment it appears until its repository has it, so that a collector (``registry.collecting``) takes nothing from
under a push.
"""

from __future__ import annotations

import os
import time

from scow.base.database import Database
from scow.base.files import atomic_write, make_dir
from scow.base.leases import Leases
from scow.content.local import LocalContentStore
from scow.errors import DeniedError
from scow.registry.metadata import Metadata
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scow.content.ingest import LocalIngest
    from scow.oci.digest import Digest
    from scow.registry.metadata import NewManifest

_FRESH_SECONDS = 600.0
"""How old a link may be before a push that asks for the blob makes it new again."""


class RegistryStore:
    """The content of one registry; safe for any number of threads and processes.

    Args:
        root: Its directory, made when missing.

    Raises:
        DeniedError: The directory belongs to somebody else.
        UnavailableError: The directory cannot be used.
    """

    def __init__(self, root: str) -> None:
        make_dir(root, 0o700)
        if os.stat(root).st_uid != os.geteuid():
            raise DeniedError(f"the registry {root!r} belongs to another user", hint="Name another one with --root.")
        self.root = root
        self.db = Database(os.path.join(root, "scow.db"))
        self.leases = Leases(self.db)
        self.content = LocalContentStore(root, self.db, self.leases)
        self.metadata = Metadata(self.db)

    def secret(self) -> bytes:
        """The key that signs tokens; made by the first who needs it."""
        path = os.path.join(self.root, "token.key")
        if not os.path.exists(path):
            mine = f"{path}.{os.urandom(4).hex()}"
            atomic_write(mine, os.urandom(32), 0o600)
            try:
                os.link(mine, path)
            except FileExistsError:  # another server was first
                pass
            finally:
                os.unlink(mine)
        with open(path, "rb") as file:
            return file.read()

    def commit(self, repository: str, ingest: LocalIngest, digest: Digest) -> None:
        """Make what was uploaded a blob of a repository.

        Args:
            repository: The repository.
            ingest: The upload, whole.
            digest: What its bytes must hash to.

        Raises:
            BlobMismatchError: Other bytes than promised; they are dropped.
            NoSpaceError: The disk is full.
        """
        with self.leases.hold("registry push") as lease:
            ingest.commit(digest, lease=lease)
            self.metadata.link_blob(repository, digest, time.time())

    def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """Let a repository have a blob of another one.

        Args:
            repository: The repository.
            digest: The blob.
            source: The repository that has it.

        Returns:
            False when it is not there.
        """
        with self.db.write():
            if self.metadata.linked(source, digest) is None:
                return False
            self.metadata.link_blob(repository, digest, time.time())
        return True

    def refresh(self, repository: str, digest: Digest, linked: float) -> None:
        """Note that a push counts on a blob that is there: a collector that is about to run must spare it.

        Args:
            repository: The repository.
            digest: The blob.
            linked: What :meth:`Metadata.linked` said.
        """
        now = time.time()
        if now - linked > _FRESH_SECONDS:
            with self.db.write():
                if self.metadata.linked(repository, digest) is not None:
                    self.metadata.link_blob(repository, digest, now)

    def store_manifest(
        self, repository: str, raw: bytes, new: NewManifest, tags: list[str], *, sparse: bool
    ) -> list[Digest]:
        """Keep a manifest, unless parts of it are missing.

        Args:
            repository: The repository.
            raw: Its bytes, which have the digest ``new.digest``.
            new: What is entered.
            tags: The names it gets.
            sparse: Enter it even when parts are missing.

        Returns:
            The parts that the repository does not have; the manifest was entered only when there are none.

        Raises:
            NoSpaceError: The disk is full.
        """
        with self.leases.hold("registry push") as lease:
            if not self.content.hold(new.digest, lease):
                with self.content.ingest(algorithm=new.digest.algorithm) as ingest:
                    ingest.write(raw)
                    ingest.commit(new.digest, len(raw), lease=lease)
            with self.db.write():
                missing = [] if sparse else [part for part in new.parts if not self.has(repository, part)]
                if not missing:
                    self.metadata.put_manifest(repository, new, tags, time.time())
        return missing

    def has(self, repository: str, digest: Digest) -> bool:
        """Whether a repository has something, be it a blob or a manifest."""
        return (
            self.metadata.linked(repository, digest) is not None
            or self.metadata.manifest(repository, digest) is not None
        )
