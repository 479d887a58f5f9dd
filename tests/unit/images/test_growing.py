# SPDX-License-Identifier: Apache-2.0
"""Reading behind a writer: never past what is verified, and never another's file."""

from __future__ import annotations

import os

import pytest

from scow.errors import CancelledError
from scow.images.growing import GrowingFile, RestartedError


@pytest.fixture
def growing(tmp_path):
    (tmp_path / "ingest").write_bytes(b"")
    file = GrowingFile()
    file.begin(str(tmp_path / "ingest"), 0)
    return file


def test_a_reader_gets_what_came_and_ends_at_the_verified_end(growing, tmp_path):
    (tmp_path / "ingest").write_bytes(b"abcdef")
    growing.advance(4)
    reader = growing.open()
    assert reader.read() == b"abcd"
    growing.advance(6)
    growing.verified()
    os.rename(tmp_path / "ingest", tmp_path / "blob")  # as a commit does
    assert [reader.read(), reader.read()] == [b"ef", b""]
    reader.close()


def test_what_another_process_began_under_the_same_name_is_not_read(growing, tmp_path):
    growing.verified()
    os.rename(tmp_path / "ingest", tmp_path / "blob")
    with pytest.raises(FileNotFoundError):
        growing.open()
    (tmp_path / "ingest").write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        growing.open()


def test_readers_begin_again_with_the_writer_and_end_with_it(growing, tmp_path):
    (tmp_path / "ingest").write_bytes(b"abcdef")
    growing.advance(4)
    reader = growing.open()
    growing.advance(0)
    with pytest.raises(RestartedError):
        reader.read()
    growing.failed()
    with pytest.raises(CancelledError):
        growing.open().read()
