# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up: one clear sentence, a valid store, and the room is free again."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile

import pytest

pytestmark = pytest.mark.root

ROOM = 24 << 20


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(path)], capture_output=True
    ).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield str(path)
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def big(tmp_path):
    data = tmp_path / "data"
    data.write_bytes(os.urandom(ROOM + (8 << 20)))
    with tarfile.open(tmp_path / "big.tar", "w") as tar:
        tar.add(data, "data")
    return str(tmp_path / "big.tar")


@pytest.mark.parametrize("kind", ["erofs", "overlay"])
@pytest.mark.parametrize("how", ["import", "pipe", "gzip"])
def test_import_into_a_full_disk(disk, big, tmp_path, kind, how):
    env = {**os.environ, "SCOW_ROOT": f"{disk}/root", "SCOW_SNAPSHOTTER": kind}
    scow = os.path.join(os.path.dirname(sys.executable), "scow")

    def run(*argv, **options):
        return subprocess.run([scow, *argv], env=env, capture_output=True, text=True, **options)

    small = tmp_path / "small.tar"
    with tarfile.open(small, "w") as tar:
        tar.add(__file__, "small")
    assert run("import", str(small), "small:1").returncode == 0
    used = os.statvfs(disk).f_bfree
    if how == "gzip":
        subprocess.run(["gzip", "-1", big], check=True)
        big += ".gz"
    if how == "pipe":
        with open(big, "rb") as file:
            done = run("import", "-", "big:1", stdin=file)
    else:
        done = run("import", big, "big:1")
    assert done.returncode == 1
    first = done.stderr.splitlines()[0]
    assert "o space left on" in first
    assert "Traceback" not in done.stderr
    assert run("images", "--format", "{{.Repository}}").stdout == "small\n"
    assert run("system", "fsck").stdout == "The store is clean\n"
    page = os.statvfs(disk).f_bsize
    assert (used - os.statvfs(disk).f_bfree) * page < 2 << 20  # but for the database's log
