# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import hashlib
import os
import threading

import pytest

from scow.base.files import NoSpaceError
from scow.build import spool as module
from scow.build.spool import Spool
from scow.errors import UnavailableError


def test_everything_is_written_in_order(tmp_path):
    path = str(tmp_path / "layer")
    pieces = [bytes([number % 251]) * (number * 37 % 70_000) for number in range(300)]
    with Spool(path) as spool:
        for piece in pieces:
            assert spool.write(piece) == len(piece)
    whole = b"".join(pieces)
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(whole).digest()
    assert spool.size == len(whole)
    assert os.stat(path).st_mode & 0o777 == 0o444


def test_the_digest_is_computed_on_the_way_when_it_is_wanted(tmp_path):
    pieces = [os.urandom(number * 3001 % 90_000) for number in range(200)]
    with Spool(str(tmp_path / "layer"), hashing=True) as spool:
        for piece in pieces:
            spool.write(piece)
    assert spool.digest == f"sha256:{hashlib.sha256(b''.join(pieces)).hexdigest()}"
    with Spool(str(tmp_path / "other")) as spool:
        pass
    with pytest.raises(ValueError, match="does not hash"):
        _ = spool.digest


def test_a_buffer_that_the_caller_uses_again_is_not_written_twice(tmp_path):
    path = str(tmp_path / "layer")
    buffer = bytearray(b"one")
    with Spool(path) as spool:
        spool.write(memoryview(buffer))
        buffer[:] = b"two"
        spool.write(buffer)
    with open(path, "rb") as file:
        assert file.read() == b"onetwo"


def test_a_full_disk_is_told_and_never_waited_for(tmp_path, monkeypatch):
    def full(_fd, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(NoSpaceError), Spool(str(tmp_path / "layer")) as spool:
        for _ in range(module._WAITING * 4):
            spool.write(b"x" * module._BATCH)


def test_an_error_of_the_caller_is_the_one_that_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "write", lambda _fd, _data: (_ for _ in ()).throw(OSError(errno.EIO, "io")))
    with pytest.raises(ValueError, match="mine"), Spool(str(tmp_path / "layer")) as spool:
        spool.write(b"x")
        raise ValueError("mine")


def test_nothing_that_is_there_is_overwritten(tmp_path):
    path = tmp_path / "layer"
    path.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        Spool(str(path))
    assert path.read_bytes() == b"theirs"


def test_no_descriptor_is_left_where_no_thread_can_be_started(tmp_path, monkeypatch):
    spool = Spool(str(tmp_path / "layer"))
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no new thread")))
    with pytest.raises(UnavailableError, match="thread"), spool:
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(spool._fd)
