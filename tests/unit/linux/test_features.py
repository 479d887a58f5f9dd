# SPDX-License-Identifier: Apache-2.0
"""What a host can do."""

from __future__ import annotations

import json
import os

import pytest

from scow.linux import features
from scow.linux.features import cgroup_mode, kernel_version, known_filesystems, may_make
from scow.linux.namespaces import unshare


@pytest.mark.parametrize(
    ("release", "numbers"),
    [
        ("6.12.9-amd64", (6, 12)),
        ("5.15.0-105-generic", (5, 15)),
        ("6.18.44-fc-v669", (6, 18)),
        ("7", (7, 0)),
        ("?", (0, 0)),
    ],
)
def test_kernel_releases(release, numbers) -> None:
    assert kernel_version(release) == numbers


def test_file_systems() -> None:
    assert known_filesystems("nodev\tsysfs\n\text4\n\n") == {"sysfs", "ext4"}


V1 = "30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
HYBRID = V1 + "31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
V2 = "30 25 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "mode"), [(V1, "v1"), (HYBRID, "hybrid"), (V2, "v2"), ("", "none"), (V2 + V1, "v2")]
)
def test_control_groups(mounts, mode) -> None:
    assert cgroup_mode(mounts) == mode


def test_what_was_found_is_noted_until_the_next_boot(tmp_path, monkeypatch) -> None:
    first = features.load(str(tmp_path / "run"))
    (note,) = (tmp_path / "run").iterdir()
    probes: list[int] = []
    real = features.probe
    monkeypatch.setattr(features, "probe", lambda: (probes.append(1), real())[1])
    assert features.load(str(tmp_path / "run")) == first
    assert probes == []
    noted = json.loads(note.read_text())
    noted["stamp"][1] = "another boot"
    note.write_text(json.dumps(noted))
    features.load(str(tmp_path / "run"))
    note.write_text("{ damaged")
    features.load(str(tmp_path / "run"))
    assert probes == [1, 1]
    assert features.load("/proc/nowhere").kernel == first.kernel


def test_what_the_kernel_has() -> None:
    assert not features.has_filesystem("nonsensefs")
    assert features.has_filesystem("proc")


@pytest.mark.root
def test_what_may_be_made_is_asked_without_making_it() -> None:
    assert may_make("erofs")
    assert may_make("tmpfs")
    assert not may_make("no-such-file-system")
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            unshare("user", "mnt")
            status = int(may_make("erofs")) + (0 if may_make("tmpfs") else 2)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "only the host's root may"
