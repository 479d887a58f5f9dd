# SPDX-License-Identifier: Apache-2.0
"""What FROM lines can refer to."""

from __future__ import annotations

import pytest

from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse
from scow.dockerfile.platforms import PREDEFINED, automatic_args, global_scope
from scow.oci.model import Platform


def test_automatic_arguments():
    args = automatic_args(Platform("linux", "amd64"), Platform("linux", "arm", "v7"), "prod")
    assert args["BUILDPLATFORM"] == "linux/amd64"
    assert args["TARGETPLATFORM"] == "linux/arm/v7"
    assert (args["TARGETOS"], args["TARGETARCH"], args["TARGETVARIANT"]) == ("linux", "arm", "v7")
    assert args["TARGETSTAGE"] == "prod"
    windows = automatic_args(Platform(), Platform("windows", "amd64", os_version="10.0.1", os_features=("win32k",)))
    assert windows["TARGETPLATFORM"] == "windows(10.0.1+win32k)/amd64"
    assert windows["TARGETSTAGE"] == "default"


def test_scope():
    parsed = parse("ARG A=1 B C=$A-$TARGETARCH\nARG D=${A:-x} E=$B\nFROM a\n")
    scope = global_scope(parsed, automatic_args(Platform(), Platform()), {"A": "9", "TARGETARCH": "mine"})
    assert {name: scope.values.get(name) for name in "ABCDE"} == {"A": "9", "B": None, "C": "9-mine", "D": "9", "E": ""}
    assert scope.declared == set("ABCDE")


def test_a_bad_default_has_a_place():
    with pytest.raises(DockerfileError, match="Dockerfile:2: parse error") as caught:
        global_scope(parse("ARG X\nARG A=${X:?give it}\nFROM a\n"), {}, {})
    assert caught.value.line == 2
    assert caught.value.column == 6


def test_proxies_need_no_declaration():
    assert {"http_proxy", "HTTPS_PROXY", "NO_PROXY", "all_proxy"} <= PREDEFINED
