# SPDX-License-Identifier: Apache-2.0
"""Advice that knows the base image."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from scow.cli.commands.lint import main
from scow.engine import Engine
from scow.images.knowledge import know
from scow.images.store import ImageNotFoundError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOW_ROOT", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    engine = Engine(str(tmp_path / "store"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:5:5::/:/bin/sh\n"), ("usr/bin/busybox", b"x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("sbin/apk")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/busybox"
        tar.addfile(link)
        away = tarfile.TarInfo("sbin/zypper")
        away.type, away.linkname = tarfile.SYMTYPE, "../../../../../../../../etc/hostname"
        tar.addfile(away)
    out.seek(0)
    engine.import_image(out, "base:1", changes=["ENV FOO=1", "USER web"])
    return engine


def test_tree_and_config(engine):
    known = know(engine.images, engine.snapshots, engine.leases, "base:1")
    assert known.managers == {"apk"}
    assert known.users == {"root", "web"}
    assert known.config.config.user == "web"
    assert not [info for info in engine.snapshots if "look-" in str(info)]
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert "scow-look" not in file.read()


def test_absent_images_are_refused(engine):
    with pytest.raises(ImageNotFoundError):
        know(engine.images, engine.snapshots, engine.leases, "nope:1")


def test_lint_uses_it(engine, tmp_path, capfd):
    (tmp_path / "Dockerfile").write_text("FROM base:1\nENV A=$FOO B=$BAR\nRUN apt-get moo\nUSER nginx\n")
    assert main(["--only", "UndefinedVar,WrongPackageManager,UnknownUser"]) == 1
    out = capfd.readouterr().out
    assert "'$BAR'" in out
    assert "'$FOO'" not in out
    assert "the base image has no apt-get; it has apk" in out
    assert "user 'nginx' is not in the base image" in out
