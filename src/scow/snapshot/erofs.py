# SPDX-License-Identifier: Apache-2.0
"""Layers that stay tars: an EROFS index makes one or many of them mountable.

::

    <root>/blobs/sha256/<hex>            the uncompressed tar, byte for byte
    <root>/snapshots/<id>/table          its table of contents, made while the tar was read; can be made again
    <root>/snapshots/<id>/index          EROFS metadata over this layer and some or all of those below

Linking a layer only notes its place. Its index is written when the snapshot is first stood on, or when
:meth:`Indexes.ready` is asked, and then covers as many layers below as is worth it:

* no snapshot below has an index yet (an image that was just pulled): all layers become one index, one mount;
* otherwise the new layers get an index of their own, and take indexes below into it as long as those hold no more than
  twice as many entries. So a small layer on a large base costs what the small layer costs, every entry is written
  O(log n) times, and a stack has O(log n) mounts;
* a layer that leaves directories to be guessed, or links to files it does not have, is merged with what is below
  until nothing is left open. Where that is an upper directory, it is unpacked instead (``trees``).

Source: kernel documentation, erofs.rst; measured: docs/measurements.md, "Snapshots".
"""

from __future__ import annotations

import os
import stat

from scow.base.files import storage_error
from scow.base.locks import FileLock
from scow.base.streams import BlobMismatchError, write_all
from scow.errors import CorruptError
from scow.layer.erofs import Source, write_index
from scow.layer.toc import scan, scan_file
from scow.linux.writeback import Writeback
from scow.snapshot.forms import Linked
from scow.snapshot.survey import root_metadata, survey
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

    from scow.base.leases import Lease
    from scow.layer.changeset import Applied, Limits, Pending, Readable
    from scow.oci.digest import DiffID
    from scow.snapshot.overlay import Snapshots
    from scow.snapshot.records import Record
    from scow.snapshot.survey import Survey

_GROWTH = 2
"""An index below with at most this many times the entries is taken into the new one."""
_MOST_DEVICES = 4096
"""Layers in one index; far more than any image has, far fewer than the format allows."""


class Indexes:
    """The form ``index``; see ``forms.LayerForm``.

    Args:
        snapshots: Whose layers these are.
    """

    name = "index"

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._records = snapshots.records
        self._content = snapshots.content

    # ------------------------------------------------------------------ staging

    def fill(
        self, directory: str, tar: Readable, *, lease: Lease, expected: DiffID | None, limits: Limits | None
    ) -> Applied:
        """Keep a stream as a blob, with its table; see the protocol."""
        path = f"{directory}/tar"
        try:
            with open(path, "wb", buffering=0) as copy, open(f"{directory}/table", "wb") as table:
                applied = scan(tar, table, copy=_Copy(copy), limits=limits)
                if expected is not None and applied.diff_id != expected:
                    raise BlobMismatchError(f"layer {expected} has the digest {applied.diff_id}")
                os.fchmod(copy.fileno(), 0o444)
                os.fdatasync(copy.fileno())
        except OSError as error:
            raise storage_error(error, path) from error
        self._content.adopt(path, applied.diff_id, applied.size, lease)
        return applied

    def fill_from_blob(self, directory: str, diff_id: DiffID, *, lease: Lease | None, limits: Limits | None) -> Applied:
        """Write the table of a blob; see the protocol."""
        if lease is not None:
            self._content.hold(diff_id, lease)
        with self._content.open(diff_id) as tar:
            return _write_table(tar, diff_id, f"{directory}/table", limits)

    def place(self, record: Record, parent: Record | None, pending: Pending) -> Linked:
        """Note the place only: the index is written when somebody stands on it."""
        del record, parent, pending
        return Linked("", "")

    # ------------------------------------------------------------------ indexes

    def ready(self, name: str) -> Record:
        """Write the index of a committed snapshot, if it has none yet.

        Args:
            name: A committed snapshot that somebody alive owns.

        Returns:
            Its record, with a stack.

        Raises:
            LayerError: The layers do not fit together.
            CorruptError: A tar is damaged.
        """
        record = self._records.get(name, "committed")
        if record.stack:
            return record
        with FileLock(f"{self._records.directory(record.id)}/lock").exclusive():
            record = self._records.get(name, "committed")
            if record.stack:
                return record
            return self._build(record) if self._snapshots.kind == "erofs" else self._unpack(record)

    def _build(self, record: Record) -> Record:
        lineage = self._records.lineage(record.name)
        height = next((number for number, other in enumerate(lineage) if other.stack), len(lineage))
        layers = lineage[height - 1 :: -1]
        base = lineage[height] if height < len(lineage) else None
        if base is None:  # nothing below could answer what the layers leave open
            return self._write(record, layers, [])
        below = base.stack.split()
        known = {other.diff_id: other for other in lineage if other.form == "index"}
        found = survey(self._sources(layers))
        entries = sum(layer.entries for layer in layers)
        devices = self._records.devices(base.stack)
        while below and not found.hides_all:
            inside = [known[digest] for digest in devices.get(below[0][1:], ()) if digest in known]
            size = sum(layer.entries for layer in inside)
            takable = below[0][0] == "i" and len(inside) == len(devices.get(below[0][1:], ()))
            wanted = size <= _GROWTH * entries or not self._stands_on(record, below, found)
            if not takable or not wanted or len(inside) + len(layers) > _MOST_DEVICES:
                break
            layers, below, entries = inside + layers, below[1:], entries + size
            found = survey(self._sources(layers))
        if found.hides_all:
            below = []
        if below and not self._stands_on(record, below, found):
            return self._unpack(record)
        return self._write(record, layers, below, found.root or base.root)

    def _stands_on(self, record: Record, below: list[str], found: Survey) -> bool:
        """Whether an index of its own, laid on what is below, shows what it should."""
        if found.open or not found.whited:
            return not found.open
        from scow.linux.mount import Mount, mount_all
        from scow.linux.namespaces import run_private

        layers, options = self._snapshots.lowers(" ".join(below))
        top = f"{self._records.directory(record.id)}/mnt"
        os.makedirs(top, 0o700, exist_ok=True)

        def look() -> bool:
            if len(options) > 1:
                mount_all((*layers, Mount("overlay", "scow", "", ("ro", *options))), top)
            elif layers:
                mount_all([layers[0]._replace(target="")], top)
            start = top if layers or len(options) > 1 else options[0].removeprefix("lowerdir+=")
            return all(_has_directory(os.fsencode(start), path) for path in found.whited)

        return run_private(look)

    def _write(self, record: Record, layers: list[Record], below: list[str], root: str = "") -> Record:
        checksum, own_root = self._write_file(record, [layer.diff_id for layer in layers], overlay=bool(below))
        values = {
            "stack": " ".join([record.own, *below]),
            "root": root or own_root,
            "devices": " ".join(layer.diff_id for layer in layers),
            "checksum": checksum,
        }
        with self._records.db.write() as connection:
            self._records.get(record.name, "committed")
            self._records.update(connection, record.id, **values)
        return self._records.get(record.name, "committed")

    def _write_file(self, record: Record, digests: list[str], *, overlay: bool) -> tuple[str, str]:
        """Write the index file of a snapshot, durably.

        Returns:
            Its SHA-256, and the metadata of its root directory.
        """
        from hashlib import file_digest

        lineage = {other.diff_id: other for other in self._records.lineage(record.name) if other.form == "index"}
        directory = self._records.directory(record.id)
        path = f"{directory}/index"
        temporary = f"{path}.{os.urandom(4).hex()}"
        try:
            index = write_index(self._sources([lineage[digest] for digest in digests]), temporary, overlay=overlay)
            with open(temporary, "rb") as file:
                checksum = file_digest(file, "sha256").hexdigest()
                os.makedirs(f"{directory}/mnt", 0o700, exist_ok=True)
                os.fdatasync(file.fileno())
                os.rename(temporary, path)
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(error, path) from error
        finally:
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass
        return checksum, root_metadata(index.root)

    def _sources(self, layers: list[Record]) -> list[Source]:
        """Tars and tables; a table that is gone is made again."""
        from scow.oci.digest import DiffID, Digest

        sources = []
        for layer in layers:
            diff_id = DiffID(Digest(layer.diff_id))
            table = f"{self._records.directory(layer.id)}/table"
            if not os.path.exists(table):
                self.remake_table(layer)
            sources.append(Source(self._content.path(diff_id), table))
        return sources

    def remake_table(self, layer: Record) -> None:
        """Read a layer's tar again and write its table.

        Raises:
            BlobNotFoundError: The tar is gone.
            CorruptError: It is damaged.
        """
        from scow.oci.digest import DiffID, Digest

        diff_id = DiffID(Digest(layer.diff_id))
        table = f"{self._records.directory(layer.id)}/table"
        temporary = f"{table}.{os.urandom(4).hex()}"
        with self._content.open(diff_id) as tar:
            _write_table(tar, diff_id, temporary, None)
        os.rename(temporary, table)

    def rebuild(self, record: Record) -> None:
        """Write an index anew from the tars, for fsck.

        Raises:
            ScowError: A tar is gone or damaged.
        """
        digests = record.devices.split()
        for other in self._records.lineage(record.name):
            if other.diff_id in digests:
                self.remake_table(other)
        checksum, _ = self._write_file(record, digests, overlay=len(record.stack.split()) > 1)
        with self._records.db.write() as connection:
            self._records.update(connection, record.id, checksum=checksum)

    def _unpack(self, record: Record) -> Record:
        """Keep a layer as a directory: it leaves something open that only an upper directory below can answer."""
        from scow.oci.digest import DiffID, Digest
        from scow.snapshot.trees import Trees

        trees = Trees(self._snapshots)
        parent = self.ready(record.parent) if record.parent else None
        directory = self._records.directory(record.id)
        diff_id = DiffID(Digest(record.diff_id))
        self._records.sweep([f"{directory}/fs"])
        applied = trees.fill_from_blob(directory, diff_id, lease=None, limits=None)
        if applied.diff_id != diff_id:
            raise CorruptError(f"the tar of layer {diff_id} is damaged", hint="Run 'scow system fsck'.")
        tree = record._replace(form="tree")
        placed = trees.place(tree, parent, applied.pending)
        self._snapshots.sync()
        values = {"form": "tree", "stack": placed.stack, "root": placed.root}
        with self._records.db.write() as connection:
            self._records.get(record.name, "committed")
            self._records.update(connection, record.id, **values)
        return tree._replace(stack=placed.stack, root=placed.root)


class _Copy:
    """A file that is written to the disk while it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0
        self._writeback = Writeback(file.fileno())

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        write_all(self._file, data)
        self._size += len(data)
        self._writeback.reached(self._size)
        return len(data)


def _has_directory(top: bytes, path: bytes) -> bool:
    """Whether there is a directory, and no link on the way to it."""
    for part in path.split(b"/"):
        top = top + b"/" + part
        try:
            if not stat.S_ISDIR(os.lstat(top).st_mode):
                return False
        except OSError:
            return False
    return True


def _write_table(tar: BinaryIO, diff_id: DiffID, path: str, limits: Limits | None) -> Applied:
    try:
        with open(path, "wb") as table:
            return scan_file(tar, diff_id, table, limits=limits)
    except OSError as error:
        raise storage_error(error, path) from error
