# SPDX-License-Identifier: Apache-2.0
"""What only the store on disk has: files, rows, and collectors at the wrong moment."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading

import pytest

from scow.base.database import Database
from scow.base.files import NoSpaceError
from scow.base.leases import Leases
from scow.base.streams import BlobMismatchError
from scow.content.local import LocalContentStore
from scow.errors import ConflictError, NotFoundError
from scow.oci.digest import Digest, sha256_digest


@pytest.fixture
def store(tmp_path):
    leases = Leases(Database(str(tmp_path / "scow.db")))
    return LocalContentStore(str(tmp_path), leases.db, leases)


def files(store):
    found = []
    for parent, _, names in os.walk(store.root):
        found += [os.path.relpath(os.path.join(parent, name), store.root) for name in names if "scow.db" not in name]
    return sorted(found)


def test_blobs_are_read_only_files_named_by_their_digest(store):
    digest = store.put(b"x", None)
    assert files(store) == [f"blobs/sha256/{digest.encoded}"]
    assert stat.S_IMODE(os.stat(store.path(digest)).st_mode) == 0o444


def test_commit_links_the_lease_in_the_transaction_of_the_row(store):
    with store.leases.hold("t") as lease:
        digest = store.put(b"x", lease)
        assert store.leases.owners("blob", digest) == [lease.owner]
        other = store.leases.hold("u")
        assert store.hold(digest, other)
        assert len(store.leases.owners("blob", digest)) == 2
    other.release()


def test_a_file_without_a_row_is_not_believed(store):
    digest = sha256_digest(b"right")
    os.makedirs(os.path.dirname(store.path(digest)))
    with open(store.path(digest), "wb") as file:
        file.write(b"wrong")  # what a power failure may leave
    assert digest not in store
    assert store.strays() == [digest]
    store.put(b"right", None)
    assert store.read(digest) == b"right"
    assert store.strays() == []


def test_damage_is_noticed_when_read(store):
    digest = store.put(b"right", None)
    os.chmod(store.path(digest), 0o600)
    with open(store.path(digest), "wb") as file:
        file.write(b"wrong")
    with pytest.raises(BlobMismatchError, match="is damaged"):
        store.read(digest)


def test_a_blob_swept_between_file_and_row_is_put_back(store, monkeypatch):
    real = store.db.write
    swept = []

    def write():
        if not swept and os.path.exists(store.path(sha256_digest(b"x"))):
            swept.append(True)
            os.unlink(store.path(sha256_digest(b"x")))
        return real()

    monkeypatch.setattr(store.db, "write", write)
    digest = store.put(b"x", None)
    assert swept
    assert store.read(digest) == b"x"


def test_removing_files_spares_those_that_came_back(store):
    digest = store.put(b"x", None)
    with store.db.write() as connection:
        connection.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
    store.put(b"x", None)
    store.remove_files([digest])
    assert store.read(digest) == b"x"


def test_writers_and_a_collector_at_once_lose_nothing(store):
    stop = threading.Event()
    failures = []

    def collect():
        while not stop.is_set():
            with store.db.write() as connection:
                alive = {key for _, kind, key in store.leases.graph() if kind == "blob"}
                dead = [info.digest for info in store if info.digest not in alive]
                connection.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in dead])
            store.remove_files(dead)
            store.remove_files(store.strays())

    def write():
        for number in range(40):
            with store.leases.hold("t") as lease:
                digest = store.put(b"%d" % (number % 5), lease)
                try:
                    assert store.read(digest) == b"%d" % (number % 5)
                except Exception as error:
                    failures.append(error)

    collector = threading.Thread(target=collect)
    collector.start()
    writers = [threading.Thread(target=write) for _ in range(3)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    collector.join()
    assert failures == []


def test_a_full_disk_is_one_clear_sentence(store, monkeypatch):
    ingest = store.ingest("k")

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(NoSpaceError, match="no space left"):
            ingest.write(b"x")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(NoSpaceError), ingest:
            ingest.commit(lease=None)
    assert list(store) == []
    with store.ingest("k") as again:
        assert again.offset == 0


def test_short_writes_are_continued(store, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    with store.ingest() as ingest:
        assert ingest.write(b"0123456789") == 10
        assert ingest.commit(lease=None).digest == sha256_digest(b"0123456789")


def test_rewind_forgets_the_bytes(store):
    with store.ingest("k") as ingest:
        ingest.write(b"wrong")
        ingest.rewind()
        ingest.write(b"right")
        assert ingest.digest == sha256_digest(b"right")
        assert ingest.commit(lease=None).size == 5


@pytest.mark.parametrize(
    ("expected", "size", "told"),
    [(b"other", 5, f"of {sha256_digest(b'other')} has the digest"), (b"bytes", 6, "has 5 bytes instead of 6")],
)
def test_other_bytes_than_expected_are_dropped(store, expected, size, told):
    with store.ingest("k") as ingest:
        ingest.write(b"bytes")
        with pytest.raises(BlobMismatchError, match=told):
            ingest.commit(sha256_digest(expected), size, lease=None)
    assert files(store) == []
    assert not store.ingest("k").offset


def test_other_algorithms(store):
    import hashlib

    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    with store.ingest("k", "sha512") as ingest:
        ingest.write(b"x")
        ingest.commit(digest, 1, lease=None)
    assert store.read(digest) == b"x"
    assert files(store) == [f"blobs/sha512/{digest.encoded}"]


@pytest.mark.parametrize("key", ["sha256:" + "a" * 64, "../../evil", "a/b", "x" * 500])
def test_keys_stay_below_the_store(store, key):
    with store.ingest(key) as ingest:
        ingest.write(b"x")
        assert os.path.dirname(ingest.path) == os.path.join(store.root, "ingest")
    with store.ingest(key) as ingest:
        assert ingest.offset == 1
        ingest.discard()
    assert files(store) == []


def test_sweep_takes_idle_ingests_only(store):
    with store.ingest("idle") as ingest:
        ingest.write(b"abc")
    with store.ingest("busy") as busy:
        busy.write(b"defg")
        assert store.sweep_ingests(3600) == 0
        assert store.sweep_ingests(0) == 3
    assert files(store) == ["ingest/busy"]


def test_strange_names_below_blobs_are_ignored(store):
    os.makedirs(os.path.join(store.root, "blobs", "md5"))
    for name in ("blobs/md5/x", "blobs/x"):
        with open(os.path.join(store.root, name), "wb"):
            pass
    os.unlink(os.path.join(store.root, "blobs/x"))
    assert store.strays() == []


@pytest.mark.parametrize("count", [3, 40])
def test_many_blobs_at_once(store, count):
    documents = [b"%d" % (number % 30) for number in range(count)]
    store.put(documents[0], None)
    with store.leases.hold("t") as lease:
        digests = store.put_many(documents, lease)
        assert digests == [sha256_digest(data) for data in documents]
        assert {key for _, _, key in store.leases.graph()} == set(digests)
    assert [store.read(digest) for digest in digests] == documents
    assert all(stat.S_IMODE(os.stat(store.path(digest)).st_mode) == 0o444 for digest in digests)
    assert files(store) == sorted({f"blobs/sha256/{digest.encoded}" for digest in digests})


def test_many_blobs_swept_in_between_are_put_back(store, monkeypatch):
    real = store._enter_all

    def enter(top, blobs, lease):
        for digest, _ in blobs:
            os.unlink(store.path(digest))
        real(top, blobs, lease)

    monkeypatch.setattr(store, "_enter_all", enter)
    documents = [b"%d" % number for number in range(20)]
    with store.leases.hold("t") as lease:
        assert [store.read(digest) for digest in store.put_many(documents, lease)] == documents


def test_many_blobs_on_a_full_disk(store, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "_replace", full)
    with store.leases.hold("t") as lease, pytest.raises(NoSpaceError):
        store.put_many([b"%d" % number for number in range(20)], lease)
    assert list(store) == []
    assert files(store) == []


def test_first_ingests_of_a_new_store_at_once(store, monkeypatch):
    """One of two threads finds the directory missing, and there when it looks again."""
    real = os.open
    first = []

    def open_(path, *args, **kwargs):
        if "ingest" in str(path) and not first:
            first.append(path)
            os.makedirs(os.path.join(store.root, "ingest"))
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", open_)
    with store.ingest() as ingest:
        assert ingest.write(b"x") == 1


def test_a_write_goes_on_from_what_is_known_of_it(store, monkeypatch):
    with store.ingest("k") as ingest:
        ingest.write(b"abc")
        state = ingest.state
    with monkeypatch.context() as patched:
        patched.setattr("scow.content.ingest.LocalIngest._catch_up", None)  # nothing is read again
        with store.resume("k", known=state) as ingest:
            assert ingest.offset == 3
            ingest.write(b"def")
    with store.resume("k", known=state) as ingest:  # no longer how far it is
        assert ingest.offset == 6
    with store.resume("k", "sha512", known=state) as ingest:
        assert ingest.digest == "sha512:" + hashlib.sha512(b"abcdef").hexdigest()
    with store.resume("k", known=state) as ingest:
        assert ingest.commit(sha256_digest(b"abcdef"), lease=None).size == 6


def test_a_write_can_be_cut_back(store):
    with store.ingest("k") as ingest:
        ingest.write(b"abc")
        state = ingest.state
        ingest.write(b"wrong")
        ingest.cut(state)
        ingest.write(b"d")
        assert ingest.commit(sha256_digest(b"abcd"), lease=None).size == 4


def test_resuming_neither_begins_nor_waits(store):
    with pytest.raises(NotFoundError):
        store.resume("k")
    with store.ingest("k"), pytest.raises(ConflictError):
        store.resume("k")
    store.resume("k").discard()
    with pytest.raises(NotFoundError):
        store.resume("k")


def test_sweep_spares_the_write_that_took_an_old_ones_name(store, monkeypatch):
    """The old one became a blob between the look at it and the lock."""
    with store.ingest("k") as ingest:
        ingest.write(b"old")
    flock, left = fcntl.flock, []

    def late(fd, how):
        if not left:
            left.append(fd)
            with store.ingest("k") as first, store.leases.hold("t") as lease:
                first.commit(lease=lease)
            with store.ingest("k") as second:
                second.write(b"newer")
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert store.sweep_ingests(0) == 0
    with store.ingest("k") as ingest:
        assert ingest.offset == 5
