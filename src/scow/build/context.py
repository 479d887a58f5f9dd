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
import marshal
import os
import stat
import time

from scow.build.sources import SourceNotFoundError, hash_file, join, parent_of, portable, status_of
from scow.errors import ConflictError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.base.database import Database
    from scow.build.sources import Status
    from scow.dockerfile.ignore import IgnoreMatcher, Trail
    from scow.errors import ScowError
    from scow.layer.tarformat import Pairs

SCHEMA = """
CREATE TABLE context_dirs (
  root TEXT NOT NULL, dir BLOB NOT NULL, signature BLOB NOT NULL, total TEXT NOT NULL, newest INTEGER NOT NULL,
  digests TEXT NOT NULL, PRIMARY KEY (root, dir)
) WITHOUT ROWID;
CREATE TABLE context_roots (root TEXT PRIMARY KEY, used REAL NOT NULL) WITHOUT ROWID;
"""
_TICK_NS = 50_000_000
"""How long after a change a file system may still give the same time to another one."""
_ROOTS_KEPT = 64
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _Known(NamedTuple):
    """What is remembered of a directory.

    Attributes:
        signature: Of its entries as stat sees them.
        total: A digest of all its files.
        newest: The latest time of a file, seconds since the epoch.
    """

    signature: bytes
    total: str
    newest: int


_Entry = tuple[bytes, os.stat_result]
"""One name in a directory, as listed."""


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
            rows = connection.execute("SELECT dir, signature, total, newest FROM context_dirs WHERE root = ?", (root,))
            self._known = {row[0]: _Known._make(row[1:]) for row in rows}
        self._fresh: dict[bytes, tuple[_Known, str]] = {}

    def get(self, path: bytes) -> _Known | None:
        """What is remembered of a directory."""
        fresh = self._fresh.get(path)
        return fresh[0] if fresh is not None else self._known.get(path)

    def digests(self, path: bytes, signature: bytes = b"") -> dict[str, list[str]]:
        """What stat said of each file of a directory, and its digest.

        Args:
            path: The directory.
            signature: Nothing is answered when what is remembered has another one; ``b""`` for any.
        """
        fresh = self._fresh.get(path)
        if fresh is not None:
            return dict(json.loads(fresh[1]))
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT digests, signature FROM context_dirs WHERE root = ? AND dir = ?", (self._root, path)
            ).fetchone()
        return dict(json.loads(row[0])) if row and signature in (b"", row[1]) else {}

    def put(self, path: bytes, known: _Known, digests: str) -> None:
        """Remember a directory, once :meth:`save` is called."""
        self._fresh[path] = (known, digests)

    def save(self) -> None:
        """Write what is new; contexts used longest ago are forgotten."""
        if not self._fresh:
            return
        with self._db.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO context_dirs VALUES (?, ?, ?, ?, ?, ?)",
                [(self._root, path, *known, digests) for path, (known, digests) in self._fresh.items()],
            )
            connection.execute("INSERT OR REPLACE INTO context_roots VALUES (?, ?)", (self._root, time.time()))
            old = connection.execute(
                "SELECT root FROM context_roots ORDER BY used DESC LIMIT -1 OFFSET ?", (_ROOTS_KEPT,)
            ).fetchall()
            for row in old:
                connection.execute("DELETE FROM context_dirs WHERE root = ?", row)
                connection.execute("DELETE FROM context_roots WHERE root = ?", row)
        self._known.update((path, known) for path, (known, _) in self._fresh.items())
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
        self._patterns = tuple(patterns)
        self._matcher: IgnoreMatcher | None = None
        self._ignoring = any(pattern.strip() for pattern in patterns)
        self._trails: dict[bytes, Trail] = {}
        self._cache = cache
        self._started_ns = time.time_ns()
        self._digests: dict[bytes, dict[bytes, str]] = {}
        self._listed: dict[bytes, list[_Entry]] = {}
        self._whole: dict[bytes, str] = {}
        self._totals: dict[bytes, str] = {}
        self._signatures: dict[bytes, bytes] = {}
        self.opened = 0
        """How many files were read to be hashed."""
        self.newest = 0
        """The latest time of a file that a fingerprint covers, seconds since the epoch."""

    def shows(self, root: str, patterns: Sequence[str]) -> bool:
        """Whether it is a directory seen through some patterns."""
        return self.root == os.fsencode(root) and self._patterns == tuple(patterns)

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
            raise _unusable(error, f"cannot read {self._shown(path)!r} in the build context") from error

    def readlink(self, path: bytes) -> bytes:
        """See :class:`~scow.build.sources.SourceTree`."""
        return os.readlink(self._at(path))

    def names(self, path: bytes) -> list[bytes]:
        """See :class:`~scow.build.sources.SourceTree`."""
        return [name for name, _ in self._list(path)]

    def entries(self, path: bytes) -> list[tuple[bytes, Status]]:
        """See :class:`~scow.build.sources.SourceTree`."""
        return [(name, status_of(found, reset_owner=True)) for name, found in self._list(path)]

    def open(self, path: bytes) -> int:
        """See :class:`~scow.build.sources.SourceTree`."""
        try:
            return os.open(self._at(path), _OPEN)
        except OSError as error:
            raise _unusable(error, f"cannot read {self._shown(path)!r} in the build context") from error

    def xattrs(self, path: bytes) -> Pairs:
        """See :class:`~scow.build.sources.SourceTree`."""
        if " " not in (self.known(path) or " ").removeprefix("link "):
            return ()  # it was hashed, and had none
        from scow.layer.whiteout import exported

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
            found = self._match().enter(os.fsdecode(path), self.trail(parent_of(path)))
            self._trails[path] = found
        return found

    def _match(self) -> IgnoreMatcher:
        if self._matcher is None:
            from scow.dockerfile.ignore import IgnoreMatcher

            self._matcher = IgnoreMatcher(self._patterns)
        return self._matcher

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
        try:
            entries = _scan(self._at(path))
        except OSError as error:
            raise _unusable(error, f"cannot list {self._shown(path)!r} in the build context") from error
        entries.sort()
        if self._ignoring:
            entries = [entry for entry in entries if self._is_in(join(path, entry[0]))]
        self._listed[path] = entries
        return entries

    # ------------------------------------------------------------------ digests

    def digest(self, path: bytes) -> str:
        """See :class:`~scow.build.sources.SourceTree`."""
        above, _, name = path.rpartition(b"/")
        found = self._digests.get(above)
        if found is None:
            entries = self._list(above)
            known = self._remembered(above, _signature(entries)[0])
            digests = self._cache.digests(above) if known is not None and self._cache is not None else {}
            found = self._digests[above] = (
                {os.fsencode(text): pair[1] for text, pair in digests.items()}
                if known is not None
                else self._hash_directory(above, entries)[1]
            )
        return found[name]

    def known(self, path: bytes) -> str:
        """What ``digest`` answers, when a fingerprint has covered it and no file has to be read for it; else ``""``."""
        above, _, name = path.rpartition(b"/")
        found = self._digests.get(above)
        if found is None:
            signature = self._signatures.get(above)
            if signature is None or self._cache is None:
                return ""
            found = {os.fsencode(text): pair[1] for text, pair in self._cache.digests(above, signature).items()}
            self._digests[above] = found
        return found.get(name, "")

    def fingerprint(self, path: bytes) -> str:
        """A digest of everything at and below a path: names, types, modes, contents, link targets, attributes.

        Raises:
            SourceNotFoundError: Nothing is there.
        """
        whole = self._whole.get(path)
        if whole is None:
            status = self.look(path)
            if status is None:
                raise SourceNotFoundError(f"{self._shown(path)!r} not found in the build context")
            if status.is_dir:
                whole = self._fingerprint_directory(path)
            else:
                self.newest = max(self.newest, status.mtime_ns // 1_000_000_000)
                whole = f"{status.mode:o} {self.digest(path)}"
            self._whole[path] = whole
        return whole

    def _fingerprint_directory(self, path: bytes) -> str:
        """Without recursion, so that no depth is too much."""
        order: list[tuple[bytes, str, list[tuple[bytes, int]]]] = []
        stack = [path]
        while stack:
            here = stack.pop()
            if here in self._whole:
                continue
            entries = self._list(here)
            signature, folders = _signature(entries)
            known = self._remembered(here, signature)
            if known is None:
                known, self._digests[here] = self._hash_directory(here, entries)
            self._signatures[here] = known.signature
            self.newest = max(self.newest, known.newest)
            self._totals[here] = known.total
            order.append((here, known.total, folders))
            stack.extend(join(here, name) for name, _ in folders)
        for here, total, folders in reversed(order):
            found = hashlib.sha256(total.encode())
            for name, mode in folders:
                found.update(b"%o %b\0%b\n" % (mode, name, self._whole[join(here, name)].encode()))
            self._whole[here] = found.hexdigest()
        return self._whole[path]

    def _remembered(self, path: bytes, signature: bytes) -> _Known | None:
        known = self._cache.get(path) if self._cache is not None else None
        return known if known is not None and known.signature == signature else None

    def _hash_directory(self, path: bytes, entries: list[_Entry]) -> tuple[_Known, dict[bytes, str]]:
        """Digests of everything in a directory that is no directory; files that are as they were are not opened."""
        before = self._cache.digests(path) if self._cache is not None else {}
        found = hashlib.sha256()
        out: dict[bytes, str] = {}
        kept: dict[str, tuple[str, str]] = {}
        newest = latest = 0
        for name, status in entries:
            latest = max(latest, status.st_ctime_ns)
            if stat.S_ISDIR(status.st_mode):
                continue
            newest = max(newest, int(status.st_mtime))
            mark = f"{status.st_mode} {status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"
            text = os.fsdecode(name)
            old = before.get(text)
            digest = old[1] if old is not None and old[0] == mark else self._hash(join(path, name), status)
            out[name] = digest
            kept[text] = (mark, digest)
            found.update(b"%o %b\0%b\n" % (status.st_mode, name, digest.encode()))
        known = _Known(_signature(entries)[0], found.hexdigest(), newest)
        if self._cache is not None and latest < self._started_ns - _TICK_NS:
            self._cache.put(path, known, json.dumps(kept, separators=(",", ":")))
        return known, out

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

    def folders(self, path: bytes) -> list[tuple[bytes, str]]:
        """Every directory at and below one, each with a digest of the files in it that are no directories."""
        self.fingerprint(path)
        out: list[tuple[bytes, str]] = []
        stack = [path]
        while stack:
            here = stack.pop()
            out.append((here, self._totals[here]))
            stack += [join(here, name) for name, found in self._list(here) if stat.S_ISDIR(found.st_mode)]
        return out

    def files(self, path: bytes) -> dict[str, str]:
        """Mode and digest of everything in a directory that is no directory, by name."""
        return {
            name.decode("utf-8", "backslashreplace"): f"{found.st_mode:o} {self.digest(join(path, name))}"
            for name, found in self._list(path)
            if not stat.S_ISDIR(found.st_mode)
        }

    def save(self) -> None:
        """Remember the digests for the next build."""
        if self._cache is not None:
            self._cache.save()

    def walk(self, path: bytes = b"") -> list[tuple[bytes, os.stat_result]]:
        """Every entry below a path that is not ignored, sorted, directories before what is in them."""
        out: list[tuple[bytes, os.stat_result]] = []
        stack = [(join(path, name), found) for name, found in reversed(self._list(path))]
        while stack:
            here, status = stack.pop()
            out.append((here, status))
            if stat.S_ISDIR(status.st_mode):
                stack.extend((join(here, name), found) for name, found in reversed(self._list(here)))
        return out


def _signature(entries: list[_Entry]) -> tuple[bytes, list[tuple[bytes, int]]]:
    """What stat says of a directory's files, as one digest; names and modes of its directories."""
    # Ten thousand files pass here in a build in which nothing changed: two comprehensions and C's own serialiser take
    # half the time of a loop and repr. Version 2 of marshal has no references, so equal values have equal bytes.
    folders = [(name, found.st_mode) for name, found in entries if found.st_mode & 0o170000 == 0o040000]
    marks = [
        (name, found.st_mode, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        for name, found in entries
        if found.st_mode & 0o170000 != 0o040000
    ]
    return hashlib.sha256(marshal.dumps(marks, 2)).digest(), folders


def _unusable(error: OSError, doing: str) -> ScowError:
    from scow.linux.syscalls import explain

    return explain(error, doing)


def _scan(path: bytes) -> list[_Entry]:
    try:
        with os.scandir(path) as scan:
            return [(item.name, item.stat(follow_symlinks=False)) for item in scan]
    except FileNotFoundError:
        if not os.path.isdir(path):
            raise
    out: list[_Entry] = []  # something went away while it was listed
    with os.scandir(path) as scan:
        for item in scan:
            try:
                out.append((item.name, item.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return out
