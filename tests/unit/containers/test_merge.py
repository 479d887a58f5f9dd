# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.containers.merge import command, merge
from scow.errors import InvalidArgumentError

IMAGE = {"Entrypoint": ["/ep"], "Cmd": ["a", "b"], "Env": ["PATH=/bin", "X=image"], "WorkingDir": "/w", "User": "bob"}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, ["/ep", "a", "b"]),
        ({"Cmd": ["c"]}, ["/ep", "c"]),
        ({"Entrypoint": ["/other"]}, ["/other"]),
        ({"Entrypoint": ["/other"], "Cmd": ["c"]}, ["/other", "c"]),
        ({"Entrypoint": [""], "Cmd": ["c"]}, ["c"]),
    ],
)
def test_entrypoint_and_command(request_, words):
    assert command(merge(request_, IMAGE)) == words


@pytest.mark.parametrize(("request_", "image"), [({}, {}), ({"Entrypoint": [""]}, IMAGE)])
def test_something_must_be_run(request_, image):
    with pytest.raises(InvalidArgumentError, match="No command specified"):
        merge(request_, image)


def test_variables_of_the_user_come_first_and_win():
    config = merge({"Env": ["X=user", "NEW=1"]}, IMAGE)
    assert config["Env"] == ["X=user", "NEW=1", "PATH=/bin"]


def test_a_name_alone_takes_the_images_variable_away():
    assert merge({"Env": ["X"]}, IMAGE)["Env"] == ["X", "PATH=/bin"]


def test_what_is_not_said_comes_from_the_image():
    config = merge({}, {**IMAGE, "StopSignal": "SIGINT", "Shell": ["/bin/bash"], "Labels": {"a": "1"}})
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("bob", "/w", "SIGINT")
    assert config["Labels"] == {"a": "1"}


def test_maps_are_joined():
    config = merge(
        {"Labels": {"a": "2", "b": "3"}, "Volumes": {"/v": {}}},
        {**IMAGE, "Labels": {"a": "1", "c": "4"}, "Volumes": {"/data": {}}, "ExposedPorts": {"80/tcp": {}}},
    )
    assert config["Labels"] == {"a": "2", "c": "4", "b": "3"}
    assert set(config["Volumes"]) == {"/v", "/data"}
    assert set(config["ExposedPorts"]) == {"80/tcp"}


@pytest.mark.parametrize(
    ("own", "image", "expected"),
    [
        (None, {"Test": ["CMD", "x"], "Retries": 2}, {"Test": ["CMD", "x"], "Retries": 2}),
        ({"Interval": 5}, {"Test": ["CMD", "x"], "Retries": 2}, {"Test": ["CMD", "x"], "Retries": 2, "Interval": 5}),
        ({"Test": ["NONE"]}, {"Test": ["CMD", "x"]}, {"Test": ["NONE"]}),
        ({"Interval": 5}, None, None),
    ],
)
def test_health_checks(own, image, expected):
    config = merge({"Healthcheck": own}, {**IMAGE, "Healthcheck": image})
    assert config.get("Healthcheck") in ([expected] if expected else [None, {"Interval": 5}])
