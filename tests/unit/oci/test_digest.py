# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import pytest

from scow.oci.digest import DiffID, Digest, InvalidDigestError, chain_id, chain_ids, sha256_digest

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64


def test_digest_is_a_string_with_parts() -> None:
    digest = Digest(A)
    assert digest == A
    assert (digest.algorithm, digest.encoded) == ("sha256", "a" * 64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "md5:" + "a" * 32,
        "a" * 64,
    ],
)
def test_malformed_digests_are_refused(text: str) -> None:
    with pytest.raises(InvalidDigestError):
        Digest(text)


def test_other_algorithms_have_their_own_length() -> None:
    assert Digest("sha512:" + "0" * 128).algorithm == "sha512"
    with pytest.raises(InvalidDigestError):
        Digest("sha512:" + "0" * 64)


def test_the_first_chain_id_is_the_diff_id() -> None:
    assert chain_id(None, DiffID(Digest(A))) == A


def test_chain_ids_follow_the_specification() -> None:
    chain = chain_ids([DiffID(Digest(A)), DiffID(Digest(B))])
    assert chain[0] == A
    assert chain[1] == "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()


def test_sha256_digest_of_known_bytes() -> None:
    assert sha256_digest(b"").encoded == hashlib.sha256(b"").hexdigest()
