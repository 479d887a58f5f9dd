# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.runtime.network import dnswire


def query(name, kind=dnswire.A, flags=0x0100, questions=1, space=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, flags, questions, 0, 0, 0) + labels + struct.pack(">HH", kind, space)


def test_a_question():
    found = dnswire.read_question(query("Web.Example") + b"and more")
    assert (found.id, found.name, found.type) == (7, "web.example", dnswire.A)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"short",
        query("a", flags=0x8000),
        query("a", flags=0x2800),
        query("a", questions=2),
        query("a", space=3),
        query("a")[:-3],
        query("a")[:12] + b"\xc0\x0c\0\1\0\1",
        query("a")[:12] + b"\x3f" + b"x" * 10,
        query(".".join(["x" * 60] * 6)),
        query("a") + bytes(5000),
    ],
)
def test_no_questions(packet):
    with pytest.raises((ValueError, IndexError)):
        dnswire.read_question(packet)


def test_an_answer():
    question = dnswire.read_question(query("a"))
    reply = dnswire.answer(question, [b"\1\2\3\4", b"\5\6\7\x08"])
    identity, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", reply)
    assert (identity, flags, questions, answers) == (7, 0x8180, 1, 2)
    assert reply[12 : 12 + len(question.raw)] == question.raw
    assert reply[12 + len(question.raw) :].count(b"\xc0\x0c") == 2


def test_what_does_not_fit_is_said():
    question = dnswire.read_question(query("a"))
    reply = dnswire.answer(question, [bytes(4)] * 100)
    assert len(reply) <= 512
    assert struct.unpack_from(">H", reply, 2)[0] & 0x0200
    assert struct.unpack_from(">H", reply, 6)[0] == (512 - 12 - len(question.raw)) // 16


def test_refusals():
    assert dnswire.refusal(b"xx", 1) == b""
    assert dnswire.refusal(query("a", flags=0x8000), 1) == b"", "answers are not answered"
    reply = dnswire.refusal(query("a"), dnswire.SERVER_FAILURE)
    assert struct.unpack(">HHHHHH", reply) == (7, 0x8102, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "address"),
    [("4.3.2.1.in-addr.arpa", "1.2.3.4"), ("1.in-addr.arpa", ""), ("x.3.2.1.in-addr.arpa", ""), ("a.b", "")],
)
def test_reversed_addresses(name, address):
    assert dnswire.reversed_address(name) == address


def test_names_as_data():
    assert dnswire.encode_name("web.net1") == b"\3web\4net1\0"


@given(st.binary(max_size=600))
def test_nothing_that_comes_in_breaks_it(packet):
    try:
        question = dnswire.read_question(packet)
    except (ValueError, IndexError):
        dnswire.refusal(packet, dnswire.FORMAT_ERROR)
        return
    dnswire.answer(question, [b"\1\2\3\4"])
