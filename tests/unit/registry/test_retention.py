# SPDX-License-Identifier: Apache-2.0
"""Which tags go, and that nothing else does."""

from __future__ import annotations

import time

import pytest

from scow.oci.digest import sha256_digest
from scow.registry.metadata import NewManifest, StoredManifest
from scow.registry.retention import Rule, expired, prune_tags

NOW = 1000.0
PUSHED = {"latest": 1000, "1.2": 900, "1.1": 800, "1.0": 700, "nightly-1": 600, "nightly-2": 650}
TAGS = [(tag, StoredManifest(sha256_digest(b"x"), "t", 1, at)) for tag, at in PUSHED.items()]


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(keep=3), ["1.0", "nightly-1", "nightly-2"]),
        (Rule(keep=10), []),
        (Rule(age=150), ["1.0", "1.1", "nightly-1", "nightly-2"]),
        (Rule(age=200), ["1.0", "1.1", "nightly-1", "nightly-2"]),
        (Rule(age=201), ["1.0", "nightly-1", "nightly-2"]),
        (Rule(keep=1, match=["nightly-*"]), ["nightly-1"]),
        (Rule(keep=0, age=1, match=["1.*", "nightly-*"], spare=["*.0", "nightly-2"]), ["1.1", "1.2", "nightly-1"]),
        (Rule(keep=5, age=500), []),
    ],
)
def test_what_goes(rule, gone):
    assert expired(TAGS, rule, NOW) == gone


def test_tags_go_and_manifests_stay(store):
    new = NewManifest(sha256_digest(b"x"), "t", 1, [])
    for name in ("team/app", "team/web", "other"):
        for age, tag in ((100, "old"), (0, "new")):
            entry = new._replace(digest=sha256_digest(tag.encode()))
            store.metadata.put_manifest(name, entry, [tag], time.time() - age)
    planned = prune_tags(store, Rule(keep=1), ["team/*"], dry_run=True)
    assert planned == [("team/app", "old"), ("team/web", "old")]
    assert store.metadata.tags("team/app", "", 9) == ["new", "old"]
    assert prune_tags(store, Rule(keep=1), ["team/*"]) == planned
    assert store.metadata.tags("team/app", "", 9) == ["new"]
    assert store.metadata.tags("other", "", 9) == ["new", "old"]
    assert store.metadata.manifest("team/app", sha256_digest(b"old")) is not None
    assert prune_tags(store, Rule(age=50)) == [("other", "old")]
