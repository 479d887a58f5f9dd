# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import tarfile

import pytest

from scow.build.contexts import context_origin
from scow.build.epochs import apply, resolve
from scow.build.fetch import BlobFileTree
from scow.build.options import BuildOptions
from scow.build.origins import TreeOrigin
from scow.build.sources import DirTree
from scow.build.stages import Stages
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse
from scow.errors import InvalidArgumentError
from scow.oci.model import Platform

HOST = Platform("linux", "amd64")


class Outside:
    """Contexts by name, and one file behind every URL."""

    def __init__(self, tmp_path, time=0, named=None):
        self.path = tmp_path / "file"
        self.time = time
        self.contexts = named or {}
        self.asked = []

    def named(self, name):
        return self.contexts.get(name)

    def is_scratch(self, _name):
        return False

    def http(self, url, checksum):
        self.asked.append((url, checksum))
        return TreeOrigin(
            url, lambda: BlobFileTree(b"f", str(self.path), self.path.stat().st_size, "0" * 64, self.time)
        )

    def git(self, source):
        raise NotImplementedError


def found(text, outside, root="", context=".", **args):
    options = BuildOptions(context=context, build_args=args)
    stages = Stages(parse(text, "Dockerfile"), options, HOST, HOST, outside)
    epoch = resolve(stages, options, outside, root)
    return epoch, apply(stages, options, epoch), stages


@pytest.mark.parametrize(
    ("text", "args", "wanted"),
    [
        ("FROM a\n", {}, None),
        ("FROM a\n", {"SOURCE_DATE_EPOCH": "5"}, 5),
        ("FROM a\n", {"SOURCE_DATE_EPOCH": ""}, None),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM a\n", {}, 7),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM a\n", {"SOURCE_DATE_EPOCH": "5"}, 5),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM a\n", {"SOURCE_DATE_EPOCH": ""}, None),
        ("ARG N=9\nARG SOURCE_DATE_EPOCH=$N\nFROM a\n", {}, 9),
        ("FROM a\nARG SOURCE_DATE_EPOCH=7\n", {}, None),
        ("FROM a\n", {"SOURCE_DATE_EPOCH": "context"}, None),
    ],
)
def test_numbers_defaults_and_nothing(tmp_path, text, args, wanted):
    assert found(text, Outside(tmp_path), str(tmp_path), **args)[0] == wanted


def test_stages_see_the_number(tmp_path):
    _, options, stages = found("ARG SOURCE_DATE_EPOCH=7\nFROM a\n", Outside(tmp_path), SOURCE_DATE_EPOCH="8")
    assert options.build_args == {"SOURCE_DATE_EPOCH": "8"}
    assert stages.scope.values["SOURCE_DATE_EPOCH"] == "8"
    _, options, stages = found("FROM a\n", Outside(tmp_path), SOURCE_DATE_EPOCH="context")
    assert options.build_args == {}


def test_the_time_of_a_remote_context(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    import os

    os.utime(tmp_path / "d/f", (1234, 1234))
    args = {"SOURCE_DATE_EPOCH": "context"}
    assert found("FROM a\n", Outside(tmp_path), str(tmp_path), "https://x.example/r.git", **args)[0] == 1234
    assert found("FROM a\n", Outside(tmp_path), str(tmp_path), str(tmp_path), **args)[0] is None
    remote = TreeOrigin("r", lambda: DirTree(str(tmp_path / "d")))
    local = context_origin(None, str(tmp_path / "d"), ())
    named = Outside(tmp_path, named={"far": remote, "near": local})
    assert found("FROM a\n", named, SOURCE_DATE_EPOCH="far")[0] == 1234
    assert found("FROM a\n", named, SOURCE_DATE_EPOCH="near")[0] is None


STAGE = "FROM scratch AS src\nARG URL=https://x.example\nADD $URL/a.tar /\nFROM a\n"


def test_the_time_of_a_stage_that_is_one_remote_source(tmp_path):
    outside = Outside(tmp_path, time=99)
    outside.path.write_text("no archive")
    assert found(STAGE, outside, SOURCE_DATE_EPOCH="src")[0] == 99
    assert outside.asked == [("https://x.example/a.tar", "")]
    outside.time = 0
    assert found(STAGE, outside, SOURCE_DATE_EPOCH="src")[0] is None
    with tarfile.open(outside.path, "w:gz") as tar:
        for name, time in (("one", 50), ("two", 70)):
            info = tarfile.TarInfo(name)
            info.mtime = time
            tar.addfile(info, io.BytesIO())
    assert found(STAGE, outside, SOURCE_DATE_EPOCH="src")[0] == 70
    assert found(STAGE, outside, SOURCE_DATE_EPOCH="src", URL="https://y.example")[0] == 70
    assert outside.asked[-1][0] == "https://y.example/a.tar"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("FROM a AS src\nADD https://x.example/f /\n", "must use FROM scratch"),
        ("FROM scratch AS src\n", "exactly one remote ADD"),
        ("FROM scratch AS src\nADD local /\n", "exactly one remote ADD"),
        ("FROM scratch AS src\nADD https://x.example/f /\nADD https://x.example/g /\n", "exactly one remote ADD"),
        ("FROM scratch AS src\nCOPY f /\n", "unsupported COPY"),
    ],
)
def test_other_stages_have_no_time(tmp_path, stage, message):
    with pytest.raises(DockerfileError, match=message):
        found(stage + "FROM a\n", Outside(tmp_path), SOURCE_DATE_EPOCH="src")


def test_what_names_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="invalid SOURCE_DATE_EPOCH: soon"):
        found("FROM a\n", Outside(tmp_path), SOURCE_DATE_EPOCH="soon")
