# SPDX-License-Identifier: Apache-2.0
"""Key files that docker 28.2.2 made, files of our own, and files that are none."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fakes.trust import GUN, NOW, Key, golden
from scow.trust import keyfiles
from scow.trust.keyfiles import KeyFileError, PrivateKey, WrongPassphraseError
from scow.trust.keys import is_for, verify

ROOT = "299819cb7fcd14f6cd77de4a3a8ee8abfeb2a56287acb5837058bf0f1568fb6c"
ALICE = "ac8d56b200aa2910f4faed01c403904f27383636ecd975fd10a6036cf995191d"


@pytest.fixture(scope="module")
def key():
    return keyfiles.generate()


@pytest.mark.parametrize(
    ("name", "passphrase", "role", "gun", "identity"),
    [
        ("root.key", "rootpass123", "root", "", ROOT),
        ("alice.key", "repopass123", "alice", "", ALICE),
        ("targets.key", "repopass123", "targets", "localhost:5601/trustt/app", ""),
        ("targets-600k-iterations-written-by-python.key", "repopass123", "targets", "localhost:5601/trustt/pynew", ""),
    ],
)
def test_keys_of_docker(name, passphrase, role, gun, identity):
    file = keyfiles.parse(golden("keys", name))
    assert (file.role, file.gun, file.is_encrypted) == (role, gun, True)
    opened = keyfiles.open_key(file, passphrase)
    assert not identity or opened.id == identity
    signature = opened.sign(b"message", "x")
    assert verify(opened.public, signature.method, signature.value, b"message")
    with pytest.raises(WrongPassphraseError):
        keyfiles.open_key(file, passphrase + "4")


def test_a_file_written_here_is_laid_out_as_docker_s(key):
    text = keyfiles.close_key(key, {"role": "targets", "gun": GUN}, "secret words", 10)
    assert text.startswith(f"-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: {GUN}\nrole: targets\n\n".encode())
    assert text.endswith(b"\n-----END ENCRYPTED PRIVATE KEY-----\n")
    file = keyfiles.parse(text)
    assert keyfiles.open_key(file, "secret words").id == key.id
    with pytest.raises(WrongPassphraseError):
        keyfiles.open_key(file, "other words")
    assert keyfiles.close_key(key, {}, "secret words", 10) != keyfiles.close_key(key, {}, "secret words", 10)


def test_what_docker_wrote_comes_out_as_docker_wrote_it():
    for name in ("root.key", "targets.key"):
        text = golden("keys", name)
        assert keyfiles.write_pem(*keyfiles.parse_pem(text)) == text


def test_openssl_reads_what_is_written(key, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    text = keyfiles.close_key(key, {}, "secret words", 10)
    command = ["openssl", "pkcs8", "-passin", "pass:secret words", "-outform", "DER"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=120)
    assert keyfiles.open_key(keyfiles.KeyFile("EC PRIVATE KEY", {}, done.stdout)).id == key.id


@pytest.mark.parametrize(("label", "form"), [("PRIVATE KEY", "PKCS8"), ("EC PRIVATE KEY", "TraditionalOpenSSL")])
def test_plain_keys(key, label, form):
    der = key.inner.private_bytes(Encoding.DER, getattr(PrivateFormat, form), NoEncryption())
    file = keyfiles.parse(keyfiles.write_pem(label, {}, der))
    assert not file.is_encrypted
    assert keyfiles.open_key(file).id == key.id


def test_rsa_keys_sign():
    key = PrivateKey(rsa.generate_private_key(65537, 2048))
    signature = key.sign(b"message", "x")
    assert (key.public.keytype, signature.method) == ("rsa", "rsapss")
    assert verify(key.public, signature.method, signature.value, b"message")
    text = keyfiles.close_key(key, {}, "secret words", 10)
    assert keyfiles.open_key(keyfiles.parse(text), "secret words").id == key.id


def test_other_kinds_of_key_are_refused():
    der = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyFileError, match="neither an elliptic curve key nor an RSA key"):
        keyfiles.open_key(keyfiles.KeyFile("PRIVATE KEY", {}, der))


def test_old_encryption_is_refused_with_what_to_do(key):
    file = keyfiles.KeyFile("EC PRIVATE KEY", {"DEK-Info": "AES-128-CBC,00"}, b"x")
    assert file.is_encrypted
    with pytest.raises(KeyFileError) as caught:
        keyfiles.open_key(file, "secret words")
    assert "openssl pkcs8" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\x00",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n****\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN -----\nAAAA\n-----END -----\n",
    ],
)
def test_what_is_no_key_file(text):
    with pytest.raises(KeyFileError):
        keyfiles.parse(text)


def test_no_damage_is_taken_for_a_key(key):
    text = keyfiles.close_key(key, {}, "secret words", 10)
    der = keyfiles.parse(text).der
    for at in range(90):  # the envelope; what is sealed fails as a wrong passphrase does
        for damaged in (der[:at], der[:at] + bytes([der[at] ^ 0x15]) + der[at + 1 :]):
            try:
                opened = keyfiles.open_key(keyfiles.KeyFile("ENCRYPTED PRIVATE KEY", {}, damaged), "secret words")
            except KeyFileError:
                continue
            assert opened.id == key.id


def test_a_passphrase_that_would_take_for_ever_to_try_is_not_tried(key):
    text = keyfiles.close_key(key, {}, "secret words", 10)
    der = keyfiles.parse(text).der.replace(b"\x02\x01\x0a", b"\x02\x01\x00")
    with pytest.raises(KeyFileError, match="damaged"):
        keyfiles.open_key(keyfiles.KeyFile("ENCRYPTED PRIVATE KEY", {}, der), "secret words")


def test_a_certificate_for_a_repository(key):
    gun = f"registry.example/{'a' * 90}"
    certified = key.certificate(gun, NOW, 1000)
    assert certified.keytype == "ecdsa-x509"
    assert certified.bare == key.public
    assert is_for(certified, gun, NOW + 999)
    assert not is_for(certified, gun, NOW + 1001)
    assert certified.id != key.id


def test_public_keys():
    alice = keyfiles.parse_public(golden("keys", "alice.pub"))
    assert alice.id == ALICE
    assert keyfiles.write_public(alice, "alice") == golden("keys", "alice.pub")
    certified = Key(GUN)
    assert keyfiles.parse_public(certified.public).id == certified.id
    for text in (
        golden("keys", "alice.key"),
        b"no key",
        keyfiles.write_pem("PUBLIC KEY", {}, b"no key"),
        keyfiles.write_pem("PUBLIC KEY", {}, base64.b64decode("MCowBQYDK2VwAyEA" + "A" * 43 + "=")),
    ):
        with pytest.raises(KeyFileError):
            keyfiles.parse_public(text)
