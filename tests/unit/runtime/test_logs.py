# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.runtime import logs


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log")


def write(path, *pieces):
    writer = logs.LogWriter(path)
    for stream, data in pieces:
        writer.write(stream, data)
    writer.close()


def text(lines, stream=None):
    return b"".join(line.data for line in lines if stream in {None, line.stream})


def test_what_is_written_is_read(path):
    write(path, (1, b"a\nb\n"), (2, b"err"), (2, b"or\n"), (1, b"no end"))
    found = list(logs.read_log(path))
    assert text(found, 1) == b"a\nb\nno end"
    assert text(found, 2) == b"error\n"
    assert all(line.when.endswith("Z") for line in found)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=50)), max_size=12))
def test_every_byte_comes_back(tmp_path_factory, pieces):
    path = str(tmp_path_factory.mktemp("log") / "log")
    write(path, *pieces)
    found = list(logs.read_log(path))
    for stream in (1, 2):
        assert text(found, stream) == b"".join(data for number, data in pieces if number == stream)


def test_the_last_lines_with_all_their_pieces(path):
    write(path, (1, b"one\n"), (1, b"tw"), (2, b"err\n"), (1, b"o\n"))
    assert text(logs.tail(logs.read_log(path), 2), 1) == b"two\n"
    assert logs.tail(logs.read_log(path), 0) == []


def test_a_line_being_written_is_left_alone():
    assert logs.parse_line(b"2026-01-01T00:00:00.000000000Z stdout F half") is None
    assert logs.parse_line(b"garbage\n") is None


@pytest.mark.parametrize(
    ("stamp", "found"),
    [
        ("2026-11-24T19:39:28.822963583+00:00", "2026-11-24T19:39:28.822963583Z"),
        ("2026-11-24T19:39:28.5+02:00", "2026-11-24T17:39:28.5Z"),
        ("2026-11-24T19:39:28.5-01:30", "2026-11-24T21:09:28.5Z"),
        ("2026-11-24T19:39:28.5Z", "2026-11-24T19:39:28.5Z"),
        ("nonsense", "nonsense"),
    ],
)
def test_times_are_utc(stamp, found):
    assert logs.utc(stamp) == found


def test_rotated_files_come_first(path):
    write(f"{path}.2", (1, b"1\n"))
    write(f"{path}.1", (1, b"2\n"))
    write(path, (1, b"3\n"))
    assert text(logs.read_log(path)) == b"1\n2\n3\n"


def test_following_ends_with_the_container_and_misses_nothing(path):
    write(path, (1, b"before\n"))
    seen = []
    alive = [True]

    def reader():
        seen.extend(logs.follow(path, 0, lambda: alive[0]))

    thread = threading.Thread(target=reader)
    thread.start()
    for number in range(20):
        write(path, (1, b"%d\n" % number))
    alive[0] = False
    thread.join(timeout=90)
    assert text(seen) == b"before\n" + b"".join(b"%d\n" % number for number in range(20))
