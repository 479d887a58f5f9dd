# SPDX-License-Identifier: Apache-2.0
"""From an image's layers to snapshots."""

from __future__ import annotations

import gzip
import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from conformance.snapshotter import Entry, Store, directory, layer, problems
from scow.errors import CorruptError, LimitError, NotFoundError
from scow.images.store import ImageStore
from scow.images.unpack import unpack
from scow.layer.changeset import Limits
from scow.oci.digest import DiffID, chain_ids, sha256_digest
from scow.oci.encode import encode_config, encode_manifest
from scow.oci.mediatype import OCI_CONFIG_V1, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST_V1
from scow.oci.model import Descriptor, ImageConfig, Manifest, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.base.leases import Lease
    from scow.base.progress import Event
    from scow.images.store import ImageRecord

# the overlay kind needs no mounts, so most of this runs without root; files belong to whoever runs the tests
ME = os.getuid()


def one(number: int) -> bytes:
    return layer(directory("d", uid=ME), Entry(f"d/{number}", b"%d" % number, uid=ME))


class Images:
    def __init__(self, root: str, kind: str = "overlay") -> None:
        self.store = Store(root, kind)
        self.images = ImageStore(self.store.db, self.store.content, self.store.leases)

    def add(self, lease: Lease, tars: list[bytes], *, packed: bool = True, lie: int = -1) -> ImageRecord:
        content = self.store.content
        layers, diffs = [], []
        for number, tar in enumerate(tars):
            raw = gzip.compress(tar, mtime=0) if packed else tar
            layers.append(Descriptor(OCI_LAYER_GZIP if packed else OCI_LAYER, content.put(raw, lease), len(raw)))
            diffs.append(DiffID(sha256_digest(b"lie" if number == lie else tar)))
        config = encode_config(ImageConfig(Platform(), tuple(diffs)))
        digest = content.put(config.raw, lease)
        manifest = encode_manifest(
            Manifest(OCI_MANIFEST_V1, Descriptor(OCI_CONFIG_V1, digest, len(config.raw)), tuple(layers))
        )
        content.put(manifest.raw, lease)
        return self.images.add(manifest.descriptor, lease)

    def unpack(self, record: ImageRecord, lease: Lease, **named):  # type: ignore[no-untyped-def]
        return unpack(record, self.images, self.store.content, self.store.snapshots, lease, **named)


@pytest.fixture
def here(tmp_path) -> Images:
    return Images(str(tmp_path / "store"))


@pytest.fixture
def lease(here: Images) -> Iterator[Lease]:
    with here.store.leases.hold("test") as held:
        yield held


@pytest.mark.parametrize("packed", [True, False])
def test_layers_become_a_stack(here: Images, lease: Lease, packed: bool) -> None:
    record = here.add(lease, [one(number) for number in range(6)], packed=packed)
    events: list[Event] = []
    chain = here.unpack(record, lease, progress=events.append)
    assert chain == record.chain
    chains = [info.name for info in here.store.snapshots]
    assert set(chains) == set(chain_ids(here.images.config(record.id).value.diff_ids))
    assert here.store.snapshots.stat(chain).parent is not None
    assert {event.status for event in events} == {"Unpacking", "Unpacked"}
    assert here.images.get(record.id).size == 6
    assert problems(here.store) == []


def test_doing_it_again_does_nothing(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(0), one(1)])
    here.unpack(record, lease)
    events: list[Event] = []
    assert here.unpack(record, lease, progress=events.append) == record.chain
    assert events == []


def test_shared_layers_are_unpacked_once(here: Images, lease: Lease) -> None:
    first = here.add(lease, [one(0), one(1), one(2)])
    second = here.add(lease, [one(0), one(1), one(3)])
    here.unpack(first, lease)
    events: list[Event] = []
    here.unpack(second, lease, progress=events.append)
    assert len({event.task for event in events}) == 1
    assert len(list(here.store.snapshots)) == 4


def test_the_same_layer_twice_in_one_image(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(0), one(1), one(0), one(0)])
    here.unpack(record, lease)
    assert len(list(here.store.snapshots)) == 4
    assert problems(here.store) == []


def test_an_image_without_layers(here: Images, lease: Lease) -> None:
    assert here.unpack(here.add(lease, []), lease) is None


def test_a_layer_that_is_not_what_the_config_says(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(number) for number in range(4)], lie=2)
    wrong = here.images.config(record.id).value.diff_ids[2]
    with pytest.raises(CorruptError, match=str(wrong)):
        here.unpack(record, lease)
    lease.release()
    list(here.store.snapshots.check(repair=True))
    assert list(here.store.snapshots) == []


def test_a_damaged_layer_is_named(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(0), one(1)])
    damaged = here.images.manifest(record.id).value.layers[1].digest
    path = here.store.content.path(damaged)
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"\xff" * 8)
    with pytest.raises(CorruptError, match=str(damaged)):
        here.unpack(record, lease)
    assert not any(here.store.snapshots.exists(info.name) for info in here.store.snapshots)


def test_a_layer_that_is_gone(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(0), one(1)])
    gone = here.images.manifest(record.id).value.layers[1].digest
    here.store.content.delete(gone)
    with pytest.raises(NotFoundError, match=str(gone)):
        here.unpack(record, lease)


def test_limits_hold(here: Images, lease: Lease) -> None:
    record = here.add(lease, [one(0)])
    with pytest.raises(LimitError, match="limit of 1 entries"):
        here.unpack(record, lease, limits=Limits(max_entries=1))


@pytest.mark.root
def test_layers_that_do_not_fit_leave_nothing(tmp_path) -> None:
    from conformance.snapshotter import hard
    from scow.snapshot.choose import choose

    if choose(str(tmp_path)).kind != "erofs":
        pytest.skip("no EROFS here")
    here = Images(str(tmp_path / "store"), "erofs")
    with here.store.leases.hold("test") as lease:
        record = here.add(lease, [one(0), layer(hard("x", "nothing"))])
        with pytest.raises(CorruptError, match="hard link"):
            here.unpack(record, lease)
        assert list(here.store.snapshots) == []


def _work(root: str, number: int, out: multiprocessing.SimpleQueue[tuple[int, int]]) -> None:
    here = Images(root)
    events: list[Event] = []
    with here.store.leases.hold("worker") as lease:
        record = next(iter(here.images))
        here.unpack(record, lease, progress=events.append)
    out.put((number, len(events)))


@pytest.mark.parametrize("_round", range(3))
def test_two_processes_do_the_work_once(here: Images, lease: Lease, _round: int) -> None:
    here.add(lease, [one(number) for number in range(20)])
    context = multiprocessing.get_context("fork")
    out: multiprocessing.SimpleQueue[tuple[int, int]] = context.SimpleQueue()
    workers = [context.Process(target=_work, args=(here.store.root, number, out)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    counts = [out.get()[1] for _ in workers]
    assert sorted(count > 0 for count in counts) == [False, False, True]
    assert problems(here.store) == []
