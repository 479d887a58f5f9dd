# SPDX-License-Identifier: Apache-2.0
"""The build context: read in place, seen through its ignore file, its digests remembered between builds.

Each directory has a signature made of its entries' names and stat fields (mode, size, inode, mtime, ctime). When the
signature is the remembered one, nothing in the directory has been touched and its files are not opened; otherwise the
files whose own fields differ are hashed. A directory with an entry changed within the last moments is not remembered,
so that a second change in the same tick of the clock is never missed. Owners and times are not part of a digest.

On disk: table ``context_dirs``, one row for each directory of each context, the least recently used contexts go.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from scow.build.sources import Status, clean, hash_file, join, parent_of, portable, status_of
from scow.dockerfile.ignore import IgnoreMatcher
from scow.errors import ConflictError
from scow.layer.whiteout import exported
from scow.linux.syscalls import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.base.database import Database
    from scow.dockerfile.ignore import Trail
    from scow.layer.tarformat import Pairs

SCHEMA = """
CREATE TABLE context_dirs (
  root TEXT NOT NULL, dir BLOB NOT NULL, signature BLOB NOT NULL, digests TEXT NOT NULL, PRIMARY KEY (root, dir)
) WITHOUT ROWID;
CREATE TABLE context_roots (root TEXT PRIMARY KEY, used REAL NOT NULL) WITHOUT ROWID;
"""
_TICK_NS = 50_000_000
"""How long after a change a file system may still give the same time to another one."""
_ROOTS_KEPT = 64
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _Known(NamedTuple):
    """What is remembered of a directory."""

    signature: bytes
    digests: str


class _Entry(NamedTuple):
    """One name in a directory, as listed."""

    name: bytes
    found: os.stat_result


class StatCache:
    """Digests of files by where they are and what stat says of them.

    Args:
        db: The store's database.
        root: The context's real path.
    """

    def __init__(self, db: Database, root: str) -> None:
        self._db = db
        self._root = root
        db.ensure("context", 1, SCHEMA)
        with db.read() as connection:
            rows = connection.execute("SELECT dir, signature, digests FROM context_dirs WHERE root = ?", (root,))
            self._known = {bytes(path): _Known(bytes(mark), digests) for path, mark, digests in rows}
        self._fresh: dict[bytes, _Known] = {}

    def get(self, path: bytes) -> _Known | None:
        """What is remembered of a directory."""
        return self._fresh.get(path) or self._known.get(path)

    def put(self, path: bytes, known: _Known) -> None:
        """Remember a directory, once :meth:`save` is called."""
        self._fresh[path] = known

    def save(self) -> None:
        """Write what is new; contexts used longest ago are forgotten."""
        if not self._fresh:
            return
        with self._db.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO context_dirs VALUES (?, ?, ?, ?)",
                [(self._root, path, known.signature, known.digests) for path, known in self._fresh.items()],
            )
            connection.execute("INSERT OR REPLACE INTO context_roots VALUES (?, ?)", (self._root, time.time()))
            old = connection.execute(
                "SELECT root FROM context_roots ORDER BY used DESC LIMIT -1 OFFSET ?", (_ROOTS_KEPT,)
            ).fetchall()
            for row in old:
                connection.execute("DELETE FROM context_dirs WHERE root = ?", row)
                connection.execute("DELETE FROM context_roots WHERE root = ?", row)
        self._known.update(self._fresh)
        self._fresh = {}


class ContextTree:
    """A directory as steps see it: ignored files are not there and everything belongs to root.

    One thread at a time may call ``fingerprint`` and ``digest``; the rest is safe for several.

    Args:
        root: The directory.
        patterns: From the ignore file.
        cache: Remembers digests; ``None`` for a directory that is only read once.
    """

    def __init__(self, root: str, patterns: Sequence[str] = (), cache: StatCache | None = None) -> None:
        self.root = os.fsencode(root)
        self.matcher = IgnoreMatcher(patterns)
        self._ignoring = bool(self.matcher)
        self._trails: dict[bytes, Trail] = {}
        self._cache = cache
        self._started_ns = time.time_ns()
        self._digests: dict[bytes, dict[bytes, str]] = {}
        self._listed: dict[bytes, list[_Entry]] = {}
        self._whole: dict[bytes, str] = {}
        self.opened = 0
        """How many files were read to be hashed."""
        self.newest = 0
        """The latest time of a file that a fingerprint covers, seconds since the epoch."""

    # ------------------------------------------------------------------ what is there

    def look(self, path: bytes) -> Status | None:
        """See :class:`~scow.build.sources.SourceTree`."""
        if self._ignoring and path and not self._is_in(path):
            return None
        try:
            return status_of(os.lstat(self._at(path)), reset_owner=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explain(error, f"cannot read {self._shown(path)!r} in the build context") from error

    def readlink(self, path: bytes) -> bytes:
        """See :class:`~scow.build.sources.SourceTree`."""
        return os.readlink(self._at(path))

    def names(self, path: bytes) -> list[bytes]:
        """See :class:`~scow.build.sources.SourceTree`."""
        return [entry.name for entry in self._list(path)]

    def open(self, path: bytes) -> int:
        """See :class:`~scow.build.sources.SourceTree`."""
        try:
            return os.open(self._at(path), _OPEN)
        except OSError as error:
            raise explain(error, f"cannot read {self._shown(path)!r} in the build context") from error

    def xattrs(self, path: bytes) -> Pairs:
        """See :class:`~scow.build.sources.SourceTree`."""
        return portable(exported(self._at(path)))

    def host_path(self, path: bytes) -> str | None:
        """See :class:`~scow.build.sources.SourceTree`; ``None`` when an ignore file hides something."""
        return None if self._ignoring else os.fsdecode(self._at(path))

    def _at(self, path: bytes) -> bytes:
        return self.root + b"/" + path if path else self.root

    def _shown(self, path: bytes) -> str:
        return "/" + os.fsdecode(path)

    def trail(self, path: bytes) -> Trail | None:
        """What the ignore file says of a path; ``None`` for the root."""
        if not path:
            return None
        found = self._trails.get(path)
        if found is None:
            found = self.matcher.enter(os.fsdecode(path), self.trail(parent_of(path)))
            self._trails[path] = found
        return found

    def _is_in(self, path: bytes) -> bool:
        trail = self.trail(path)
        if trail is None or not trail.excluded:
            return True
        if trail.prunable:
            return False
        # A folder is there when something in it is: a later pattern brought that back.
        try:
            is_dir = stat.S_ISDIR(os.lstat(self._at(path)).st_mode)
        except OSError:
            return False
        return is_dir and any(True for _ in self._list(path))

    def _list(self, path: bytes) -> list[_Entry]:
        """The entries of a directory that are not ignored, sorted."""
        found = self._listed.get(path)
        if found is not None:
            return found
        entries: list[_Entry] = []
        try:
            with os.scandir(self._at(path)) as scan:
                for item in scan:
                    try:
                        entries.append(_Entry(item.name, item.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        continue  # gone since it was listed
        except OSError as error:
            raise explain(error, f"cannot list {self._shown(path)!r} in the build context") from error
        entries.sort()
        if self._ignoring:
            entries = [entry for entry in entries if self._is_in(join(path, entry.name))]
        self._listed[path] = entries
        return entries

    # ------------------------------------------------------------------ digests

    def digest(self, path: bytes) -> str:
        """See :class:`~scow.build.sources.SourceTree`."""
        above, _, name = path.rpartition(b"/")
        return self._directory(above)[name]

    def fingerprint(self, path: bytes) -> str:
        """A digest of everything at and below a path: names, types, modes, contents, link targets, attributes."""
        whole = self._whole.get(path)
        if whole is None:
            status = self.look(path)
            if status is not None and status.is_dir:
                whole = self._fingerprint_directory(path)
            else:
                whole = self.digest(path)
                if status is not None:
                    self.newest = max(self.newest, status.mtime_ns // 1_000_000_000)
                    whole = f"{status.mode:o} {whole}"
            self._whole[path] = whole
        return whole

    def _fingerprint_directory(self, path: bytes) -> str:
        """Without recursion, so that no depth is too much."""
        order: list[bytes] = []
        stack = [path]
        while stack:
            here = stack.pop()
            if here in self._whole:
                continue
            order.append(here)
            stack.extend(join(here, entry.name) for entry in self._list(here) if stat.S_ISDIR(entry.found.st_mode))
        for here in reversed(order):
            digests = self._directory(here)
            found = hashlib.sha256()
            newest = self.newest
            for entry in self._list(here):
                name, status = entry
                seconds = int(status.st_mtime)
                newest = max(newest, seconds)
                if stat.S_ISDIR(status.st_mode):
                    found.update(b"%o %b\0%b\n" % (status.st_mode, name, self._whole[join(here, name)].encode()))
                else:
                    found.update(b"%o %b\0%b\n" % (status.st_mode, name, digests[name].encode()))
            self.newest = newest
            self._whole[here] = found.hexdigest()
        return self._whole[path]

    def _directory(self, path: bytes) -> dict[bytes, str]:
        """Digests of everything in a directory that is no directory."""
        found = self._digests.get(path)
        if found is None:
            found = self._digests[path] = self._hash_directory(path)
        return found

    def _hash_directory(self, path: bytes) -> dict[bytes, str]:
        entries = self._list(path)
        signature = hashlib.sha256()
        latest = 0
        rows: list[tuple[bytes, str, os.stat_result]] = []
        for name, status in entries:
            ctime = status.st_ctime_ns
            latest = max(latest, ctime)
            if stat.S_ISDIR(status.st_mode):
                continue
            mark = f"{status.st_mode} {status.st_size} {status.st_ino} {status.st_mtime_ns} {ctime}"
            signature.update(b"%b\0%b\n" % (name, mark.encode()))
            rows.append((name, mark, status))
        known = self._cache.get(path) if self._cache is not None else None
        mark_of_all = signature.digest()
        if known is not None and known.signature == mark_of_all:
            return {os.fsencode(name): digest for name, (_, digest) in json.loads(known.digests).items()}
        before = json.loads(known.digests) if known is not None else {}
        out: dict[bytes, tuple[str, str]] = {}
        for name, mark, status in rows:
            old = before.get(os.fsdecode(name))
            digest = old[1] if old is not None and old[0] == mark else self._hash(join(path, name), status)
            out[name] = (mark, digest)
        if self._cache is not None and latest < self._started_ns - _TICK_NS:
            text = json.dumps({os.fsdecode(name): pair for name, pair in out.items()}, separators=(",", ":"))
            self._cache.put(path, _Known(mark_of_all, text))
        return {name: pair[1] for name, pair in out.items()}

    def _hash(self, path: bytes, status: os.stat_result) -> str:
        kind = stat.S_IFMT(status.st_mode)
        extra = "".join(f" {os.fsdecode(name)}={value.hex()}" for name, value in self.xattrs(path))
        if kind == stat.S_IFLNK:
            return "link " + self.readlink(path).hex() + extra
        if kind != stat.S_IFREG:
            return f"node {status.st_rdev}" + extra
        fd = self.open(path)
        self.opened += 1
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ConflictError(f"{self._shown(path)!r} in the build context changed while it was read")
            return hash_file(fd) + extra
        finally:
            os.close(fd)

    def save(self) -> None:
        """Remember the digests for the next build."""
        if self._cache is not None:
            self._cache.save()

    def walk(self, path: bytes = b"") -> list[tuple[bytes, os.stat_result]]:
        """Every entry below a path that is not ignored, sorted, directories before what is in them."""
        out: list[tuple[bytes, os.stat_result]] = []
        stack = [(join(path, entry.name), entry.found) for entry in reversed(self._list(path))]
        while stack:
            here, status = stack.pop()
            out.append((here, status))
            if stat.S_ISDIR(status.st_mode):
                stack.extend((join(here, entry.name), entry.found) for entry in reversed(self._list(here)))
        return out


def normal(path: str) -> bytes:
    """A path of the context as its methods want it."""
    return clean(os.fsencode(path))
