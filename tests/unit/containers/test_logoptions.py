# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scow.containers.logoptions import Bounds, read
from scow.errors import InvalidArgumentError, NotFoundError

BEGIN = "failed to initialize logging driver: "


@pytest.mark.parametrize(
    ("driver", "options", "bounds"),
    [
        ("", {}, Bounds(0, 1)),
        ("json-file", {"max-size": "10k", "max-file": "3", "compress": "true"}, Bounds(10240, 3)),
        ("json-file", {"max-size": "1.5m", "labels": "a"}, Bounds(3 << 19, 1)),
        ("json-file", {"max-size": "1 GiB"}, Bounds(1 << 30, 1)),
        ("json-file", {"max-file": "+3"}, Bounds(0, 3)),
        ("none", {}, Bounds(0, 1)),
        ("local", {}, Bounds(20 << 20, 5)),
        ("local", {"max-file": "1", "compress": "0"}, Bounds(20 << 20, 1)),
        ("local", {"max-size": "0"}, Bounds(0, 5)),
    ],
)
def test_bounds(driver, options, bounds):
    assert read(driver, options) == bounds


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("", {"zebra": "1"}, "unknown log opt 'zebra' for json-file log driver"),
        ("local", {"labels": "x"}, "unknown log opt 'labels' for log driver local"),
        ("", {"max-size": "x"}, BEGIN + "invalid size: 'x'"),
        ("", {"max-size": ""}, BEGIN + "invalid size: ''"),
        ("", {"max-size": "-1"}, BEGIN + "invalid size: '-1'"),
        ("", {"max-size": "1_0"}, BEGIN + "invalid size: '1_0'"),
        ("", {"max-size": "inf"}, BEGIN + "invalid size: 'inf'"),
        ("", {"max-size": "0"}, BEGIN + "max-size must be a positive number"),
        ("", {"max-file": "x"}, BEGIN + 'strconv.Atoi: parsing "x": invalid syntax'),
        ("", {"max-file": "0"}, BEGIN + "max-file cannot be less than 1"),
        ("", {"mode": "zebra"}, "logger: logging mode not supported: zebra"),
        (
            "",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "local",
            {"mode": "non-blocking", "max-buffer-size": "x"},
            "logger: error parsing option max-buffer-size: x: invalid size: 'x'",
        ),
        ("", {"compress": "maybe"}, BEGIN + 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        (
            "",
            {"compress": "1", "max-file": "2"},
            BEGIN + "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        ("local", {"max-size": "x"}, BEGIN + "invalid value for max-size: x: invalid size: 'x'"),
        (
            "local",
            {"max-file": "x"},
            BEGIN + 'invalid value for max-file: x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("local", {"max-file": "1"}, BEGIN + "compression cannot be enabled when max file count is 1"),
        ("local", {"max-file": "0", "compress": "false"}, BEGIN + "max file count cannot be less than 1"),
        (
            "local",
            {"compress": "maybe"},
            BEGIN + 'error reading compress log option: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_refusals(driver, options, message):
    with pytest.raises(InvalidArgumentError) as caught:
        read(driver, options)
    assert caught.value.message == message


def test_a_log_that_may_be_full():
    options = {"mode": "non-blocking", "max-buffer-size": "4m"}
    assert read("", options) == read("", {"mode": "blocking"}) == read("", {})


def test_no_such_driver():
    with pytest.raises(NotFoundError, match='error looking up logging plugin zebra: plugin "zebra" not found'):
        read("zebra", {})
