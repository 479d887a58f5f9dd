# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.cli.outputfile import write_file
from scow.errors import InvalidArgumentError


def test_a_file_is_replaced_when_all_of_it_was_written(tmp_path):
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_file(str(path), lambda _: (_ for _ in ()).throw(KeyboardInterrupt), what="failed to save image")
    assert path.read_bytes() == b"old"
    write_file(str(path), lambda out: out.write(b"new"), what="failed to save image")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.tar"]
    with pytest.raises(InvalidArgumentError, match="failed to save image"):
        write_file(str(tmp_path), lambda out: out.write(b""), what="failed to save image")


def test_the_name_of_an_open_file_is_not_taken_away_from_it(tmp_path):
    """As ``-o /dev/stdout`` is, when standard output is a file."""
    with open(tmp_path / "out.tar", "wb") as standard:
        name = f"/proc/self/fd/{standard.fileno()}"
        write_file(name, lambda out: out.write(b"tar"), what="failed to save image")
        assert os.path.islink(name)
    assert (tmp_path / "out.tar").read_bytes() == b"tar"
