# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
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


def test_no_file_begins_inside_a_line(path):
    writer = logs.LogWriter(path, 200, 3)
    for number in range(60):
        for piece in (b"line ", b"%02d" % number, b"\n"):
            writer.write(1, piece)
    writer.close()
    for name in (path, f"{path}.1", f"{path}.2"):
        with open(name, "rb") as file:
            assert file.readline().endswith(b"P line \n"), name


def test_a_line_without_end_is_bounded_too(path):
    writer = logs.LogWriter(path, 200, 3)
    for _ in range(400):
        writer.write(1, b"x" * 100)
    writer.close()
    assert all(os.path.getsize(name) < 200 + (16 << 10) + 200 for name in (path, f"{path}.1", f"{path}.2"))


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
        seen.extend(logs.follow(logs.LogReader(path), lambda: alive[0]))

    thread = threading.Thread(target=reader)
    thread.start()
    for number in range(20):
        write(path, (1, b"%d\n" % number))
    alive[0] = False
    thread.join(timeout=90)
    assert text(seen) == b"before\n" + b"".join(b"%d\n" % number for number in range(20))


def test_a_full_log_moves_on_and_the_oldest_goes(path):
    writer = logs.LogWriter(path, 200, 3)
    for number in range(40):
        writer.write(1, b"%d\n" % number)
    writer.close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["log", "log.1", "log.2"]
    assert all(os.path.getsize(f"{path}{tail}") <= 200 for tail in ("", ".1", ".2"))
    kept = [int(line) for line in text(logs.read_log(path)).split()]
    assert kept == list(range(kept[0], 40))
    assert len(kept) > 8, "two full files and the one that is written"


def test_one_file_begins_anew(path):
    writer = logs.LogWriter(path, 200, 1)
    for number in range(40):
        writer.write(1, b"%d\n" % number)
    assert os.listdir(os.path.dirname(path)) == ["log"]
    kept = [int(line) for line in text(logs.read_log(path)).split()]
    assert kept == list(range(kept[0], 40))
    assert os.path.getsize(path) <= 200


def test_a_line_longer_than_a_file_has_a_file_of_its_own(path):
    writer = logs.LogWriter(path, 100, 4)
    for data in (b"a\n", b"x" * 300 + b"\n", b"b\n"):
        writer.write(1, data)
    assert text(logs.read_log(path)) == b"a\n" + b"x" * 300 + b"\nb\n"
    assert os.path.getsize(f"{path}.1") > 300


def test_a_writer_goes_on_in_the_file_that_is_there(path):
    for number in range(40):
        writer = logs.LogWriter(path, 200, 2)
        writer.write(1, b"%d\n" % number)
        writer.close()
    assert max(os.path.getsize(path), os.path.getsize(f"{path}.1")) <= 200


def test_carriage_returns_are_no_line_breaks(path):
    write(path, (1, b"10%\r100%\r\n"), (1, b"end\n"))
    assert text(logs.read_log(path)) == b"10%\r100%\r\nend\n"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=40), st.integers(60, 300))
def test_a_reader_misses_nothing_while_enough_files_are_kept(tmp_path_factory, steps, size):
    """Whether it looks after each line or now and then, at each moment of a rotation."""
    path = str(tmp_path_factory.mktemp("log") / "log")
    writer, reader = logs.LogWriter(path, size, 100), logs.LogReader(path)
    said, seen = b"", b""
    for looks, length in steps:
        data = b"x" * length + b"\n"
        writer.write(1, data)
        said += data
        if looks:
            seen += text(reader.more())
            assert seen == said
    seen += text(reader.more())
    assert seen == said
    assert text(logs.read_log(path)) == said
    reader.close()
    writer.close()


def test_a_reader_that_was_left_behind_goes_on_with_the_oldest_file(path):
    writer, reader = logs.LogWriter(path, 100, 2), logs.LogReader(path)
    writer.write(1, b"first\n")
    assert text(reader.more()) == b"first\n"
    for number in range(20):
        writer.write(1, b"%d\n" % number)
    end, *rest = [int(line) for line in text(reader.more()).split()]
    assert end == 0, "what was written to its own file before that was given up"
    assert rest == list(range(rest[0], 20))


def test_a_log_is_read_while_another_thread_rotates_it(path):
    count = 300
    writer = logs.LogWriter(path, 500, count)
    done = threading.Event()

    def write_all():
        for number in range(count):
            writer.write(1, b"%d\n" % number)
        done.set()

    thread = threading.Thread(target=write_all)
    thread.start()
    seen = text(logs.follow(logs.LogReader(path), lambda: not done.is_set()))
    thread.join()
    assert [int(line) for line in seen.split()] == list(range(count))


def test_what_a_monitor_says_is_kept_by_another_process(path):
    source, waiting, lock = logs.open_pipe(path)
    pid = os.fork()
    if pid == 0:
        os.close(waiting)
        logs.keep(source, lock, path, 1 << 20, 2)
        os._exit(0)
    os.close(source)
    os.close(lock)
    monitor = os.open(path + logs.PIPE, os.O_WRONLY)
    os.close(waiting)
    said = b"".join(b"2026-01-01T00:00:00.000000000Z stdout F %d\n" % number for number in range(5000))
    for begin in range(0, len(said), 999):
        os.write(monitor, said[begin : begin + 999])
    os.close(monitor)
    logs.wait_written(path)
    assert text(logs.read_log(path)).split() == [b"%d" % number for number in range(5000)]
    assert os.waitpid(pid, 0)[1] == 0


def test_a_monitor_that_never_comes_is_not_waited_for(path):
    source, waiting, lock = logs.open_pipe(path)
    os.close(waiting)
    logs.keep(source, lock, path, 1 << 20, 2)
    os.close(source)
    os.close(lock)
    logs.wait_written(path)
    assert list(logs.read_log(path)) == []


def test_nobody_writes_a_log_without_a_bound(path):
    logs.wait_written(path)
    assert not os.path.exists(path)


def test_a_log_that_cannot_begin_a_new_file_goes_on_in_the_old_one(path, tmp_path, monkeypatch):
    """The number of a descriptor that was closed too early would be another file's by then."""
    writer = logs.LogWriter(path, size=100, files=3)
    writer.write(1, b"first\n")
    append = logs._append_to
    monkeypatch.setattr(logs, "_append_to", lambda _path: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    for _ in range(3):
        with pytest.raises(OSError, match="full"):
            writer.write(1, b"x" * 90 + b"\n")
    with open(tmp_path / "other", "w+b", buffering=0) as other:
        monkeypatch.setattr(logs, "_append_to", append)
        writer.write(1, b"y" * 90 + b"\n")
        assert other.read() == b""
    writer.close()
    assert text(logs.read_log(path)) == b"first\n" + b"y" * 90 + b"\n"
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "other"]
