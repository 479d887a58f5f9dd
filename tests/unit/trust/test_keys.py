# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fakes.trust import DAY, GUN, NOW, Key
from scow.trust.keys import PublicKey, certificate, is_for, verify

MESSAGE = b"the message"


def public(key):
    return PublicKey(key.kind, key.public)


@pytest.mark.parametrize("key", [Key(), Key(GUN), Key(kind="ed25519")], ids=["ecdsa", "ecdsa-x509", "ed25519"])
def test_a_signature_holds_for_its_key_and_message_only(key):
    found = key.sign(MESSAGE)
    method, value = found["method"], base64.b64decode(found["sig"])
    assert public(key).id == key.id
    assert verify(public(key), method, value, MESSAGE)
    assert not verify(public(key), method, value, MESSAGE + b".")
    assert not verify(public(key), method, value[:-1], MESSAGE)
    assert not verify(public(key), "rsapss", value, MESSAGE)
    assert not verify(public(Key(kind=key.kind.removesuffix("-x509"))), method, value, MESSAGE)


def test_der_and_short_numbers_are_no_ecdsa_signatures_here():
    key = Key()
    assert not verify(public(key), "ecdsa", key.private.sign(MESSAGE, ec.ECDSA(hashes.SHA256())), MESSAGE)
    assert not verify(public(key), "ecdsa", bytes(64), MESSAGE)


@pytest.mark.parametrize(("bits", "good"), [(2048, True), (1024, False)])
def test_rsa_keys_have_2048_bits(bits, good):
    private = rsa.generate_private_key(65537, bits)
    key = PublicKey("rsa", private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    digest = hashes.SHA256()
    pss = private.sign(MESSAGE, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    assert verify(key, "rsapss", pss, MESSAGE) is good
    assert verify(key, "rsapkcs1v15", private.sign(MESSAGE, padding.PKCS1v15(), digest), MESSAGE) is good
    assert not verify(key, "ecdsa", pss, MESSAGE)


@pytest.mark.parametrize("keytype", ["ecdsa", "ecdsa-x509", "ed25519", "rsa", "none"])
def test_what_is_no_key_signs_nothing(keytype):
    assert not verify(PublicKey(keytype, b"no key"), "ecdsa", bytes(64), MESSAGE)


def test_the_bare_key_of_a_certificate():
    key = Key(GUN)
    bare = public(key).bare
    assert (bare.keytype, bare.id) == ("ecdsa", Key(private=key.private).id)
    assert bare.bare is bare
    assert hashlib.sha256(bare.public).hexdigest() != bare.id


def test_a_certificate_is_for_its_repository_in_its_time():
    key = public(Key(GUN))
    assert is_for(key, GUN, NOW)
    assert not is_for(key, GUN + "2", NOW)
    assert not is_for(public(Key(GUN, end=NOW - 1)), GUN, NOW)
    assert is_for(public(Key(GUN, end=NOW - 1)), GUN, None)
    assert is_for(public(Key(GUN, begin=NOW + DAY / 2)), GUN, NOW)
    assert not is_for(public(Key(GUN, begin=NOW + 2 * DAY)), GUN, NOW)
    assert not is_for(public(Key()), GUN, NOW)
    assert not is_for(PublicKey("ecdsa-x509", b"no certificate"), GUN, NOW)


def test_a_certificate_for_a_prefix():
    assert is_for(public(Key("registry.example:5000/team/*")), GUN, NOW)
    assert not is_for(public(Key("registry.example:5000/teams/*")), GUN, NOW)


def test_names_beyond_64_characters():
    gun = f"registry.example:5000/{'a' * 80}/app"
    assert is_for(public(Key(gun)), gun, NOW)


def test_a_chain_begins_with_the_key_itself():
    both = PublicKey("ecdsa-x509", Key(GUN).public + Key("another").public)
    with pytest.raises(ValueError):
        certificate(both)
    assert not is_for(both, GUN, NOW)
