# SPDX-License-Identifier: Apache-2.0
"""The places of caches; what else ``RUN --mount`` does is seen in tests/interop."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from scow.base.locks import FileLock
from scow.build.ops.mounting import Mounting
from scow.build.ops.values import RunMount
from scow.dockerfile.mounts import Mount
from scow.record import replace

AT_ONCE = 6


@pytest.fixture
def shop(tmp_path):
    return SimpleNamespace(root=str(tmp_path / "store"), scratch=str(tmp_path / "scratch"))


def cache(name):
    mount = Mount(type="cache", id=name, target="/c", readonly=False, uid=os.getuid(), gid=os.getgid())
    return RunMount(mount=mount, target="/c")


def place_of(shop, name):
    """Where a step finds a cache, and which directory that is, as it would be mounted."""
    with ExitStack() as stack:
        mounting = Mounting(shop, stack, [])
        mounting.add(cache(name), 0)
        source = mounting.mounts[0].source
        return source, os.stat(source).st_ino


@pytest.mark.parametrize("round_", range(20))
def test_steps_that_begin_at_once_share_one_new_cache(shop, round_):
    start, found = threading.Barrier(AT_ONCE), []

    def step():
        start.wait()
        found.append(place_of(shop, f"cache{round_}"))

    threads = [threading.Thread(target=step) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == AT_ONCE
    assert len(set(found)) == 1


def test_a_cache_that_a_killed_build_has_begun_is_made(shop):
    place, _ = place_of(shop, "c")
    os.rmdir(place)
    os.makedirs(f"{place}.new/half")
    assert place_of(shop, "c")[0] == place
    assert os.listdir(place) == []
    assert sorted(os.listdir(os.path.dirname(place))) == ["data", "id", "lock", "making"]


@pytest.mark.parametrize("readonly", [False, True])
def test_memory_is_for_everybody_unless_it_is_read_only(shop, readonly):
    with ExitStack() as stack:
        mounting = Mounting(shop, stack, [])
        mounting.add(RunMount(Mount(type="tmpfs", target="/t", size=9, readonly=readonly), "/t"), 0)
    assert mounting.mounts[0].options == ("dev", "mode=1777", "size=9", *(["ro"] if readonly else []))


def test_a_secret_that_is_not_there_leaves_its_variable_empty(shop):
    shop.options = SimpleNamespace(secrets={}, environ={})
    with ExitStack() as stack:
        mounting = Mounting(shop, stack, [])
        mounting.add(RunMount(Mount(type="secret", id="s", env="S"), ""), 0)
        mounting.add(RunMount(Mount(type="secret", id="t"), ""), 1)
    assert (mounting.env, mounting.mounts) == (["S="], [])


def test_a_private_cache_is_the_next_one_only_where_somebody_holds_it(shop, monkeypatch):
    mount = replace(cache("p").mount, sharing="private")
    with ExitStack() as stack:
        places = []
        for _ in range(2):
            mounting = Mounting(shop, stack, [])
            mounting.add(RunMount(mount=mount, target="/c"), 0)
            places.append(mounting.mounts[0].source)
        assert places[0] != places[1]

        def refuse(*_, **__):
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(FileLock, "_open", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            Mounting(shop, stack, []).add(RunMount(mount=mount, target="/c"), 0)
