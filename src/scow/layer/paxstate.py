# SPDX-License-Identifier: Apache-2.0
"""What extension headers say about the entry that follows them: pax records, local and global, and GNU long names."""

from __future__ import annotations

from binascii import a2b_base64

from scow.errors import CorruptError
from scow.layer.names import show
from scow.layer.tarformat import MAX_EXTENSION, MAX_SEGMENTS, pax_integer, pax_records, pax_time, segments
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.layer.tarformat import TarEntry

_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_SPARSE = b"GNU.sparse."
_REPEATED = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})
# Extensions of one entry, together: several headers may precede it.
_MAX_TOTAL = 4 * MAX_EXTENSION


class PaxState:
    """Collects extension headers until the entry they belong to comes."""

    __slots__ = ("_global", "_linkname", "_local", "_map", "_name", "_total", "active")

    def __init__(self) -> None:
        self._global: dict[bytes, bytes] = {}
        self._reset()
        self.active = False

    def _reset(self) -> None:
        self._local: dict[bytes, bytes] = {}
        self._map: list[int] = []
        self._name = b""
        self._linkname = b""
        self._total = 0
        self.active = bool(self._global)

    def end(self, where: int) -> None:
        """The archive ends here.

        Raises:
            CorruptError: An extension header waits for its entry.
        """
        if self._total:
            raise CorruptError(f"the tar stream ends at byte {where} where an entry should follow its extended header")

    def take(self, kind: bytes, body: bytes, where: int) -> None:
        """Take in one extension header.

        Args:
            kind: Its type: ``x``, ``X``, ``g``, ``L`` or ``K``.
            body: Its data.
            where: Offset of the header, for messages.

        Raises:
            CorruptError: It is damaged, or the extensions of one entry are too large together.
        """
        self.active = True
        if kind == b"g":
            for key, value in pax_records(body, where):
                if value:
                    self._global[key] = value
                else:
                    self._global.pop(key, None)
            if sum(map(len, self._global.values())) > MAX_EXTENSION:
                raise CorruptError(f"the global pax headers up to byte {where} are larger than {MAX_EXTENSION} bytes")
            self.active = bool(self._global) or self._total > 0
            return
        self._total += len(body) + 1
        if self._total > _MAX_TOTAL:
            raise CorruptError(f"the extension headers at byte {where} are larger than {_MAX_TOTAL} bytes")
        if kind == b"L":
            self._name = body.partition(b"\0")[0]
        elif kind == b"K":
            self._linkname = body.partition(b"\0")[0]
        else:
            for key, value in pax_records(body, where):
                if key in _REPEATED:
                    self._map.append(pax_integer(value, "sparse map", where))
                else:
                    self._local[key] = value

    def apply(self, entry: TarEntry, where: int, read_map: Callable[[int, int], tuple[list[int], int]]) -> TarEntry:
        """Complete an entry with what was said about it, and forget that.

        Args:
            entry: As its own header describes it.
            where: Offset of that header.
            read_map: Reads a sparse map from the data.

        Returns:
            The whole entry.

        Raises:
            CorruptError: A value makes no sense.
        """
        if self._name:
            entry = entry._replace(name=self._name)
        if self._linkname:
            entry = entry._replace(linkname=self._linkname)
        if not self._global:
            records = self._local
        elif self._local:
            records = self._global | self._local
        else:
            records = self._global
        if records or self._map:
            entry = self._described(entry, records, where, read_map)
        self._reset()
        return entry

    def _described(
        self,
        entry: TarEntry,
        records: dict[bytes, bytes],
        where: int,
        read_map: Callable[[int, int], tuple[list[int], int]],
    ) -> TarEntry:
        name, _, _, uid, gid, size, mtime_ns, linkname = entry[:8]
        xattrs: dict[bytes, bytes] = {}
        sparse: dict[bytes, bytes] = {}
        for key, value in records.items():
            if key == b"mtime":
                mtime_ns = pax_time(value, where) if value else mtime_ns
            elif key == b"path":
                name = value or name
            elif key == b"linkpath":
                linkname = value or linkname
            elif key == b"size":
                size = pax_integer(value, "size", where) if value else size
            elif key == b"uid":
                uid = pax_integer(value, "uid", where) if value else uid
            elif key == b"gid":
                gid = pax_integer(value, "gid", where) if value else gid
            elif key[:13] == _SCHILY:
                xattrs[key[13:]] = value
            elif key[:17] == _LIBARCHIVE:
                xattrs.setdefault(*_libarchive(key[17:], value, where))
            elif key[:11] == _SPARSE:
                sparse[key[11:]] = value
        if b"\0" in name or b"\0" in linkname:
            raise CorruptError(f"the pax header at byte {where} has a name with a zero byte")
        entry = entry._replace(
            name=name,
            uid=uid,
            gid=gid,
            size=size if entry.sparse is None else entry.size,
            stored=size,
            mtime_ns=mtime_ns,
            linkname=linkname,
            xattrs=tuple(sorted(xattrs.items())),
        )
        if sparse or self._map:
            return self._sparse(entry, sparse, where, read_map)
        return entry

    def _sparse(
        self,
        entry: TarEntry,
        records: dict[bytes, bytes],
        where: int,
        read_map: Callable[[int, int], tuple[list[int], int]],
    ) -> TarEntry:
        """The three pax sparse formats: 0.0 (repeated records), 0.1 (one record), 1.0 (map before the data)."""
        real = records.get(b"realsize") or records.get(b"size")
        if records.get(b"name"):
            entry = entry._replace(name=records[b"name"])
        if real is None:
            return entry
        size = pax_integer(real, "size", where)
        stored = entry.stored
        if records.get(b"major") == b"1":
            numbers, used = read_map(stored, where)
            stored -= used
        elif b"map" in records:
            numbers = [pax_integer(item, "sparse map", where) for item in records[b"map"].split(b",") if item]
        else:
            numbers = self._map
        if len(numbers) % 2 or len(numbers) > 2 * MAX_SEGMENTS:
            raise CorruptError(f"the sparse map of {show(entry.name)} is damaged")
        return entry._replace(size=size, stored=stored, sparse=segments(numbers, size, where))


def _libarchive(name: bytes, value: bytes, where: int) -> tuple[bytes, bytes]:
    """An attribute in the form of libarchive: the name percent-encoded, the value in base 64 without padding."""
    first, *rest = name.split(b"%")
    try:
        plain = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)
        return plain, a2b_base64(value + b"=" * (-len(value) % 4))
    except ValueError:
        raise CorruptError(f"the pax header at byte {where} has a damaged extended attribute") from None
