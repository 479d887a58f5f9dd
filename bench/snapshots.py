# SPDX-License-Identifier: Apache-2.0
"""Figures of docs/measurements.md, "Snapshots": staging, indexes, stacks, mounts. Needs root and EROFS.

    .venv/bin/python bench/snapshots.py /path/on/ext4 [TAR]

TAR is an uncompressed image layer, such as a Debian base; without it that part is left out.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import statistics
import sys
import tarfile
import time
from typing import TYPE_CHECKING

from scow.base.database import Database
from scow.base.leases import Leases
from scow.content.local import LocalContentStore
from scow.linux.mount import mount_all, umount
from scow.linux.namespaces import private_mounts
from scow.snapshot.choose import choose, open_snapshotter

if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.base.leases import Lease
    from scow.snapshot.overlay import Snapshots

ROUNDS = 30


def layer(count: int, *, tag: str = "", size: int = 100, implied: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        if not implied:
            info = tarfile.TarInfo("d")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for number in range(count):
            info = tarfile.TarInfo(f"d/{tag}{number:06}")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return out.getvalue()


class Bench:
    """One store and its stop-watch."""

    def __init__(self, top: str, kind: str) -> None:
        self.root = f"{top}/{kind}"
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(f"{self.root}/at")
        db = Database(f"{self.root}/scow.db")
        self.leases = Leases(db)
        content = LocalContentStore(self.root, db, self.leases)
        self.snapshots: Snapshots = open_snapshotter(self.root, db, content, self.leases, kind)
        self.kind = kind

    def say(self, what: str, seconds: float) -> None:
        """Print one figure."""
        print(f"{self.kind:8} {what:58} {seconds * 1000:10.2f} ms", flush=True)

    def timed(self, what: str, call: Callable[[], object]) -> None:
        """Time one call."""
        start = time.perf_counter()
        call()
        self.say(what, time.perf_counter() - start)

    def add(self, name: str, tar: bytes, parent: str | None, lease: Lease) -> None:
        """Stage and link a layer."""
        self.snapshots.link(name, self.snapshots.stage(io.BytesIO(tar), lease=lease), parent, lease=lease)

    def cycle(self, what: str, parent: str, lease: Lease, *, volatile: bool = True, write: bool = False) -> None:
        """Best and median times of prepare, mount, unmount, remove."""
        times: list[list[float]] = [[], [], [], []]
        for number in range(ROUNDS):
            marks = [time.perf_counter()]
            mounts = self.snapshots.prepare(f"k{number}", parent, volatile=volatile, lease=lease)
            marks.append(time.perf_counter())
            mount_all(mounts, f"{self.root}/at")
            marks.append(time.perf_counter())
            if write:
                with open(f"{self.root}/at/new", "wb") as file:
                    file.write(bytes(1 << 20))
            between = time.perf_counter()
            umount(f"{self.root}/at")
            marks.append(time.perf_counter())
            self.snapshots.remove(f"k{number}", force=True)
            marks.append(time.perf_counter())
            steps = (marks[1] - marks[0], marks[2] - marks[1], marks[3] - between, marks[4] - marks[3])
            for column, step in zip(times, steps, strict=True):
                column.append(step)
        figures = "  ".join(f"{min(column) * 1000:6.2f} /{statistics.median(column) * 1000:6.2f}" for column in times)
        print(f"{self.kind:8} {what:34} prepare, mount, umount, remove: {figures} ms", flush=True)


def stacks(bench: Bench, lease: Lease) -> None:
    """What a mount costs by the number of lowers; each layer gets an index of its own."""
    from scow.snapshot import erofs

    growth = erofs._GROWTH  # noqa: SLF001
    erofs._GROWTH = 0  # noqa: SLF001
    parent = None
    for number in range(128):
        bench.add(f"s{number}", layer(5, tag=f"{number}-"), parent, lease)
        parent = f"s{number}"
        bench.snapshots.ready(parent)
        if number + 1 in {1, 2, 4, 8, 16, 32, 64, 128}:
            bench.cycle(f"{number + 1} lowers", parent, lease)
    erofs._GROWTH = growth  # noqa: SLF001


def layers(bench: Bench, lease: Lease) -> None:
    tars = [layer(30, tag=f"{number}-") for number in range(200)]

    def link_all() -> None:
        parent = None
        for number, tar in enumerate(tars):
            bench.add(f"l{number}", tar, parent, lease)
            parent = f"l{number}"

    bench.timed("200 layers of 31 entries: stage and link", link_all)
    bench.timed("200 layers: ready", lambda: bench.snapshots.ready("l199"))
    bench.cycle("on 200 layers", "l199", lease)

    def grow() -> None:
        parent = "l199"
        for number in range(50):
            bench.add(f"g{number}", layer(5, tag=f"g{number}-"), parent, lease)
            parent = f"g{number}"
            bench.snapshots.ready(parent)

    bench.timed("50 small layers on those, each made ready", grow)
    print(f"{bench.kind:8} lowers then: {len(bench.snapshots.records.get('g49').stack.split())}")


def big(bench: Bench, lease: Lease) -> None:
    tar = layer(100_000, size=0)
    bench.timed("100,000 files in one directory: stage", lambda: bench.add("big", tar, None, lease))
    bench.timed("100,000 files: ready", lambda: bench.snapshots.ready("big"))
    bench.add("small", layer(10, tag="x"), "big", lease)
    bench.timed("small layer on them: ready", lambda: bench.snapshots.ready("small"))
    bench.add("open", layer(10, tag="y", implied=True), "big", lease)
    bench.timed("the same, its directory only implied: ready", lambda: bench.snapshots.ready("open"))
    bench.cycle("on 100,000 files", "small", lease)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{bench.kind:8} peak memory {memory:.0f} MB (the tar of {len(tar) >> 20} MB in memory included)")


def real(bench: Bench, lease: Lease, path: str) -> None:
    def stage() -> None:
        with open(path, "rb", buffering=0) as tar:
            bench.snapshots.link("real", bench.snapshots.stage(tar, lease=lease), None, lease=lease)  # type: ignore[arg-type]

    bench.timed(f"{os.path.getsize(path) >> 20} MB layer: stage", stage)
    info = bench.snapshots.stat("real")
    bench.timed(f"the same, {info.entries} entries: ready", lambda: bench.snapshots.ready("real"))
    diff_id = info.diff_id
    if bench.kind == "erofs" and diff_id is not None:
        bench.timed("the same from its blob: stage", lambda: bench.snapshots.stage_blob(diff_id, lease=lease))
    bench.cycle("on it, volatile", "real", lease)
    bench.cycle("on it, not volatile", "real", lease, volatile=False)
    bench.cycle("on it, volatile, 1 MB written", "real", lease, write=True)
    bench.cycle("on it, not volatile, 1 MB written", "real", lease, volatile=False, write=True)


def main() -> None:
    top = sys.argv[1]
    private_mounts()
    start = time.perf_counter()
    print(choose(top), f"{(time.perf_counter() - start) * 1000:.0f} ms")
    for kind in ("erofs", "overlay"):
        bench = Bench(top, kind)
        with bench.leases.hold("bench") as lease:
            if len(sys.argv) > 2:
                real(bench, lease, sys.argv[2])
            stacks(bench, lease)
            layers(bench, lease)
            big(bench, lease)
        shutil.rmtree(bench.root)


main()
