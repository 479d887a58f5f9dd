# SPDX-License-Identifier: Apache-2.0
"""Which tags of a registry are old enough to go, and taking them away.

Only names go here; the manifests and content they leave behind go with ``registry.collecting``.
"""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scow.registry.metadata import StoredManifest
    from scow.registry.storage import RegistryStore


class Rule(NamedTuple):
    """What stays.

    Attributes:
        keep: So many of the newest tags that the rule is about, in each repository.
        age: What was pushed within so many seconds.
        match: Patterns of the tags that the rule is about; none for all.
        spare: Patterns of tags that it is not about.
    """

    keep: int = 0
    age: float = 0.0
    match: Sequence[str] = ()
    spare: Sequence[str] = ()


def expired(tags: Iterable[tuple[str, StoredManifest]], rule: Rule, now: float) -> list[str]:
    """Choose the tags of one repository that go.

    Args:
        tags: Its tags and what they name.
        rule: What stays.
        now: Seconds since the epoch.

    Returns:
        The tags, in the order of their bytes.
    """
    meant = [
        (manifest.pushed, tag)
        for tag, manifest in tags
        if (not rule.match or _fits(tag, rule.match)) and not _fits(tag, rule.spare)
    ]
    newest_first = sorted(meant, reverse=True)
    return sorted(tag for pushed, tag in newest_first[rule.keep :] if pushed <= now - rule.age)


def _fits(tag: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in patterns)


def prune_tags(
    store: RegistryStore, rule: Rule, repositories: Iterable[str] = (), *, dry_run: bool = False
) -> list[tuple[str, str]]:
    """Take away the tags that a rule does not keep.

    Args:
        store: The registry.
        rule: What stays.
        repositories: Patterns of repositories; none for all.
        dry_run: Only say what would go.

    Returns:
        Repositories and tags.
    """
    wanted = tuple(repositories)
    gone: list[tuple[str, str]] = []
    for found in store.metadata.survey():
        if wanted and not _fits(found.name, wanted):
            continue
        with store.db.write():  # a tag that is pushed again meanwhile is new, and stays
            for tag in expired(store.metadata.tagged(found.name), rule, time.time()):
                if not dry_run:
                    store.metadata.delete_tag(found.name, tag)
                gone.append((found.name, tag))
    return gone
