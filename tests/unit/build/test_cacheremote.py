# SPDX-License-Identifier: Apache-2.0
"""Caches outside the store: what is in them is hostile, and several builds write into one."""

from __future__ import annotations

import gzip
import io
import threading

import pytest

from fakes.stores import Store
from scow.base.streams import BlobMismatchError
from scow.build import cacheremote
from scow.build.cacheremote import Entry, RemoteCache, export, open_place
from scow.build.graph import LayerRef, Solved
from scow.oci.digest import DiffID, Digest, sha256_digest
from scow.oci.mediatype import OCI_LAYER_GZIP
from scow.oci.model import Descriptor


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def entry(store, lease, text):
    diff = DiffID(store.content.put(text, lease))
    return Entry((f"key of {text!r}",), Solved(None, (LayerRef(diff, len(text), 0, 0),), 0), "run", "RUN x")


def place(path):
    return open_place({"type": "local", "dest": str(path)}, lambda *_: None, write=True)


def test_a_layer_that_expands_to_more_than_it_says_does_not_fill_the_disk(store):
    packed = gzip.compress(bytes(64 << 20))
    claimed = DiffID(sha256_digest(b"x" * 100))
    desc = Descriptor(OCI_LAYER_GZIP, sha256_digest(packed), len(packed))
    written = []

    class Source:
        def fetch(self, _desc):
            return io.BytesIO(packed)

    class Counting:
        def __init__(self, ingest):
            self.ingest = ingest

        def __enter__(self):
            self.ingest.__enter__()
            return self

        def __exit__(self, *error):
            self.ingest.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self.ingest, name)

        def write(self, data):
            written.append(len(data))
            return self.ingest.write(data)

    ingest = store.content.ingest
    store.content.ingest = lambda key: Counting(ingest(key))
    solved = Solved(None, (LayerRef(claimed, 100, 0, 0),), 0)
    cache = RemoteCache(Source(), {}, {str(claimed): desc})
    with store.leases.hold("t") as lease, pytest.raises(BlobMismatchError):
        cache.bring(Entry(("k",), solved, "run", "RUN x"), store.content, lease)
    assert sum(written) <= 1 << 20


def test_two_builds_that_write_into_one_directory_leave_a_whole_cache(store, tmp_path, monkeypatch):
    """The second one has put its layers there, and names them only when the first one has swept what has no name."""
    pushed, swept = threading.Event(), threading.Event()
    sweep = cacheremote._sweep
    with store.leases.hold("t") as lease:
        first, second = entry(store, lease, b"first"), entry(store, lease, b"second")

        def other():
            here = place(tmp_path / "cache")
            tag = here.target.tag

            def late(desc, name):
                pushed.set()
                swept.wait(90)
                tag(desc, name)

            here.target.tag = late
            export(here, [second], store.content)

        thread = threading.Thread(target=other)

        def beside(where, wanted):
            if threading.current_thread() is not thread:
                thread.start()
                pushed.wait(0.5)  # it waits for us, or has pushed
            sweep(where, wanted)
            swept.set()

        monkeypatch.setattr(cacheremote, "_sweep", beside)
        export(place(tmp_path / "cache"), [first], store.content)
        thread.join()
        store.content.delete(second.solved.layers[0].diff_id)
        cache = RemoteCache.read(place(tmp_path / "cache"))
        cache.bring(cache.find(second.keys[0]), store.content, lease)
    assert store.content.read(Digest(second.solved.layers[0].diff_id)) == b"second"
