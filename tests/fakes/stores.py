# SPDX-License-Identifier: Apache-2.0
"""A whole image store in a temporary directory, and small images to put into it."""

from __future__ import annotations

import io
import tarfile

from fakes.snapshots import FakeSnapshots
from scow.base.database import Database
from scow.base.leases import Leases
from scow.content.local import LocalContentStore
from scow.images.mutate import new_image
from scow.images.store import ImageStore
from scow.oci.digest import DiffID, chain_ids
from scow.oci.model import ContainerConfig, History, ImageConfig, Platform
from scow.oci.reference import Reference


def tar_of(files, **fields):
    """A tar of names and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Store:
    """Everything ``images`` needs."""

    def __init__(self, root, kind="overlay"):
        self.root = str(root)
        self.db = Database(f"{root}/scow.db")
        self.leases = Leases(self.db)
        self.content = LocalContentStore(str(root), self.db, self.leases)
        self.images = ImageStore(self.db, self.content, self.leases)
        self.snapshots = FakeSnapshots(self.content, self.leases, kind)

    def image(
        self, *names, layers=({"f": b"data"},), labels=None, created="2020-01-02T03:04:05Z", base=None, history=()
    ):
        """Make an image of layers given as dictionaries of files."""
        with self.leases.hold("test") as lease:
            diffs = []
            for files in layers:
                data = tar_of(files)
                diffs.append((DiffID(self.content.put(data, lease)), len(data)))
            below = self.images.config(base.id).value.diff_ids if base else ()
            chain = list(below)
            for diff, _ in diffs:
                staged = self.snapshots.stage_blob(diff, lease=lease)
                chain.append(diff)
                names_of = chain_ids(chain)
                self.snapshots.link(names_of[-1], staged, names_of[-2] if len(names_of) > 1 else None, lease=lease)
            config = ImageConfig(
                Platform(),
                tuple(chain),
                ContainerConfig(cmd=("sh",), labels=labels or {}),
                tuple(History(created_by=text) for text in history),
                created=created,
            )
            references = [Reference.parse(name).with_default_tag() for name in names]
            return new_image(self.images, self.content, base, config, diffs, lease, references, parent=base)

    def state(self):
        """Everything a failed operation must leave as it was."""
        with self.db.read() as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {
                table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}").fetchall()))
                for table in tables
                if table != "sqlite_sequence"
            }
        return rows, sorted(self.snapshots.infos), sorted(info.digest for info in self.content)
