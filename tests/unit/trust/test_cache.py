# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import threading

import pytest

from scow.errors import UnavailableError
from scow.trust.cache import TrustCache, make_private, trust_dir

GUN = "localhost:5000/team/app"
FILES = {"timestamp": b"4", "targets/releases": b"2", "root": b"0", "targets": b"1", "snapshot": b"3"}


@pytest.fixture
def cache(tmp_path):
    return TrustCache(trust_dir(str(tmp_path)), GUN)


def test_files_are_where_docker_has_them(cache, tmp_path):
    assert cache.read_all() == {}
    cache.write(FILES)
    folder = tmp_path / "trust" / "tuf" / "localhost:5000" / "team" / "app" / "metadata"
    assert (folder / "root.json").read_bytes() == b"0"
    assert (folder / "targets" / "releases.json").read_bytes() == b"2"
    assert cache.read_all() == FILES
    assert cache.read("targets/alice") is None


def test_the_timestamp_is_written_last_and_the_root_first(cache, monkeypatch):
    order = []
    monkeypatch.setattr("scow.trust.cache.atomic_write", lambda path, data, mode: order.append(data))
    cache.write(FILES)
    assert order == [b"0", b"1", b"2", b"3", b"4"]


def test_a_file_that_is_there_is_only_marked(cache, tmp_path):
    cache.write(FILES)
    path = tmp_path / "trust" / "tuf" / GUN / "metadata" / "timestamp.json"
    inode = path.stat().st_ino
    os.utime(path, (1000, 1000))
    assert cache.age() > 1e6
    cache.write(FILES)
    assert cache.age() < 1e6
    assert path.stat().st_ino == inode


def test_nothing_kept_is_infinitely_old(cache):
    assert cache.age() == float("inf")


def test_what_else_lies_there_is_left_out(cache, tmp_path):
    cache.write(FILES)
    folder = tmp_path / "trust" / "tuf" / GUN / "metadata" / "targets"
    for name in ("notes.txt", "UPPER.json", "releases.json.1.tmp"):
        (folder / name).write_bytes(b"x")
    assert cache.read_all() == FILES


@pytest.mark.parametrize("role", ["../../config", "targets/../../x", "private", ""])
def test_no_file_outside_can_be_named(cache, role):
    with pytest.raises(ValueError):
        cache.read(role)


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "trust").write_bytes(b"a file")
    cache = TrustCache(trust_dir(str(tmp_path)), GUN)
    assert cache.read("root") is None
    with pytest.raises(UnavailableError):
        cache.write(FILES)
    with pytest.raises(UnavailableError), cache.lock():
        pass


def test_one_at_a_time(cache):
    order = []

    def other():
        with cache.lock():
            order.append("other")

    with cache.lock():
        thread = threading.Thread(target=other)
        thread.start()
        order.append("first")
    thread.join(60)
    assert order == ["first", "other"]


def test_directories_for_the_user_alone(tmp_path):
    make_private(str(tmp_path / "a" / "b"))
    make_private(str(tmp_path / "a" / "b"))
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")} == {0o700}
