# SPDX-License-Identifier: Apache-2.0
"""What every content store must do; run by test_content_store.py against each implementation."""

from __future__ import annotations

import threading

import pytest

from scow.base.streams import BlobMismatchError
from scow.content.store import BlobNotFoundError
from scow.errors import LimitError
from scow.oci.digest import Digest, sha256_digest

ABSENT = Digest("sha256:" + "0" * 64)


class ContentStoreSuite:
    """Subclasses give the fixtures ``store`` and ``lease``."""

    def test_put_is_found_by_its_digest(self, store, lease):
        digest = store.put(b"hello", lease)
        assert digest == sha256_digest(b"hello")
        assert digest in store
        assert store.read(digest) == b"hello"
        assert store.stat(digest)[:2] == (digest, 5)
        with store.open(digest) as file:
            assert file.read() == b"hello"

    def test_put_twice_is_one_blob(self, store, lease):
        assert store.put(b"x", lease) == store.put(b"x", lease)
        assert [info.digest for info in store] == [sha256_digest(b"x")]

    def test_empty_blob(self, store, lease):
        digest = store.put(b"", lease)
        assert store.read(digest) == b""
        assert store.stat(digest).size == 0

    def test_absent_blob(self, store, lease):
        assert ABSENT not in store
        assert not store.hold(ABSENT, lease)
        for call in (store.open, store.read, store.stat):
            with pytest.raises(BlobNotFoundError):
                call(ABSENT)
        store.delete(ABSENT)

    def test_read_is_bounded(self, store, lease):
        digest = store.put(b"12345", lease)
        with pytest.raises(LimitError):
            store.read(digest, 4)
        assert store.read(digest, 5) == b"12345"

    def test_ingest_is_invisible_until_committed(self, store, lease):
        with store.ingest("k") as ingest:
            ingest.write(b"abc")
            assert sha256_digest(b"abc") not in store
            assert list(store) == []
            info = ingest.commit(lease=lease)
        assert info.digest == sha256_digest(b"abc")
        assert info.digest in store

    def test_ingest_resumes_at_offset(self, store, lease):
        with store.ingest("k") as ingest:
            ingest.write(b"abc")
        with store.ingest("k") as ingest:
            assert ingest.offset == 3
            ingest.write(b"def")
            assert ingest.commit(sha256_digest(b"abcdef"), 6, lease=lease).size == 6
        with store.ingest("k") as ingest:
            assert ingest.offset == 0

    def test_nameless_ingest_leaves_nothing(self, store, lease):
        with store.ingest() as ingest:
            ingest.write(b"abc")
        with store.ingest() as ingest:
            assert ingest.offset == 0
        assert list(store) == []

    def test_discard_forgets_and_is_harmless_after_commit(self, store, lease):
        with store.ingest("k") as ingest:
            ingest.write(b"abc")
            ingest.discard()
        with store.ingest("k") as ingest:
            assert ingest.offset == 0
            ingest.write(b"x")
            digest = ingest.commit(lease=lease).digest
            ingest.discard()
        assert store.read(digest) == b"x"

    @pytest.mark.parametrize(("digest", "size"), [(ABSENT, None), (None, 4), (ABSENT, 3), (sha256_digest(b"abc"), 2)])
    def test_wrong_promise_is_refused_and_dropped(self, store, lease, digest, size):
        with store.ingest("k") as ingest:
            ingest.write(b"abc")
            with pytest.raises(BlobMismatchError):
                ingest.commit(digest, size, lease=lease)
        assert list(store) == []
        with store.ingest("k") as ingest:
            assert ingest.offset == 0

    def test_commit_of_a_known_blob_keeps_one(self, store, lease):
        first = store.put(b"abc", lease)
        with store.ingest() as ingest:
            ingest.write(memoryview(b"abc"))
            assert ingest.commit(first, 3, lease=lease).digest == first
        assert len(list(store)) == 1

    def test_iteration_is_sorted_and_whole(self, store, lease):
        digests = {store.put(bytes([number]), lease) for number in range(20)}
        assert [info.digest for info in store] == sorted(digests)

    def test_delete(self, store, lease):
        digest = store.put(b"x", lease)
        store.delete(digest)
        assert digest not in store
        with pytest.raises(BlobNotFoundError):
            store.open(digest)
        assert store.put(b"x", lease) == digest
        assert store.read(digest) == b"x"

    def test_one_key_has_one_writer_at_a_time(self, store, lease):
        order = []
        ready = threading.Event()

        def second():
            ready.set()
            with store.ingest("k") as ingest:
                order.append(("second", ingest.offset))

        with store.ingest("k") as ingest:
            thread = threading.Thread(target=second)
            thread.start()
            ready.wait()
            ingest.write(b"abc")
            order.append(("first", 3))
            ingest.commit(lease=lease)
        thread.join()
        assert order == [("first", 3), ("second", 0)]

    def test_many_threads_put_the_same(self, store, lease):
        threads = [threading.Thread(target=store.put, args=(b"same" * 1000, lease)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [info.size for info in store] == [4000]
