# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from tempfile import TemporaryFile

import pytest

from fakes.stores import tar_of
from scow.build.options import BuildOptions
from scow.build.reproducing import (
    HOSTNAME,
    UMASK,
    Difference,
    Verified,
    _other_conditions,
    _OtherMachine,
    compare_layers,
    render,
    verify,
)
from scow.errors import InvalidArgumentError
from scow.runtime.step import DEFAULT_HOSTNAME, Step


def compare(left, right, one=None, two=None):
    first, second = tar_of(left, **(one or {})), tar_of(right, **(two or {}))
    with TemporaryFile() as left_file, TemporaryFile() as right_file:
        for file, data in ((left_file, first), (right_file, second)):
            file.write(data)
            file.seek(0)
        return list(compare_layers(left_file, right_file))


def test_content_names_the_first_byte_that_differs():
    far = b"x" * (1 << 20)
    found = compare({"a": b"built at 12:01", "big": far + b"1"}, {"a": b"built at 12:02", "big": far + b"2"})
    assert found == [
        ("/a", 'content differs at byte 13: " at 12:01" / " at 12:02"'),
        ("/big", 'content differs at byte 1048576: "xxxxxxxx1" / "xxxxxxxx2"'),
    ]


def test_files_that_only_one_has_or_that_are_longer():
    assert compare({"a": b"1", "b": b"12"}, {"b": b"123", "c": b""}) == [
        ("/a", "only in the first build"),
        ("/b", "2 / 3 bytes, the same up to there"),
        ("/c", "only in the second build"),
    ]


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ({"mode": 0o644}, {"mode": 0o600}, "mode 0644 / 0600"),
        ({"uid": 1, "gid": 2}, {"uid": 1, "gid": 3}, "owner 1:2 / 1:3"),
        ({"mtime": 5}, {"mtime": 7}, "time 5 / 7"),
    ],
)
def test_fields(one, two, said):
    assert compare({"f": b"1"}, {"f": b"1"}, one, two) == [("/f", said)]


def test_the_same_files_in_another_order():
    assert compare({"a": b"", "b": b""}, {"b": b"", "a": b""}) == [("/", "the same files in another order")]


def test_bytes_that_a_terminal_must_not_see():
    ((_, said),) = compare({"f": b"\x1b[2J"}, {"f": b"\xff"})
    assert "\x1b" not in said


def test_rendering():
    good = render(Verified(None, 1, ()), "Dockerfile")
    assert good == ["reproducible: a second build made the same 1 layer and the same configuration"]
    found = (
        Difference("[2/2] RUN date > /a", 3, "/a", "x"),
        Difference("[2/2] RUN date > /a", 3, "/b", "y"),
        Difference("", 0, "history", "differs"),
    )
    assert render(Verified(None, 2, found), "Dockerfile")[1:] == [
        "  Dockerfile:3: [2/2] RUN date > /a",
        "    /a: x",
        "    /b: y",
        "  configuration",
        "    history: differs",
    ]


@pytest.mark.parametrize("options", [BuildOptions(context="-"), BuildOptions(context=".", dockerfile="-")])
def test_streams_cannot_be_built_twice(options):
    with pytest.raises(InvalidArgumentError, match="standard input"):
        verify(None, options)


def test_the_second_build_has_another_umask_and_one_processor_and_nothing_stays():
    before = os.umask(0o022)
    processors = os.sched_getaffinity(0)
    try:
        with _other_conditions():
            inside = os.umask(0o022)
            os.umask(inside)
            assert inside == UMASK != 0o022
            assert len(os.sched_getaffinity(0)) == 1
        assert os.sched_getaffinity(0) == processors
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_the_second_build_is_on_another_machine_unless_the_step_names_one():
    class Runner:
        def run(self, step, **_):
            return step.hostname

    runner = _OtherMachine(Runner())
    step = Step(("true",), ())
    assert runner.run(step, output=print) == HOSTNAME != DEFAULT_HOSTNAME
    assert runner.run(step._replace(hostname="mine"), output=print) == "mine"
