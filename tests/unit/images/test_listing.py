# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.images.listing import InvalidFilterError, list_images, prune_filter, rows
from scow.images.store import ImageNotFoundError
from scow.oci.digest import sha256_digest
from scow.oci.reference import Reference


def shown(store, *filters, every=False):
    return [
        f"{row.repository}:{row.tag}"
        for row in rows(list_images(store.images, [text.split("=", 1) for text in filters], every=every))
    ]


@pytest.fixture
def full(store):
    old = store.image("foo:1", "foo:2", "localhost:5000/a/b:1", labels={"tier": "one"}, created="2020-01-01T00:00:00Z")
    store.image("bar", layers=({"b": b""},), labels={"tier": "two", "extra": ""}, created="2021-01-01T00:00:00Z")
    store.image(layers=({"d": b""},), created="2022-01-01T00:00:00Z")
    digest = sha256_digest(b"m")
    store.images.add_digest(Reference.parse(f"foo@{digest}"), old.id)
    store.images.add_digest(Reference.parse(f"other/repo@{digest}"), old.id)
    return store


def test_newest_first_one_row_for_each_name(full):
    assert shown(full) == [
        "<none>:<none>", "bar:latest", "foo:1", "foo:2", "localhost:5000/a/b:1", "other/repo:<none>",
    ]  # fmt: skip


def test_digest_rows(full):
    digest = sha256_digest(b"m")
    found = [(row.repository, row.tag, row.digest) for row in rows(list_images(full.images), digests=True)]
    assert ("foo", "1", digest) in found
    assert ("other/repo", "<none>", digest) in found
    assert ("bar", "latest", "<none>") in found
    assert ("<none>", "<none>", "<none>") in found


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["dangling=true"], ["<none>:<none>"]),
        (["dangling=false", "reference=bar"], ["bar:latest"]),
        (["reference=foo"], ["foo:1", "foo:2"]),
        (["reference=foo:2"], ["foo:2"]),
        (["reference=*:1"], ["foo:1"]),
        (["reference=localhost:5000/a/*"], ["localhost:5000/a/b:1"]),
        (["reference=*/*/*:1"], ["localhost:5000/a/b:1"]),
        (["reference=[a-f]oo:?"], ["foo:1", "foo:2"]),
        (["reference=docker.io/library/foo"], []),
        (["reference=foo:1", "reference=bar"], ["bar:latest", "foo:1"]),
        (["label=tier", "reference=*"], ["bar:latest", "foo:1", "foo:2"]),
        (["label=tier=two"], ["bar:latest"]),
        (["label=tier", "label=extra"], ["bar:latest"]),
        (["label!=tier"], ["<none>:<none>"]),
        (["before=bar", "reference=foo*"], ["foo:1", "foo:2"]),
        (["since=bar"], ["<none>:<none>"]),
        (["until=2020-06-01", "reference=*"], ["foo:1", "foo:2"]),
    ],
)
def test_filters(full, filters, expected):
    # the repo digest without a tag is listed whenever its image is
    assert [row for row in shown(full, *filters) if row != "other/repo:<none>"] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope=1", "invalid filter 'nope'"),
        ("dangling=perhaps", r"invalid filter 'dangling=\[perhaps\]'"),
        ("dangling=t", r"invalid filter 'dangling=\[t\]'"),
        ("reference=[a", "syntax error in pattern"),
        ("reference=a\\", "syntax error in pattern"),
        ("until=soon", 'failed to parse value as time or duration: "soon"'),
    ],
)
def test_bad_filters(full, text, words):
    with pytest.raises(Exception, match=words):
        shown(full, text)


def test_yes_and_no_at_once_is_no_filter(full):
    with pytest.raises(InvalidFilterError, match=r"invalid filter 'dangling=\[true false\]'"):
        shown(full, "dangling=true", "dangling=false")


def test_images_of_the_same_time_stand_in_the_order_they_came(store):
    for number in range(3):
        store.image(f"a:{number}", layers=({f"{number}": b""},), created="2020-01-01T00:00:00Z")
    assert shown(store, "before=a:1") == ["a:0"]
    assert shown(store, "since=a:1") == ["a:2"]


def test_before_needs_an_image(full):
    with pytest.raises(ImageNotFoundError):
        shown(full, "before=none")


def test_nameless_parents_are_shown_on_request(store):
    base = store.image()
    store.image("child", base=base)
    assert shown(store) == ["child:latest"]
    assert sorted(shown(store, every=True)) == ["<none>:<none>", "child:latest"]


def test_prune_filter(full):
    dangling, wanted = prune_filter(full.images, [("dangling", "false"), ("label", "tier=one")])
    assert dangling is False
    assert [full.images.names(record.id)[0].familiar for record in full.images if wanted(record)] == ["foo:1"]
    with pytest.raises(InvalidFilterError):
        prune_filter(full.images, [("reference", "x")])
