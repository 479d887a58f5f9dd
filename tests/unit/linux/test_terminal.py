# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import os
import struct
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import InvalidArgumentError
from scow.linux.terminal import DetachKeys, RawMode, parse_keys, size


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a,ctrl-@", b"a\x00"),
        ("ctrl-[", b"\x1b"),
        ("ctrl-A", b"\x01"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_key_sequences(text, keys):
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-ab", "ctrl-1", "ab", "a,,b"])
def test_no_key_sequences(text):
    with pytest.raises(InvalidArgumentError):
        parse_keys(text)


def test_the_sequence_is_found_even_in_pieces():
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"ab\x10") == (b"ab", False)
    assert keys.feed(b"\x11rest") == (b"", True)


def test_a_broken_sequence_is_typed_after_all():
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"\x10x") == (b"\x10x", False)
    assert keys.feed(b"\x10\x10") == (b"\x10", False)
    assert keys.feed(b"\x11") == (b"", True)


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_without_the_sequence_nothing_is_lost(pieces):
    pieces = [piece.replace(b"\x11", b"") for piece in pieces]
    keys = DetachKeys(b"\x10\x11")
    out = b""
    for piece in [*pieces, b"."]:
        passed, leave = keys.feed(piece)
        assert not leave
        out += passed
    assert out == b"".join(pieces) + b"."


@given(st.binary(max_size=30))
def test_no_keys_means_everything_passes(data):
    assert DetachKeys(b"").feed(data) == (data, False)


def test_size_and_raw_mode_of_a_terminal():
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        assert size(slave) == (33, 99)
        before = termios.tcgetattr(slave)
        with RawMode(slave):
            assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_what_is_no_terminal_has_no_size_and_no_mode(tmp_path):
    with open(tmp_path / "f", "w") as file:
        assert size(file.fileno()) == (0, 0)
        with RawMode(file.fileno()):
            pass
    with RawMode(-1):
        pass
