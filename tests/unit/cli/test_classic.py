# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.build.ops.exec import CommandFailedError
from scow.cli import classic
from scow.errors import NotFoundError
from scow.oci.reference import Reference


@pytest.mark.parametrize(("value", "asked"), [("0", True), ("false", True), ("1", False), ("", False), (None, False)])
def test_the_environment_asks_for_the_classic_builder(value, asked):
    assert classic.asked_for({} if value is None else {"DOCKER_BUILDKIT": value}) == asked


def test_what_was_built_is_said_on_standard_output(capsys):
    classic.succeeded("sha256:" + "ab" * 32, [Reference.parse(name).with_default_tag() for name in ("a", "b/c:2")])
    assert capsys.readouterr().out == (
        "Successfully built abababababab\nSuccessfully tagged a:latest\nSuccessfully tagged b/c:2\n"
    )


def test_the_status_of_the_command_that_failed(capsys):
    assert classic.failed(CommandFailedError("/bin/sh -c 'a' b", status=3)) == 3
    assert capsys.readouterr().err == "The command '/bin/sh -c 'a' b' returned a non-zero code: 3\n"
    assert classic.failed(NotFoundError("no such file")) == 1
    assert classic.failed(None) == 1
