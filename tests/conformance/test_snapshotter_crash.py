# SPDX-License-Identifier: Apache-2.0
"""Processes killed at any moment: what was finished stays, what was not is taken away by fsck."""

from __future__ import annotations

import io
import os
import random
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest

from conformance.snapshotter import Entry, Store, directory, layer, problems
from scow.errors import ScowError
from scow.linux.mount import mount_all
from scow.linux.namespaces import run_private
from scow.snapshot.choose import choose

if TYPE_CHECKING:
    from scow.base.leases import Lease

pytestmark = [pytest.mark.root, pytest.mark.slow]
KILLS = 100


@pytest.mark.parametrize("kind", ["erofs", "overlay"])
def test_kill_at_any_moment(tmp_path, kind: str) -> None:  # type: ignore[no-untyped-def]
    if kind == "erofs" and choose(str(tmp_path)).kind != "erofs":
        pytest.skip("no EROFS here")
    root = str(tmp_path / "store")
    store = Store(root, kind)
    dice = random.Random(kind)
    finished: dict[str, int] = {}
    # An owner that is no lease: what it links lives on when the process that made it is killed.
    for round_ in range(KILLS // 2):
        workers = [_start(root, kind, f"{round_}-{number}", dice.random()) for number in range(2)]
        if round_ % 2:  # where this machine needs longer, something is finished all the same
            for _, pipe in workers:
                assert select.select([pipe], [], [], 90)[0]
        time.sleep(dice.random() * 0.12)
        for pid, _ in workers:
            os.kill(pid, signal.SIGKILL)
        for pid, pipe in workers:
            os.waitpid(pid, 0)
            with open(pipe, encoding="ascii") as lines:
                for line in lines.read().split("\n")[:-1]:
                    verb, name, count = line.split()
                    if verb == "made":
                        finished[name] = int(count)
                    else:
                        finished.pop(name, None)
        store.snapshots.records.db.close()
        list(store.snapshots.check(repair=True))
        assert problems(store) == []
        missing = [name for name in finished if not store.snapshots.exists(name)]
        assert missing == []
    assert len(finished) > 20
    with store.leases.hold("look") as lease:
        for name, count in dice.sample(sorted(finished.items()), 20):
            assert len(store.tree(name, lease)) == count
    # whatever is not linked from the durable owner can go
    kept = {key for _, key in store.leases.owned("container:test", "snapshot")}
    assert kept >= set(finished)


def _start(root: str, kind: str, tag: str, seed: float) -> tuple[int, int]:
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    os.close(read)
    try:
        _work(Store(root, kind), tag, random.Random(seed), write)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


def _work(store: Store, tag: str, dice: random.Random, out: int) -> None:
    """Make and remove snapshots until killed, telling what is done."""
    mine: list[tuple[str, int]] = []
    with store.leases.hold("crash") as lease:
        for number in range(10_000):
            name = f"s-{tag}-{number}"
            parent = dice.choice([None, *mine[-4:]])
            # told before it is begun: from then on it may be gone, so it does not count as finished
            if mine and dice.random() < 0.25:
                victim = mine.pop(dice.randrange(len(mine)))[0]
                os.write(out, f"gone {victim} 0\n".encode())
                _remove(store, victim)
                continue
            count = _make(store, lease, name, parent, dice)
            os.write(out, f"made {name} {count}\n".encode())
            mine.append((name, count))


def _remove(store: Store, name: str) -> None:
    try:
        with store.db.write():
            gone = store.snapshots.forget([name])
            store.leases.unlink("container:test", "snapshot", name)
        store.snapshots.sweep(gone)
    except ScowError:  # something stands on it
        pass


def _make(store: Store, lease: Lease, name: str, parent: tuple[str, int] | None, dice: random.Random) -> int:
    below, count = parent or (None, 0)
    if dice.random() < 0.4:
        key = f"key-{name}"
        mounts = store.snapshots.prepare(key, below, volatile=dice.random() < 0.5, lease=lease)
        target = f"{store.root}/at-{name}"
        os.makedirs(target)

        def body() -> None:
            mount_all(mounts, target)
            with open(f"{target}/f-{name}", "wb") as file:
                file.write(b"x" * 1000)

        run_private(body)
        with store.db.write():
            store.snapshots.commit(name, key)
            store.leases.link("container:test", "snapshot", name)
        return count + 1
    # every name of a layer is its own, so that counts add up
    files = [Entry(f"d-{name}/{number}", b"y" * 500) for number in range(dice.randrange(1, 30))]
    tar = layer(directory(f"d-{name}"), *files)
    staged = store.snapshots.stage(io.BytesIO(tar), lease=lease)
    with store.db.write():
        store.snapshots.link(name, staged, below)
        store.leases.link("container:test", "snapshot", name)
    if dice.random() < 0.5:
        store.snapshots.ready(name)
    return count + 1 + len(files)
