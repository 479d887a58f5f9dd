# SPDX-License-Identifier: Apache-2.0
"""Questions and answers of the name service, as bytes. Pure.

Only as much as a container's own name server needs: one question in, addresses or names out. Everything else is passed
on as it came.

Source: RFC 1035, sections 4.1 and 3.3; RFC 3596 for AAAA.
"""

from __future__ import annotations

import struct

from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

A, PTR, AAAA, INTERNET = 1, 12, 28, 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_NAME = 0, 1, 2, 3
MAX_QUERY = 4096
_HEADER = struct.Struct(">HHHHHH")
_RESPONSE, _RECURSION_WANTED, _RECURSION_THERE, _TRUNCATED = 0x8000, 0x0100, 0x0080, 0x0200
_OPCODE = 0x7800
_MAX_NAME, _MAX_LABEL = 255, 63
_PLAIN = 512
_TTL_SECONDS = 30


class Question(NamedTuple):
    """What is asked.

    Args:
        id: Chosen by who asks; repeated in the answer.
        flags: The header's flags.
        name: In lower case, without a dot at its end.
        type: :data:`A`, :data:`AAAA`, :data:`PTR` or another number.
        raw: The bytes of the question section.
    """

    id: int
    flags: int
    name: str
    type: int
    raw: bytes


def read_question(packet: bytes) -> Question:
    """Read a query.

    Raises:
        ValueError: It is no query, or has not exactly one question of the internet class.
    """
    if not _HEADER.size < len(packet) <= MAX_QUERY:
        raise ValueError("not as long as a query")
    identity, flags, questions, _, _, _ = _HEADER.unpack_from(packet)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        raise ValueError("not a query with one question")
    labels = []
    at = _HEADER.size
    while packet[at]:
        length = packet[at]
        if length > _MAX_LABEL or at + length + 1 >= len(packet) or at - _HEADER.size > _MAX_NAME:
            raise ValueError("not a name")
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += length + 1
    if at + 5 > len(packet):
        raise ValueError("ends too soon")
    kind, space = struct.unpack_from(">HH", packet, at + 1)
    if space != INTERNET:
        raise ValueError("not of the internet class")
    return Question(identity, flags, ".".join(labels), kind, packet[_HEADER.size : at + 5])


def answer(question: Question, records: Iterable[bytes], *, code: int = NO_ERROR, most: int = _PLAIN) -> bytes:
    """Write an answer.

    Args:
        question: What was asked.
        records: The data of each record, of the type that was asked for.
        code: :data:`NO_ERROR` or what went wrong.
        most: Bytes the answer may have; records that do not fit are left out, and that is said.
    """
    flags = _RESPONSE | _RECURSION_THERE | (question.flags & _RECURSION_WANTED) | code
    out = b""
    count = 0
    for data in records:
        # the name is a pointer to the question's
        record = struct.pack(">HHHIH", 0xC00C, question.type, INTERNET, _TTL_SECONDS, len(data)) + data
        if _HEADER.size + len(question.raw) + len(out) + len(record) > most:
            flags |= _TRUNCATED
            break
        out += record
        count += 1
    return _HEADER.pack(question.id, flags, 1, count, 0, 0) + question.raw + out


def refusal(packet: bytes, code: int) -> bytes:
    """Answer a packet that could not be read, as far as it has a header; else nothing.

    Args:
        packet: What came.
        code: What is wrong with it.
    """
    if len(packet) < _HEADER.size or packet[2] & (_RESPONSE >> 8):
        return b""
    identity, flags = struct.unpack_from(">HH", packet)
    return _HEADER.pack(identity, _RESPONSE | (flags & (_OPCODE | _RECURSION_WANTED)) | code, 0, 0, 0, 0)


def encode_name(name: str) -> bytes:
    """A name as a record's data; labels that are too long are cut."""
    labels = [label.encode("latin-1", "replace")[:_MAX_LABEL] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reversed_address(name: str) -> str:
    """The IPv4 address that a name of a reverse lookup asks for; ``""`` for other names."""
    labels = name.removesuffix(".in-addr.arpa").split(".")
    if not name.endswith(".in-addr.arpa") or len(labels) != 4 or not all(label.isdigit() for label in labels):
        return ""
    return ".".join(reversed(labels))
