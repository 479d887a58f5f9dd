# SPDX-License-Identifier: Apache-2.0
"""Large things, mounted: many files, many layers, long files."""

from __future__ import annotations

import io
import os

import pytest

from fakes.tars import directory, file, tar
from fakes.trees import mounted
from scow.layer.tar import TarEntry, TarWriter

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_a_hundred_thousand_files_in_one_directory(tmp_path) -> None:
    path = tmp_path / "a.tar"
    with open(path, "wb") as out:
        writer = TarWriter(out)
        writer.add(TarEntry(b"d", b"5", 0o755))
        for number in range(100_000):
            data = b"%d" % number
            writer.add(TarEntry(b"d/file-%d" % (number * 7919 % 100_000), size=len(data)), [data])
        writer.close()
    with mounted([str(path)], str(tmp_path)) as mount:
        listed = os.listdir(f"{mount}/d")
        assert len(listed) == 100_000
        assert set(listed) == {f"file-{number}" for number in range(100_000)}
        for number in range(0, 100_000, 997):
            with open(f"{mount}/d/file-{number * 7919 % 100_000}", "rb") as stream:
                assert stream.read() == b"%d" % number
        assert not os.path.exists(f"{mount}/d/file-100000")


@pytest.mark.parametrize("count", [200, 500])
def test_many_layers_are_one_mount(count: int, tmp_path) -> None:
    tars = []
    for number in range(count):
        path = tmp_path / f"layer{number}.tar"
        pieces = [directory("d"), file(f"d/own{number}", b"%d" % number), file("last", b"%d" % number)]
        if number % 3 == 2:
            pieces.append(file(f"d/.wh.own{number - 1}"))
        path.write_bytes(tar(*pieces))
        tars.append(str(path))
    with mounted(tars, str(tmp_path)) as mount:
        wanted = {f"own{number}" for number in range(count) if not (number % 3 == 1 and number + 1 < count)}
        assert set(os.listdir(f"{mount}/d")) == wanted
        for name in wanted:
            with open(f"{mount}/d/{name}") as stream:
                assert stream.read() == name.removeprefix("own")
        with open(f"{mount}/last") as stream:
            assert stream.read() == str(count - 1)


def test_files_beyond_four_gibibytes(tmp_path) -> None:
    """One file that is 5 GiB in the tar, one that is 3 TiB of holes; the tar itself is mostly holes on this disk."""
    size, path = 5 << 30, tmp_path / "a.tar"
    head, rest = io.BytesIO(), io.BytesIO()
    writer = TarWriter(head)
    writer.add(TarEntry(b"first", size=3), [b"abc"])
    with pytest.raises(ValueError, match="0 bytes of data"):
        writer.add(TarEntry(b"big", size=size))
    writer._flush()
    other = TarWriter(rest)
    other.add(TarEntry(b"holes", size=3 << 40, sparse=((1 << 40, 4096), ((3 << 40) - 5, 5))), [b"h" * 4096 + b"tail!"])
    other.add(TarEntry(b"after", size=5), [b"after"])
    other.close()
    with open(path, "wb") as out:
        out.write(head.getvalue())
        start = out.tell()
        for offset, data in ((0, b"begin"), (size - 3, b"end"), ((4 << 30) - 2, b"across")):
            out.seek(start + offset)
            out.write(data)
        out.seek(start + size)
        out.write(rest.getvalue())
    with mounted([str(path)], str(tmp_path)) as mount:
        with open(f"{mount}/big", "rb") as stream:
            assert os.fstat(stream.fileno()).st_size == size
            assert os.pread(stream.fileno(), 6, 0) == b"begin\0"
            assert os.pread(stream.fileno(), 8, (4 << 30) - 2) == b"across\0\0"
            assert os.pread(stream.fileno(), 100, size - 3) == b"end"
        with open(f"{mount}/holes", "rb") as stream:
            assert os.fstat(stream.fileno()).st_size == 3 << 40
            assert os.pread(stream.fileno(), 4098, (1 << 40) - 1) == b"\0" + b"h" * 4096 + b"\0"
            assert os.pread(stream.fileno(), 100, (3 << 40) - 7) == b"\0\0tail!"
            assert os.pread(stream.fileno(), 10, 2 << 40) == bytes(10)
        with open(f"{mount}/after") as stream:
            assert stream.read() == "after"
