# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.checking import check
from scow.build.options import BuildOptions
from scow.build.stages import Stages
from scow.dockerfile.errors import DockerfileError
from scow.dockerfile.parser import parse
from scow.oci.model import ContainerConfig, ImageConfig, Platform

HOST = Platform("linux", "amd64")
BASES = {"base": ImageConfig(HOST, config=ContainerConfig(env=("KNOWN=1",)))}


def found(text, patterns=(), **args):
    options = BuildOptions(context=".", build_args=args)
    stages = Stages(parse(text, "Dockerfile"), options, HOST, HOST, outside=None)
    return [(problem.rule.name, problem.line) for problem in check(stages, options, BASES, patterns)]


def test_what_the_base_says_and_the_ignore_file_leaves_out_is_known():
    text = "FROM base\nLABEL a=$KNOWN b=$UNKNOWN\nCOPY out /\n"
    assert found(text) == [("UndefinedVar", 2)]
    assert found(text, patterns=("out",)) == [("UndefinedVar", 2), ("CopyIgnoredFile", 3)]


def test_findings_stop_a_build_that_says_so():
    text = "# check=error=true\nFROM base as one\nMAINTAINER me\n"
    with pytest.raises(
        DockerfileError, match="lint violation found for rules: FromAsCasing, MaintainerDeprecated"
    ) as info:
        found(text)
    assert (info.value.line, info.value.kind) == (2, "lint")
    assert found("# check=error=true\nFROM base AS one\n") == []


def test_the_build_argument_wins_over_the_directive():
    text = "# check=error=true\nFROM base as one\n"
    assert found(text, BUILDKIT_DOCKERFILE_CHECK="skip=all") == []
    assert found("# check=skip=all\nFROM base as one\n", BUILDKIT_DOCKERFILE_CHECK="") == [("FromAsCasing", 2)]
    with pytest.raises(DockerfileError, match="violation"):
        found("FROM base as one\n", BUILDKIT_DOCKERFILE_CHECK="error=true")
    with pytest.raises(DockerfileError, match="failed to parse BUILDKIT_DOCKERFILE_CHECK: invalid check option 'bla'"):
        found("FROM base\n", BUILDKIT_DOCKERFILE_CHECK="bla")
