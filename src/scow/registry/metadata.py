# SPDX-License-Identifier: Apache-2.0
"""What a registry knows about its content, in SQL: repositories, their blobs, manifests, tags and referrers.

A blob is seen in a repository only when it was pushed or mounted there; a manifest needs its parts in the same
repository. Methods that change something run in the caller's transaction when there is one.
"""

from __future__ import annotations

from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scow.base.database import Database

SCHEMA = """
CREATE TABLE repositories (
  name TEXT PRIMARY KEY, created REAL NOT NULL, description TEXT NOT NULL DEFAULT '', pulls INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE repository_blobs (
  repository TEXT NOT NULL, digest TEXT NOT NULL, linked REAL NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);
CREATE TABLE manifests (
  repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
  pushed REAL NOT NULL, subject TEXT NOT NULL, artifact_type TEXT NOT NULL, descriptor TEXT NOT NULL,
  PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX manifests_by_digest ON manifests (digest);
CREATE INDEX manifests_by_subject ON manifests (repository, subject, digest);
CREATE TABLE manifest_parts (
  repository TEXT NOT NULL, manifest TEXT NOT NULL, part TEXT NOT NULL, PRIMARY KEY (repository, manifest, part)
) WITHOUT ROWID;
CREATE INDEX manifest_parts_by_part ON manifest_parts (repository, part);
CREATE TABLE tags (
  repository TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, name)
) WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository, digest);
"""


class StoredManifest(NamedTuple):
    """A manifest in a repository; ``size`` is in bytes, ``pushed`` in seconds since the epoch."""

    digest: Digest
    media_type: str
    size: int
    pushed: float


class NewManifest(NamedTuple):
    """A manifest that is about to be entered.

    Attributes:
        digest: Of its bytes.
        media_type: What it was pushed as.
        size: In bytes.
        parts: The digests of all it is made of, in the same repository.
        subject: The digest of what it says something about, or ``""``.
        artifact_type: What kind of thing it is, or ``""``.
        descriptor: How the list of referrers shows it, as JSON; ``""`` without a subject.
        description: A sentence about it for searches, or ``""``.
    """

    digest: Digest
    media_type: str
    size: int
    parts: Sequence[Digest]
    subject: str = ""
    artifact_type: str = ""
    descriptor: str = ""
    description: str = ""


class FoundRepository(NamedTuple):
    """A repository as lists show it; ``pushed`` is when its newest manifest came, seconds since the epoch."""

    name: str
    description: str
    pulls: int
    tags: int = 0
    manifests: int = 0
    size: int = 0
    pushed: float = 0.0


class Metadata:
    """The tables of one registry.

    Args:
        db: Its database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        db.ensure("registry", 1, SCHEMA)

    # ------------------------------------------------------------------ repositories and blobs

    def exists(self, repository: str) -> bool:
        """Whether anything was ever pushed there."""
        with self.db.read() as connection:
            found = connection.execute("SELECT 1 FROM repositories WHERE name = ?", (repository,)).fetchone()
        return found is not None

    def link_blob(self, repository: str, digest: Digest, now: float) -> None:
        """Let a repository have a blob; the repository begins to exist."""
        with self.db.write() as connection:
            connection.execute("INSERT OR IGNORE INTO repositories (name, created) VALUES (?, ?)", (repository, now))
            connection.execute(
                "INSERT INTO repository_blobs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET linked = excluded.linked",
                (repository, digest, now),
            )

    def linked(self, repository: str, digest: Digest) -> float | None:
        """When a repository got a blob, or was last asked for it by a push; ``None`` when it has none."""
        with self.db.read() as connection:
            row = connection.execute(
                "SELECT linked FROM repository_blobs WHERE repository = ? AND digest = ?", (repository, digest)
            ).fetchone()
        return None if row is None else row[0]

    def holders(self, digest: Digest) -> list[str]:
        """List the repositories that have a blob."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT repository FROM repository_blobs WHERE digest = ? ORDER BY repository", (digest,)
            ).fetchall()
        return [repository for (repository,) in rows]

    def unlink_blob(self, repository: str, digest: Digest) -> bool:
        """Take a blob from a repository; False when it had none."""
        with self.db.write() as connection:
            return bool(
                connection.execute(
                    "DELETE FROM repository_blobs WHERE repository = ? AND digest = ?", (repository, digest)
                ).rowcount
            )

    # ------------------------------------------------------------------ manifests and tags

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """Find a manifest.

        Args:
            repository: The repository.
            reference: A tag, or a digest.
        """
        by_tag = ":" not in reference
        where = "digest = (SELECT digest FROM tags WHERE repository = ?1 AND name = ?2)" if by_tag else "digest = ?2"
        with self.db.read() as connection:
            row = connection.execute(
                f"SELECT digest, media_type, size, pushed FROM manifests WHERE repository = ?1 AND {where}",  # noqa: S608
                (repository, reference),
            ).fetchone()
        return None if row is None else StoredManifest(Digest(row[0]), row[1], row[2], row[3])

    def put_manifest(self, repository: str, new: NewManifest, tags: Iterable[str], now: float) -> None:
        """Enter a manifest and move tags to it.

        Args:
            repository: The repository, which begins to exist.
            new: The manifest, whose bytes are durable and held.
            tags: The names it gets.
            now: Seconds since the epoch.
        """
        with self.db.write() as connection:
            connection.execute("INSERT OR IGNORE INTO repositories (name, created) VALUES (?, ?)", (repository, now))
            if new.description:
                connection.execute(
                    "UPDATE repositories SET description = ? WHERE name = ?", (new.description, repository)
                )
            connection.execute(
                "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    repository,
                    *(new.digest, new.media_type, new.size, now),
                    *(new.subject, new.artifact_type, new.descriptor),
                ),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO manifest_parts VALUES (?, ?, ?)",
                [(repository, new.digest, part) for part in new.parts],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", [(repository, tag, new.digest) for tag in tags]
            )

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Take a manifest and its tags away; False when there is none."""
        with self.db.write() as connection:
            key = (repository, digest)
            connection.execute("DELETE FROM tags WHERE repository = ? AND digest = ?", key)
            connection.execute("DELETE FROM manifest_parts WHERE repository = ? AND manifest = ?", key)
            return bool(connection.execute("DELETE FROM manifests WHERE repository = ? AND digest = ?", key).rowcount)

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Take a tag away; False when there is none."""
        with self.db.write() as connection:
            return bool(
                connection.execute("DELETE FROM tags WHERE repository = ? AND name = ?", (repository, tag)).rowcount
            )

    def tags(self, repository: str, after: str, count: int) -> list[str]:
        """List tags in the order of their bytes.

        Args:
            repository: The repository.
            after: Only those behind it; it need not exist.
            count: How many at most.
        """
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT name FROM tags WHERE repository = ? AND name > ? ORDER BY name LIMIT ?",
                (repository, after, count),
            ).fetchall()
        return [name for (name,) in rows]

    def tagged(self, repository: str) -> list[tuple[str, StoredManifest]]:
        """List tags and what they name, in the order of their bytes."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT name, digest, media_type, size, pushed FROM tags JOIN manifests USING (repository, digest)"
                " WHERE repository = ? ORDER BY name",
                (repository,),
            ).fetchall()
        return [(name, StoredManifest(Digest(digest), *rest)) for name, digest, *rest in rows]

    def referrers(self, repository: str, subject: Digest, artifact_type: str, after: str, count: int) -> list[str]:
        """List what refers to a manifest, as JSON descriptors, in the order of their digests.

        Args:
            repository: The repository.
            subject: The manifest, which need not exist.
            artifact_type: Only these; ``""`` for all.
            after: Only those with a digest behind this one.
            count: How many at most.
        """
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT descriptor FROM manifests WHERE repository = ?1 AND subject = ?2 AND digest > ?4"
                " AND (?3 = '' OR artifact_type = ?3) ORDER BY digest LIMIT ?5",
                (repository, subject, artifact_type, after, count),
            ).fetchall()
        return [descriptor for (descriptor,) in rows]

    # ------------------------------------------------------------------ the whole registry

    def repositories(self, after: str, count: int) -> list[str]:
        """List the names of repositories that have a manifest, in the order of their bytes."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT name FROM repositories WHERE name > ? AND EXISTS"
                " (SELECT 1 FROM manifests WHERE repository = name) ORDER BY name LIMIT ?",
                (after, count),
            ).fetchall()
        return [name for (name,) in rows]

    def search(self, term: str) -> list[FoundRepository]:
        """Find repositories by a part of their name or description; the best fit, then the most pulled, first."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT name, description, pulls FROM repositories WHERE (instr(lower(name), lower(?1))"
                " OR instr(lower(description), lower(?1))) AND EXISTS"
                " (SELECT 1 FROM manifests WHERE repository = name)"
                " ORDER BY name != lower(?1) AND name NOT LIKE '%/' || lower(?1), pulls DESC, name",
                (term,),
            ).fetchall()
        return [FoundRepository(*row) for row in rows]

    def survey(self) -> list[FoundRepository]:
        """List every repository with what is in it; ``size`` counts each blob of a repository once."""
        with self.db.read() as connection:
            rows = connection.execute(
                "SELECT r.name, description, pulls, (SELECT count(*) FROM tags AS t WHERE t.repository = r.name),"
                " count(m.digest), (SELECT coalesce(sum(size), 0) FROM blobs JOIN repository_blobs AS l USING (digest)"
                " WHERE l.repository = r.name) + coalesce(sum(m.size), 0), coalesce(max(m.pushed), 0)"
                " FROM repositories AS r LEFT JOIN manifests AS m ON m.repository = r.name"
                " GROUP BY r.name ORDER BY r.name"
            ).fetchall()
        return [FoundRepository(*row) for row in rows]

    def count_pulls(self, pulls: Iterable[tuple[str, int]]) -> None:
        """Add to the pulls of repositories.

        Args:
            pulls: Repositories and how often more each was pulled.
        """
        with self.db.write() as connection:
            connection.executemany(
                "UPDATE repositories SET pulls = pulls + ? WHERE name = ?", [(count, name) for name, count in pulls]
            )
