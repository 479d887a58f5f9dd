# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from fakes.stores import Store
from scow.build.events import Ledger
from scow.build.options import BuildOptions, Output
from scow.build.receipts import Receipt, Receipts, Taken, eligible, texts_digest
from scow.oci.reference import Reference
from scow.record import replace


@pytest.fixture
def place(tmp_path):
    store = Store(tmp_path / "store")
    store.db.ensure(
        "build",
        1,
        "CREATE TABLE build_records (id TEXT, used REAL, uses INTEGER);"
        "CREATE TABLE build_images (image TEXT PRIMARY KEY, used REAL, steps TEXT);",
    )
    root = tmp_path / "ctx"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM base\nCOPY a /\n")
    (root / "a").write_text("1")
    return store, root


def filed(store, root, newest=-1, dated=True, **more):
    from scow.build.context import ContextTree

    base, image = store.image("base:latest"), store.image("made:1", labels={"x": "y"})
    options = BuildOptions(context=str(root), tags=(Reference.parse("t:1"),), **more)
    receipts = Receipts(store.db, store.images)
    files = (Taken("a", ContextTree(str(root)).fingerprint(b"a")),)
    path = str(root / "Dockerfile")
    texts, when = texts_digest(path, str(root))
    bases = (("base", "", base.id),)
    steps = ("FROM", "COPY")
    receipt = Receipt(str(root), path, texts, bases, files, image.id, "r", steps, when if dated else -1, newest)
    receipts.file(options, receipt)
    with store.db.write() as connection:
        connection.execute("INSERT INTO build_images VALUES (?, 1, 'story')", (image.id,))
    return receipts, options, image


def find(receipts, options):
    events = []
    found = receipts.find(options, Ledger(events.append))
    return found, [(event.kind, event.title) for event in events]


def test_nothing_changed(place):
    receipts, options, image = filed(*place)
    found, events = find(receipts, options)
    assert found.id == image.id
    assert events == [("begin", "FROM"), ("done", "FROM"), ("begin", "COPY"), ("cached", "COPY")]
    assert place[0].images.resolve("t:1").id == image.id


@pytest.mark.parametrize(
    "change",
    [
        lambda store, root: (root / "a").write_text("2"),
        lambda store, root: (root / "a").chmod(0o600),
        lambda store, root: (root / "Dockerfile").write_text("FROM base\n"),
        lambda store, root: os.utime(root / "Dockerfile", (5, 5)),
        lambda store, root: (root / ".dockerignore").write_text("a\n"),
        lambda store, root: (root / "Dockerfile.dockerignore").write_text("b\n"),
        lambda store, root: store.image("base:latest", layers=({"g": b"other"},)),
        lambda store, root: store.images.untag(Reference.parse("base:latest")),
        lambda store, root: store.images.remove(store.images.resolve("made:1").id),
        lambda store, root: (root / "a").unlink(),
        lambda store, root: (root / "Dockerfile").unlink(),
    ],
)
def test_any_change_takes_the_long_way(place, change):
    store, root = place
    receipts, options, _ = filed(store, root)
    change(store, root)
    assert find(receipts, options) == (None, [])


@pytest.mark.parametrize(("newest", "created"), [(0, "1970-01-01T00:00:05Z"), (9, "1970-01-01T00:00:09Z")])
def test_a_touched_dockerfile_only_gives_the_image_another_time(place, newest, created):
    store, root = place
    receipts, options, image = filed(store, root, newest=newest)
    os.utime(root / "Dockerfile", (5, 5))
    found, events = find(receipts, options)
    assert events[-1] == ("cached", "COPY")
    assert found.id != image.id
    assert store.images.resolve("t:1").id == found.id
    was, made = (store.images.config(one).value for one in (image.id, found.id))
    assert made == replace(was, created=created)
    assert store.images.manifest(found.id).value.layers == store.images.manifest(image.id).value.layers
    with store.db.read() as connection:
        rows = connection.execute("SELECT steps FROM build_images WHERE image = ?", (found.id,)).fetchall()
    assert rows == [("story",)]
    assert find(receipts, options)[0].id == found.id


def test_a_time_that_is_not_in_the_image_does_not_matter(place):
    store, root = place
    receipts, options, image = filed(store, root, dated=False)
    os.utime(root / "Dockerfile", (5, 5))
    assert find(receipts, options)[0].id == image.id


@pytest.mark.parametrize(
    "other", [{"build_args": {"A": "1"}}, {"target": "x"}, {"labels": {"l": "1"}}, {"network": "none"}, {"epoch": 1}]
)
def test_another_request_has_another_receipt(place, other):
    receipts, options, _ = filed(*place)
    assert find(receipts, options._replace(**other)) == (None, [])
    assert find(receipts, options._replace(environ={"X": "1"}))[0] is not None


def test_what_has_no_receipts(place):
    options = BuildOptions(context=str(place[1]))
    assert eligible(options)
    for other in (
        {"no_cache": True},
        {"pull": True},
        {"outputs": (Output("tar"),)},
        {"squash": "new"},
        {"contexts": {"a": "b"}},
        {"locked": True},
        {"explain": True},
        {"dockerfile": "-"},
        {"context": "-"},
        {"context": "https://example.com/x.git"},
        {"context": "/nowhere"},
    ):
        assert not eligible(options._replace(**other)), other
