# SPDX-License-Identifier: Apache-2.0
"""Archives as files that are wholly there or not at all."""

from __future__ import annotations

import os
import resource

import pytest

from scow.build.output import sink
from scow.errors import ScowError


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    with sink(str(path)) as out:
        out.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with pytest.raises(KeyboardInterrupt), sink(str(path)) as out:
        out.write(b"newer")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_a_disk_that_is_full_in_the_very_end_keeps_nothing_of_it(tmp_path):
    """The last bytes are written when the file is closed."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = sink(str(tmp_path / "out.tar"))
    file = out.__enter__()
    file.write(b"x" * 1000)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        with pytest.raises((OSError, ScowError)):
            out.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with sink(str(pipe)) as out:
        out.write(b"tar")
    assert os.read(reader, 10) == b"tar"
    os.close(reader)


def test_the_name_of_an_open_file_is_not_taken_away_from_it(tmp_path):
    """As ``dest=/dev/stdout`` is, when standard output is a file."""
    with open(tmp_path / "out.tar", "wb") as standard, sink(f"/proc/self/fd/{standard.fileno()}") as out:
        out.write(b"tar")
    assert (tmp_path / "out.tar").read_bytes() == b"tar"
    assert os.listdir(tmp_path) == ["out.tar"]
