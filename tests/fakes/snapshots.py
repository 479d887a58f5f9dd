# SPDX-License-Identifier: Apache-2.0
"""Snapshots that exist only in memory: layers are read and hashed as the real ones do, nothing is unpacked."""

from __future__ import annotations

import os

from scow.base.streams import BlobMismatchError, HashingReader
from scow.errors import ConflictError, LimitError, NotFoundError
from scow.layer.changeset import Pending
from scow.layer.tar import TarReader
from scow.oci.digest import DiffID
from scow.snapshot.snapshotter import SnapshotInfo, Staged, Usage


class FakeSnapshots:
    """A Snapshotter for tests that need no mounts.

    Args:
        content: Where ``erofs`` keeps tars.
        leases: The references.
        kind: ``overlay`` or ``erofs``.
    """

    def __init__(self, content, leases, kind="overlay"):
        self.content = content
        self.leases = leases
        self.kind = kind
        self.infos = {}
        self.reads = 0

    def stage(self, tar, *, lease, diff_id=None, limits=None):
        self.reads += 1
        if self.kind == "erofs":
            with self.content.ingest() as ingest:
                usage, entries, found, size = self._read(_Tee(tar, ingest), limits)
                ingest.commit(diff_id, lease=lease)
        else:
            usage, entries, found, size = self._read(tar, limits)
        if diff_id is not None and found != diff_id:
            raise BlobMismatchError(f"layer {diff_id} has the digest {found}")
        token = f"stage:{os.urandom(8).hex()}"
        self.infos[token] = SnapshotInfo(token, "staged", None, 0.0, "tree", found, usage, entries)
        lease.add("snapshot", token)
        if self.kind == "erofs":
            self.leases.link(f"snapshot:{token}", "blob", found)
        return Staged(token, found, size, entries, Pending())

    def _read(self, tar, limits):
        hashing = HashingReader(tar)
        reader = TarReader(hashing)
        usage = entries = 0
        for entry in reader:
            usage += entry.size
            entries += 1
            if limits is not None and entries > limits.max_entries:
                raise LimitError("the layer has more entries than allowed")
        reader.finish()
        return usage, entries, DiffID(hashing.digest), hashing.size

    def find_out(self):
        pass

    def stage_blob(self, diff_id, *, lease, limits=None):
        with self.content.open(diff_id) as file:
            return self.stage(file, lease=lease, diff_id=diff_id, limits=limits)

    def link(self, name, staged, parent=None, *, lease=None):
        if parent is not None and parent not in self.infos:
            raise NotFoundError(f"no snapshot {parent}")
        info = self.infos.pop(staged.token)
        with self.leases.db.write():
            self.leases.unlink(f"snapshot:{staged.token}")
            if name not in self.infos:
                self.infos[name] = info._replace(name=name, kind="committed", parent=parent)
                if parent:
                    self.leases.link(f"snapshot:{name}", "snapshot", parent)
                if self.kind == "erofs":
                    self.leases.link(f"snapshot:{name}", "blob", staged.diff_id)
            if lease is not None:
                lease.add("snapshot", name)

    def exists(self, name):
        return name in self.infos and self.infos[name].kind == "committed"

    def stat(self, name):
        if name not in self.infos:
            raise NotFoundError(f"no snapshot {name}")
        return self.infos[name]

    def usage(self, name):
        return Usage(self.stat(name).size, 1)

    def remove(self, name, *, force=False):
        if any(info.parent == name for info in self.infos.values()):
            raise ConflictError(f"something stands on {name}")
        if not force and self.leases.owners("snapshot", name):
            raise ConflictError(f"something owns {name}")
        self.infos.pop(name, None)
        self.leases.unlink(f"snapshot:{name}")

    def ready(self, name):
        self.stat(name)

    def sweep_orphans(self):
        self.swept = True

    def check(self, *, repair=False):
        return iter(())

    def __iter__(self):
        return iter(list(self.infos.values()))


class _Tee:
    def __init__(self, source, ingest):
        self.source = source
        self.ingest = ingest

    def read(self, size=-1):
        data = self.source.read(size)
        self.ingest.write(data)
        return data
