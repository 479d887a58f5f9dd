# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os

import pytest

from fakes.stores import Store
from scow.build.context import ContextTree, StatCache
from scow.build.copying import CopyRules, CopySource, copy
from scow.build.dest import DestTree
from scow.build.donors import LARGEST, Donors, request_of
from scow.build.sources import DirTree
from scow.oci.digest import DiffID, sha256_digest

FILES = 80


@pytest.fixture
def stores(tmp_path):
    (tmp_path / "store").mkdir()
    made = Store(tmp_path / "store")
    with made.leases.hold("test") as made.lease:
        yield made


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "ctx"
    (top / "d").mkdir(parents=True)
    for number in range(FILES):
        (top / ("d" if number % 2 else ".") / f"f{number}").write_bytes(f"{number}\n".encode() * (number * 20 + 1))
    (top / "empty").touch()
    (top / "large").write_bytes(b"x" * LARGEST)
    (top / "link").symlink_to("f2")
    for folder, _, names in os.walk(top):
        for name in names:
            os.utime(os.path.join(folder, name), (100, 100), follow_symlinks=False)
    return str(top)


class Opening(ContextTree):
    """Counts what is opened."""

    count = 0

    def open(self, path):
        Opening.count += 1
        return super().open(path)


def layer(stores, root, donate=True):
    """Copy a context as the builder does; the tar, files opened for it, and files that came from the layer before."""
    tree = Opening(root, (), StatCache(stores.db, root))
    tree._started_ns += 10**9  # the files are old enough to be remembered
    tree.fingerprint(b"")
    tree.save()
    dest = DestTree(None)
    copy(dest, tree, b"/", "/ctx/", CopyRules(), CopySource("."))
    dest.settle(100)
    out = io.BytesIO()
    Opening.count = 0
    if not donate:
        dest.write(out)
        return out.getvalue(), Opening.count, 0
    with Donors(stores.db, stores.content, stores.lease, request_of([tree], ["."], "/ctx/")) as donors:
        dest.write(out, donors=donors)
        donors.save(DiffID(stores.content.put(out.getvalue(), stores.lease)))
        return out.getvalue(), Opening.count, donors.taken


def test_unchanged_files_come_from_the_layer_before(stores, root):
    first, opened, taken = layer(stores, root)
    assert (opened, taken) == (FILES + 2, 0)
    with open(f"{root}/f4", "w", encoding="utf-8") as file:
        file.write("other")
    second, opened, taken = layer(stores, root)
    assert (opened, taken) == (3, FILES - 1)  # the changed one, the empty one and the large one
    assert second == layer(stores, root, donate=False)[0] != first


def test_a_third_layer_is_fed_by_the_second(stores, root):
    layer(stores, root)
    layer(stores, root)
    assert layer(stores, root)[2] == FILES


def test_what_is_damaged_or_gone_is_read_from_the_context(stores, root):
    first, _, _ = layer(stores, root)
    path = stores.content.path(sha256_digest(first))
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(first.index(b"7\n7\n7\n"))
        file.write(b"!")
    second, _, taken = layer(stores, root)
    assert second == first
    assert taken == FILES - 1
    stores.content.delete(sha256_digest(first))
    assert layer(stores, root)[::2] == (first, 0)


def test_another_instruction_has_another_layer(root):
    tree = ContextTree(root)
    names = {request_of([tree], sources, target) for sources in (["."], ["d"]) for target in ("/ctx/", "/other/")}
    assert len(names) == 4


def test_trees_that_nobody_remembers_give_nothing(stores, root):
    layer(stores, root)
    with Donors(stores.db, stores.content, stores.lease, request_of([ContextTree(root)], ["."], "/ctx/")) as donors:
        assert donors.take(DirTree(root), b"f4", os.path.getsize(f"{root}/f4")) is None
        assert donors.take(ContextTree(root), b"f4", os.path.getsize(f"{root}/f4")) is None
