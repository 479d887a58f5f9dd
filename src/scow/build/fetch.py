# SPDX-License-Identifier: Apache-2.0
"""Files and repositories from the network, for ADD and for contexts.

A file is kept as a blob with what its server said of it (table ``build_urls``), so that an unchanged one is asked for
but not sent again. Repositories are fetched with the host's git into a directory that goes with the build.
"""

from __future__ import annotations

import hashlib
import os
import re

from scow.base.streams import BlobMismatchError
from scow.build.remote import file_name
from scow.build.sources import DirTree, FilesTree
from scow.errors import InvalidArgumentError, NotFoundError, UnavailableError, UnsupportedError
from scow.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from scow.base.database import Database
    from scow.base.leases import Lease
    from scow.build.remote import GitSource
    from scow.content.local import LocalContentStore
    from scow.layer.tarformat import Pairs
    from scow.oci.digest import Digest

SCHEMA = """
CREATE TABLE build_urls (
  url TEXT PRIMARY KEY, digest TEXT NOT NULL, etag TEXT NOT NULL, modified TEXT NOT NULL, time INTEGER NOT NULL
) WITHOUT ROWID;
"""
_TIMEOUT = 60.0
_CHUNK = 256 * 1024
_HEX = re.compile(r"[0-9a-f]{7,64}")


class BlobFileTree(FilesTree):
    """One file whose content is a blob.

    Args:
        name: Its name.
        path: Where the blob is.
        size: Its bytes.
        digest: Its digest.
        time: When it was last changed, seconds since the epoch.
    """

    def __init__(self, name: bytes, path: str, size: int, digest: str, time: int) -> None:
        super().__init__({name: b""}, mode=0o600, mtime_ns=time * 1_000_000_000)
        self.path = path
        self._size = size
        self._digest = digest

    def look(self, path: bytes) -> Any:
        """See :class:`~scow.build.sources.SourceTree`."""
        found = super().look(path)
        return found._replace(size=self._size) if found is not None and path else found

    def open(self, path: bytes) -> int:  # noqa: ARG002 - there is one file
        """See :class:`~scow.build.sources.SourceTree`."""
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def xattrs(self, path: bytes) -> Pairs:  # noqa: ARG002 - there is one file
        """See :class:`~scow.build.sources.SourceTree`."""
        return ()

    def digest(self, path: bytes) -> str:  # noqa: ARG002 - there is one file
        """See :class:`~scow.build.sources.SourceTree`."""
        return self._digest


class UrlStore:
    """Fetches files.

    Args:
        db: The store's database.
        content: Its blobs.
        lease: Holds what is fetched.
        limit: Most bytes of one file.
        check: Called between pieces; raises to stop.
    """

    def __init__(
        self, db: Database, content: LocalContentStore, lease: Lease, limit: int, check: Callable[[], None]
    ) -> None:
        self._db = db
        self._content = content
        self._lease = lease
        self._limit = limit
        self._check = check
        db.ensure("build-urls", 1, SCHEMA)

    def tree(self, url: str, checksum: str, name: str = "") -> BlobFileTree:
        """A tree with the file of a URL.

        Args:
            url: ``http`` or ``https``.
            checksum: The digest that it must have, or ``""``.
            name: What the file is called; ``""`` for the end of the URL's path.

        Raises:
            UnavailableError: It cannot be had.
            CorruptError: It is not what ``checksum`` says.
        """
        from scow.oci.digest import Digest

        wanted = Digest(checksum) if checksum else None
        if wanted is not None and self._content.hold(wanted, self._lease):
            known = self._known(url)
            return self._as_tree(name or file_name(url), wanted, known[3] if known is not None else 0)
        digest, time = self._fetch(url, wanted)
        return self._as_tree(name or file_name(url), digest, time)

    def _as_tree(self, name: str, digest: Digest, time: int) -> BlobFileTree:
        info = self._content.stat(digest)
        return BlobFileTree(
            name.encode("utf-8", "surrogateescape"),
            self._content.path(digest),
            info.size,
            digest.encoded,
            time,
        )

    def _known(self, url: str) -> tuple[str, str, str, int] | None:
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT digest, etag, modified, time FROM build_urls WHERE url = ?", (url,)
            ).fetchone()
        return (row[0], row[1], row[2], row[3]) if row else None

    def _fetch(self, url: str, wanted: Digest | None) -> tuple[Digest, int]:
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        from scow.oci.digest import Digest

        known = self._known(url)
        headers: dict[str, str] = {"User-Agent": "scow", "Accept-Encoding": "identity"}
        if known is not None and self._content.hold(Digest(known[0]), self._lease):
            headers |= {"If-None-Match": known[1]} if known[1] else {}
            headers |= {"If-Modified-Since": known[2]} if known[2] else {}
        try:
            with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:  # noqa: S310 - only http(s) comes here
                return self._keep(url, answer, wanted)
        except HTTPError as error:
            if error.code == 304 and known is not None:
                if wanted is not None and wanted != known[0]:
                    raise BlobMismatchError(f"{url!r} has the digest {known[0]}, not {wanted}") from error
                return Digest(known[0]), known[3]
            kind = NotFoundError if error.code == 404 else UnavailableError
            raise kind(f"cannot fetch {url!r}: invalid response status {error.code}") from error
        except (URLError, OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", "") or str(error) or type(error).__name__
            raise UnavailableError(f"cannot fetch {url!r}: {reason}") from error

    def _keep(self, url: str, answer: Any, wanted: Digest | None) -> tuple[Digest, int]:
        from email.utils import parsedate_to_datetime

        from scow.errors import LimitError

        total = 0
        with self._content.ingest() as ingest:
            while data := answer.read(_CHUNK):
                self._check()
                total += len(data)
                if total > self._limit:
                    raise LimitError(f"{url!r} is larger than the limit of {self._limit} bytes")
                ingest.write(data)
            if getattr(answer, "length", 0):  # http.client takes a body that was cut off for the whole
                raise UnavailableError(f"cannot fetch {url!r}: the answer ended {answer.length} bytes early")
            info = ingest.commit(wanted, lease=self._lease)
        modified = answer.headers.get("Last-Modified", "")
        try:
            time = int(parsedate_to_datetime(modified).timestamp()) if modified else 0
        except (TypeError, ValueError, OverflowError):
            time = 0
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO build_urls VALUES (?, ?, ?, ?, ?)",
                (url, info.digest, answer.headers.get("ETag", ""), modified, time),
            )
        return info.digest, time


class GitCheckout:
    """A repository at one commit.

    Args:
        source: Which.
        scratch: Directory for it; removed by whoever gave it.
        environ: For git.
    """

    def __init__(self, source: GitSource, scratch: str, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ
        self._top = os.path.join(scratch, f"git-{os.urandom(8).hex()}")
        self.commit = ""
        self.time = 0

    def fetch(self) -> str:
        """Fetch it.

        Returns:
            The directory with the files that are wanted.

        Raises:
            UnsupportedError: The host has no git.
            UnavailableError: The repository cannot be read.
            NotFoundError: It has no such ref or directory.
        """
        source = self._source
        os.makedirs(self._top, mode=0o700)
        self._git("init", "-q", ".")
        self._git("remote", "add", "origin", "--", source.remote)
        ref = source.ref or "HEAD"
        whole = bool(_HEX.fullmatch(ref)) and len(ref) != 40
        if whole:
            self._git("fetch", "-q", "--tags", "origin")
        else:
            self._git("fetch", "-q", "--depth=1", "--no-tags", "origin", "--", ref)
        self._git("checkout", "-q", ref if whole else "FETCH_HEAD")
        self.commit = self._git("rev-parse", "HEAD").strip()
        self.time = int(self._git("log", "-1", "--format=%ct").strip() or 0)
        if source.checksum and not self.commit.startswith(source.checksum):
            raise InvalidArgumentError(f"the commit of {source.remote!r} is {self.commit}, not {source.checksum}")
        if source.submodules and os.path.exists(os.path.join(self._top, ".gitmodules")):
            # A repository must not make us read others of this machine. Source: CVE-2022-39253.
            self._git("submodule", "update", "-q", "--init", "--recursive", "--depth=1", local=False)
        if not source.keep_git_dir:
            from scow.base.files import remove_tree

            remove_tree(os.path.join(self._top, ".git"))
        return self._inside()

    def _inside(self) -> str:
        tree = DirTree(self._top)
        from scow.build.sources import resolve

        path = resolve(tree, os.fsencode(self._source.subdir))
        status = tree.look(path)
        if status is None or not status.is_dir:
            raise NotFoundError(f"the repository {self._source.remote!r} has no directory {self._source.subdir!r}")
        directory = os.path.join(self._top, os.fsdecode(path))
        self._settle(directory)
        return directory

    def _settle(self, directory: str) -> None:
        """Times and modes as the commit has them, not as this checkout happened."""
        for folder, folders, files in os.walk(directory):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    wide = os.path.isdir(path) or os.stat(path).st_mode & 0o100
                    os.chmod(path, 0o755 if wide else 0o644)
                os.utime(path, (self.time, self.time), follow_symlinks=False)

    def _git(self, *words: str, local: bool = True) -> str:
        import shutil
        import subprocess

        program = shutil.which("git")
        if program is None:
            raise UnsupportedError("git repositories need the program git", hint="install git")
        environ = {
            **self._environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "http:https:ssh:git:file" if local else "http:https:ssh:git",
        }
        done = subprocess.run(
            [program, "-c", "protocol.file.allow=user", "-c", "core.hooksPath=/dev/null", *words],
            cwd=self._top,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else f"git exited with {done.returncode}"
            raise UnavailableError(f"cannot fetch the repository {self._source.remote!r}: {reason}")
        return done.stdout.decode("utf-8", "replace")


def digest_text(*parts: str) -> str:
    """A digest of some words."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
