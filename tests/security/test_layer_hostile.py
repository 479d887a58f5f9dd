# SPDX-License-Identifier: Apache-2.0
"""Layers that mean harm, read as every way of keeping layers reads them: one sentence, nothing outside, bounded memory."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tracemalloc

import pytest

from fakes.tars import directory, file, link, symlink, tar
from fakes.trees import mounted, picture
from scow.errors import CorruptError, LimitError, ScowError
from scow.layer.changeset import LayerError, Limits
from scow.layer.compression import CompressWriter, open_stream
from scow.layer.extract import extract
from scow.layer.settle import settle
from scow.layer.tar import TarEntry
from scow.layer.toc import scan
from scow.linux.beneath import Tree

CLIMBING = {
    "dots": [file("../pwned")],
    "dots in the middle": [file("a/../../pwned")],
    "absolute dots": [file("/../pwned")],
    "absolute link": [symlink("x", "OUTSIDE"), file("x/pwned")],
    "relative link": [symlink("x", "../outside"), file("x/pwned")],
    "link to a link": [symlink("x", "."), symlink("x/y", "OUTSIDE"), file("y/pwned")],
    "link chain": [symlink("a", ".."), symlink("b", "a/outside"), file("b/pwned")],
    "directory replaced by a link": [directory("d"), symlink("d", "OUTSIDE"), file("d/pwned")],
    "hard link out": [link("x", "../outside/secret")],
    "absolute hard link out": [link("x", "OUTSIDE/secret")],
    "hard link through a link": [symlink("x", "OUTSIDE"), link("y", "x/secret")],
    "whiteout through a link": [symlink("x", "OUTSIDE"), file("x/.wh.secret"), file("x/y")],
    "whiteout of dots": [file(".wh...")],
    "link as the root": [symlink(".", "OUTSIDE"), file("pwned")],
}


@pytest.mark.root
@pytest.mark.parametrize("case", CLIMBING)
def test_nothing_climbs_out(case: str, tmp_path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("secret")
    before = picture(outside)
    data = tar(
        *(
            (entry._replace(linkname=entry.linkname.replace(b"OUTSIDE", os.fsencode(outside))), content)
            for entry, content in CLIMBING[case]
        )
    )
    with pytest.raises(LayerError) as caught:
        settle(str(inside), [], extract(io.BytesIO(data), str(inside)).pending)
    assert "\n" not in caught.value.message
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(LayerError), mounted([str(path)], str(tmp_path)):
        pass
    assert picture(outside) == before


@pytest.mark.root
def test_through_a_lower_layers_link(tmp_path) -> None:
    """The link and the entry in different layers, as no single archive shows it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, low in enumerate([symlink("x", str(outside)), symlink("x", "../../../outside")]):
        layers = []
        with pytest.raises(LayerError):
            for index, data in enumerate([tar(low), tar(file("x/pwned"))]):
                layer = tmp_path / f"{number}.{index}"
                layer.mkdir()
                settle(str(layer), layers, extract(io.BytesIO(data), str(layer)).pending)
                layers.insert(0, str(layer))
    assert list(outside.iterdir()) == []


def scan_compressed(data: bytes, **limits: int) -> None:
    bounds = Limits(**limits)
    scan(open_stream(io.BytesIO(data), limits=bounds), io.BytesIO(), limits=bounds)


@pytest.mark.parametrize("setting", ["SCOW_MAX_RATIO", "SCOW_MAX_LAYER_SIZE"])
def test_a_bomb_is_stopped(setting: str) -> None:
    # One 1 GiB file of zeros; a megabyte compressed, and a second gzip member of the same over and over.
    piece = gzip.compress(bytes(16 << 20), 9)
    head = file_header(16 << 30)
    bomb = gzip.compress(head) + piece * 1024
    with pytest.raises(LimitError) as caught:
        if setting == "SCOW_MAX_RATIO":
            scan_compressed(bomb, max_ratio=100)
        else:
            scan_compressed(bomb, max_size=100 << 20, max_ratio=10_000)
    assert setting in caught.value.hint


def file_header(size: int) -> bytes:
    from scow.layer.tarwrite import _headers

    return _headers(TarEntry(b"zeros", size=size), subsecond=False)[0]


def test_claims_cost_nothing() -> None:
    """Sizes are believed only as far as bytes arrive."""
    tracemalloc.start()
    for data in (file_header(1 << 60), file_header(1 << 40) + bytes(1 << 20)):
        with pytest.raises(CorruptError):
            scan(io.BytesIO(data), io.BytesIO())
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_damaged_compressed_layers_are_one_sentence() -> None:
    data = gzip.compress(tar(*(file(f"f{number}", os.urandom(500)) for number in range(100))))
    chance = random.Random(5)
    for _ in range(300):
        damaged = bytearray(data)
        if chance.randrange(2):
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            scan_compressed(bytes(damaged))
        except ScowError as error:
            assert "\n" not in error.message
            assert not error.message.endswith(".")


def test_nested_directories_end_at_the_longest_path() -> None:
    with pytest.raises(LayerError, match="4095 bytes"):
        scan(io.BytesIO(tar(file("d/" * 3000 + "x"))), io.BytesIO())


@pytest.mark.root
def test_deep_directories_mount_and_unpack(deep_path) -> None:
    data = tar(file("d/" * 1000 + "x", b"deep"))
    path = deep_path / "a.tar"
    path.write_bytes(data)
    with mounted([str(path)], str(deep_path)) as mount:
        fd = os.open(mount + "/d" * 1000 + "/x", os.O_RDONLY)
        assert os.read(fd, 10) == b"deep"
        os.close(fd)
    (deep_path / "x").mkdir()
    extract(io.BytesIO(data), str(deep_path / "x"))
    with open(str(deep_path / "x") + "/d" * 1000 + "/x") as stream:
        assert stream.read() == "deep"
    with Tree(str(deep_path)) as tree:  # pytest's own clean-up recurses, and would meet Python's limit
        tree.remove(b"x")


MEASURE = """
import sys
from scow.layer.compression import open_stream
from scow.layer.toc import scan
from scow.linux.beneath import Tree
from scow.layer.erofs import Source, write_index
from scow.layer.extract import extract_plain
source, work, how = sys.argv[1:]
with open(source, "rb", buffering=0) as raw, open(work + "/toc", "wb") as table, open(work + "/copy", "wb") as copy:
    if how == "scan":
        scan(open_stream(raw), table, copy=copy)
    elif how == "unpack":
        extract_plain(open_stream(raw), work + "/tree", owner=lambda uid, gid: None)
if how == "scan":
    write_index([Source(work + "/copy", work + "/toc")], work + "/index")
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["scan", "unpack"])
@pytest.mark.parametrize("shape", ["one file of 600 MB", "100,000 entries"])
def test_memory_stays_under_64_megabytes(how: str, shape: str, tmp_path) -> None:
    source = tmp_path / "layer.tar.gz"
    with open(source, "wb") as raw, CompressWriter(raw, "gzip", 0) as out:
        if shape.startswith("one"):
            noise = os.urandom(1 << 20)
            out.write(file_header(600 << 20))
            for _ in range(600):
                out.write(noise)
        else:
            for number in range(1000):
                out.write(tar(directory(f"d{number}"), *(file(f"d{number}/file{i}", b"x") for i in range(99)))[:-1024])
        out.write(bytes(1024))
    (tmp_path / "tree").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, source, tmp_path, how], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64 * 1024
