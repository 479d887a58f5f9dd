# SPDX-License-Identifier: Apache-2.0
"""The short way to a build in which nothing has changed: what the last one looked at, and what came of it.

A *receipt* is filed under everything that was asked for (but the names to give). It lists every input with its digest:
the Dockerfile and ignore file, the images that names meant, and the files that steps took from the context. When all
of them are as they were, the image is the one of the receipt, and neither planner nor solver need to be loaded. A
Dockerfile that was only touched, as a checkout does, makes the same image with another ``created``.
Only builds from a plain directory into the store have receipts; anything else takes the long way.
"""

from __future__ import annotations

import hashlib
import json
import os
import time

from scow.errors import ScowError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from scow.base.database import Database
    from scow.build.context import ContextTree
    from scow.build.events import Ledger
    from scow.build.options import BuildOptions
    from scow.images.store import ImageRecord, ImageStore

SCHEMA = """
CREATE TABLE build_receipts (request TEXT PRIMARY KEY, used REAL NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
"""
VERSION = 2
_KEPT = 500
_MAX_FILE = 16 << 20


class Taken(NamedTuple):
    """Files that a step took from the context.

    Attributes:
        path: Links resolved.
        digest: Of everything at and below it.
    """

    path: str
    digest: str


class Receipt(NamedTuple):
    """One finished build.

    Attributes:
        root: The context's real path.
        dockerfile: Its real path.
        texts: Digests of the Dockerfile and the ignore file.
        bases: Names and what they meant: (name, platform, image ID).
        files: What was taken from the context.
        image: What was made.
        record: The cache record of its tree.
        steps: Titles, in order.
        time: When the Dockerfile was last changed, seconds since the epoch; -1 when that is not in the image.
        newest: The time of the newest layer made, as there; -1 when there is none, so that the Dockerfile's time is
            in more than one place.
    """

    root: str
    dockerfile: str
    texts: str
    bases: tuple[tuple[str, str, str], ...]
    files: tuple[Taken, ...]
    image: str
    record: str
    steps: tuple[str, ...]
    time: int = -1
    newest: int = -1


def eligible(options: BuildOptions) -> bool:
    """Whether a build may have a receipt at all."""
    return not (
        options.no_cache
        or options.no_cache_filter
        or options.pull
        or options.outputs
        or options.squash
        or options.contexts
        or options.locked
        or options.explain
        or options.cache_from
        or options.cache_to
        or len(options.platforms) > 1
        or "-" in (options.context, options.dockerfile)
        or "://" in options.context
        or not os.path.isdir(options.context)
    )


class Receipts:
    """Files and finds receipts.

    Args:
        db: The store's database.
        images: Its images.
    """

    def __init__(self, db: Database, images: ImageStore) -> None:
        self._db = db
        self._images = images
        self.scanned: ContextTree | None = None
        """The context as :meth:`find` saw it: a build that begins at once need not look again."""
        db.ensure("build-receipts", 1, SCHEMA)

    def request(self, options: BuildOptions) -> str:
        """What a receipt is filed under."""
        asked = options._replace(tags=(), environ={}, secrets={}, ssh={}, context="", keep_failed=False)
        place = (os.path.realpath(options.context), os.path.abspath(options.dockerfile) if options.dockerfile else "")
        return hashlib.sha256(repr((VERSION, place, asked)).encode("utf-8", "backslashreplace")).hexdigest()

    def find(self, options: BuildOptions, ledger: Ledger) -> ImageRecord | None:
        """The image that a build would make, when nothing has changed since the last one.

        Args:
            options: Of the build.
            ledger: Told of the steps, when there is such an image.
        """
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT value FROM build_receipts WHERE request = ?", (self.request(options),)
            ).fetchone()
        if row is None:
            return None
        receipt = _read(json.loads(row[0]))
        try:
            texts, when = texts_digest(receipt.dockerfile, receipt.root)
            if not self._bases_hold(receipt) or texts != receipt.texts:
                return None
            touched = receipt.time not in (-1, when)
            if (touched and receipt.newest < 0) or not self._files_hold(receipt):
                return None
            if touched:
                receipt = self._touched(receipt, options, when)
            return self._take(receipt, options, ledger)
        except (ScowError, OSError):
            return None  # the long way says what is wrong, if anything is

    def _bases_hold(self, receipt: Receipt) -> bool:
        return all(not platform and self._images.resolve(name).id == image for name, platform, image in receipt.bases)

    def _files_hold(self, receipt: Receipt) -> bool:
        if not receipt.files:
            return True
        from scow.build.context import ContextTree, StatCache

        patterns = ignore_patterns(receipt.dockerfile, receipt.root)
        tree = self.scanned = ContextTree(receipt.root, patterns, StatCache(self._db, receipt.root))
        held = all(tree.fingerprint(os.fsencode(taken.path)) == taken.digest for taken in receipt.files)
        tree.save()
        return held

    def _touched(self, receipt: Receipt, options: BuildOptions, when: int) -> Receipt:
        """Make the image of a receipt again, with the Dockerfile's new time, and file a receipt for that."""
        from scow.base.clock import rfc3339
        from scow.images.mutate import new_image
        from scow.oci.digest import Digest, ImageID
        from scow.record import replace

        images = self._images
        with images.leases.hold("build") as lease:
            old = images.get(ImageID(Digest(receipt.image)))
            config = replace(images.config(old.id).value, created=rfc3339(max(receipt.newest, when)))
            notes = options.annotations
            new = new_image(images, images.content, old, config, (), lease, options.tags, annotations=notes)
            with self._db.write() as connection:
                connection.execute(
                    "INSERT OR IGNORE INTO build_images SELECT ?, used, steps FROM build_images WHERE image = ?",
                    (new.id, old.id),
                )
            receipt = receipt._replace(image=new.id, time=when)
            self.file(options, receipt)
            return receipt

    def _take(self, receipt: Receipt, options: BuildOptions, ledger: Ledger) -> ImageRecord | None:
        from scow.oci.digest import Digest, ImageID

        identity = ImageID(Digest(receipt.image))
        with self._db.write() as connection:
            record = self._images.get(identity)
            for tag in options.tags:
                self._images.tag(tag, identity)
            connection.execute(
                "UPDATE build_records SET used = ?, uses = uses + 1 WHERE id = ?", (time.time(), receipt.record)
            )
        for index, title in enumerate(receipt.steps):
            step = ledger.begin(title)
            ledger.tell(step, "cached" if index else "done", title)
        return record

    def file(self, options: BuildOptions, receipt: Receipt) -> None:
        """File the receipt of a build that has just ended."""
        value = json.dumps([VERSION, *receipt], separators=(",", ":"))
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO build_receipts VALUES (?, ?, ?)", (self.request(options), time.time(), value)
            )
            connection.execute(
                "DELETE FROM build_receipts WHERE request IN "
                "(SELECT request FROM build_receipts ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (_KEPT,),
            )


def _read(value: Sequence[Any]) -> Receipt:
    _, root, dockerfile, texts, bases, files, image, record, steps, when, newest = value
    return Receipt(
        root,
        dockerfile,
        texts,
        tuple((name, platform, identity) for name, platform, identity in bases),
        tuple(Taken(path, digest) for path, digest in files),
        image,
        record,
        tuple(steps),
        when,
        newest,
    )


def ignore_file(dockerfile: str, root: str) -> str:
    """The ignore file in force: the Dockerfile's own before the context's; ``""`` when there is none."""
    for path in (f"{dockerfile}.dockerignore", os.path.join(root, ".dockerignore")):
        if os.path.isfile(path):
            return path
    return ""


def ignore_patterns(dockerfile: str, root: str) -> tuple[str, ...]:
    """The patterns in force."""
    path = ignore_file(dockerfile, root)
    if not path:
        return ()
    from scow.dockerfile.ignore import read

    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return tuple(read(file.read(_MAX_FILE)))


def texts_digest(dockerfile: str, root: str) -> tuple[str, int]:
    """A digest of the Dockerfile and the ignore file, and the Dockerfile's time, seconds since the epoch.

    Raises:
        OSError: The Dockerfile cannot be read.
    """
    found = hashlib.sha256()
    with open(dockerfile, "rb") as file:
        when = int(os.fstat(file.fileno()).st_mtime)
        found.update(file.read(_MAX_FILE))
    path = ignore_file(dockerfile, root)
    if path:
        with open(path, "rb") as file:
            found.update(b"\0" + file.read(_MAX_FILE))
    return found.hexdigest(), when
