# SPDX-License-Identifier: Apache-2.0
"""What the environment decides."""

from __future__ import annotations

import pytest

from scow.errors import InvalidArgumentError
from scow.settings import Settings


@pytest.mark.parametrize("name", ["", "runc", "crun"])
def test_the_runtime_is_one_of_two(name):
    assert Settings.from_env({"HOME": "/h", "SCOW_RUNTIME": name}).runtime == name


def test_another_runtime_is_refused():
    with pytest.raises(InvalidArgumentError, match="SCOW_RUNTIME is 'kata'"):
        Settings.from_env({"HOME": "/h", "SCOW_RUNTIME": "kata"})


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "TRUE", "anything", "2", " "])
def test_content_trust_is_on_with_anything(text):
    assert Settings.from_env({"HOME": "/h", "DOCKER_CONTENT_TRUST": text}).content_trust


@pytest.mark.parametrize("text", ["", "0", "false", "FALSE", "f"])
def test_but_what_says_no(text):
    assert not Settings.from_env({"HOME": "/h", "DOCKER_CONTENT_TRUST": text}).content_trust
    assert not Settings.from_env({"HOME": "/h"}).content_trust


def test_how_long_old_signatures_are_enough():
    assert Settings.from_env({"HOME": "/h"}).trust_max_offline == 0
    assert Settings.from_env({"HOME": "/h", "SCOW_TRUST_MAX_OFFLINE": "36h"}).trust_max_offline == 129600
    with pytest.raises(InvalidArgumentError):
        Settings.from_env({"HOME": "/h", "SCOW_TRUST_MAX_OFFLINE": "two days"})


@pytest.mark.parametrize(
    ("environ", "there", "place"),
    [
        ({"XDG_RUNTIME_DIR": "/own"}, True, "/own/scow"),
        ({}, True, "/run/user/12345/scow"),
        ({"XDG_RUNTIME_DIR": ""}, True, "/run/user/12345/scow"),
        ({}, False, "/tmp/scow-run-12345"),
        ({"SCOW_RUN_ROOT": "/said"}, True, "/said"),
    ],
)
def test_a_session_without_a_runtime_directory_meets_those_with_one(monkeypatch, environ, there, place):
    monkeypatch.setattr("scow.settings.os.geteuid", lambda: 12345)
    monkeypatch.setattr("scow.settings._is_own_directory", lambda path: there and path == "/run/user/12345")
    assert Settings.from_env({"HOME": "/h", **environ}).run_root == place
