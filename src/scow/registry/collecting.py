# SPDX-License-Identifier: Apache-2.0
"""Freeing what no manifest needs, beside servers that are being pushed to.

What a repository has but no manifest of it is made of goes when it has been so for a while, long enough for the push
that brought it to end; a push that only asks whether a blob is there makes it new again. Content that no repository
has goes with it, unless a push holds it by a lease at this moment. Rows go in one transaction, files after it.
"""

from __future__ import annotations

import time

from scow.oci.digest import Digest
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

    from scow.registry.storage import RegistryStore

DEFAULT_AGE = 24 * 3600.0
_UPLOAD_SECONDS = 24 * 3600.0


class Collected(NamedTuple):
    """What went, or would go.

    Attributes:
        manifests: Repositories and manifests without a tag.
        blobs: Content that nothing needs any more.
        size: Its bytes.
        uploads: Bytes of uploads that nobody went on with.
    """

    manifests: list[tuple[str, Digest]]
    blobs: list[Digest]
    size: int
    uploads: int


class _DryRun(Exception):  # noqa: N818 - leaves the transaction, and is no error
    def __init__(self, collected: Collected) -> None:
        super().__init__()
        self.collected = collected


def collect(
    store: RegistryStore, *, age: float = DEFAULT_AGE, untagged: bool = False, dry_run: bool = False
) -> Collected:
    """Free what nothing needs.

    Args:
        store: The registry.
        age: How many seconds something must have been without need.
        untagged: Manifests without a tag count as not needed, unless another manifest is made of them, or what they
            say something about is there.
        dry_run: Only say what would go.

    Returns:
        What went, or would go.
    """
    try:
        with store.db.write() as connection:
            cutoff = time.time() - age
            manifests = _untagged(store, connection, cutoff) if untagged else []
            connection.execute(
                "DELETE FROM repository_blobs WHERE linked <= ? AND NOT EXISTS (SELECT 1 FROM manifest_parts AS p"
                " WHERE p.repository = repository_blobs.repository AND p.part = repository_blobs.digest)",
                (cutoff,),
            )
            connection.execute(
                "DELETE FROM repositories WHERE created <= ?"
                " AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE repository = name)"
                " AND NOT EXISTS (SELECT 1 FROM manifests WHERE repository = name)",
                (cutoff,),
            )
            blobs, size = _unneeded(store, connection)
            if dry_run:
                raise _DryRun(Collected(manifests, blobs, size, 0))
    except _DryRun as stopped:
        return stopped.collected
    # files that a crash left without a row too: one that is about to get its row is put back by whoever commits it
    store.content.remove_files([*blobs, *store.content.strays()])
    return Collected(manifests, blobs, size, store.content.sweep_ingests(_UPLOAD_SECONDS))


def _untagged(store: RegistryStore, connection: sqlite3.Connection, cutoff: float) -> list[tuple[str, Digest]]:
    """Take away manifests that nothing leads to; again and again, as one may be what kept another."""
    gone: list[tuple[str, Digest]] = []
    while True:
        rows = connection.execute(
            "SELECT repository, digest FROM manifests AS m WHERE pushed <= ?"
            " AND NOT EXISTS (SELECT 1 FROM tags AS t WHERE t.repository = m.repository AND t.digest = m.digest)"
            " AND NOT EXISTS (SELECT 1 FROM manifest_parts AS p"
            " WHERE p.repository = m.repository AND p.part = m.digest)"
            " AND NOT EXISTS (SELECT 1 FROM manifests AS s"
            " WHERE s.repository = m.repository AND s.digest = m.subject) ORDER BY repository, digest",
            (cutoff,),
        ).fetchall()
        if not rows:
            return gone
        for repository, text in rows:
            digest = Digest(text)
            store.metadata.delete_manifest(repository, digest)
            gone.append((repository, digest))


def _unneeded(store: RegistryStore, connection: sqlite3.Connection) -> tuple[list[Digest], int]:
    """Drop the rows of content that neither a repository nor a push has."""
    store.leases.reap()
    rows = connection.execute(
        "SELECT digest, size FROM blobs AS b"
        " WHERE NOT EXISTS (SELECT 1 FROM repository_blobs AS r WHERE r.digest = b.digest)"
        " AND NOT EXISTS (SELECT 1 FROM manifests AS m WHERE m.digest = b.digest)"
        " AND NOT EXISTS (SELECT 1 FROM links AS l WHERE l.kind = 'blob' AND l.key = b.digest) ORDER BY digest"
    ).fetchall()
    connection.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest, _ in rows])
    return [Digest(digest) for digest, _ in rows], sum(size for _, size in rows)
