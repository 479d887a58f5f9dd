# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from fakes.trust import GUN, Words, golden
from scow.errors import NotFoundError
from scow.trust import keyfiles
from scow.trust.failures import NoSigningKeyError
from scow.trust.keystore import KeyStore

ROOT = "299819cb7fcd14f6cd77de4a3a8ee8abfeb2a56287acb5837058bf0f1568fb6c"


@pytest.fixture
def words():
    return Words()


@pytest.fixture
def keys(tmp_path, words):
    return KeyStore(str(tmp_path / "trust"), words, 10)


def put(tmp_path, name, text):
    folder = tmp_path / "trust" / "private"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text)


def test_a_new_key_is_kept_where_docker_keeps_it(keys, words, tmp_path):
    made = keys.create("targets", GUN)
    path = tmp_path / "trust" / "private" / f"{made.id}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    file = keyfiles.parse(path.read_bytes())
    assert (file.role, file.gun) == ("targets", GUN)
    assert words.asked == [("targets", made.id, True, 0)]
    assert [(key.id, key.role, key.gun) for key in keys.held()] == [(made.id, "targets", GUN)]


def test_a_key_is_asked_for_once(tmp_path, words):
    made = KeyStore(str(tmp_path / "trust"), words, 10).create("alice")
    words.asked.clear()
    keys = KeyStore(str(tmp_path / "trust"), words, 10)
    assert keys.unlock(made.id).id == keys.unlock(made.id).id == made.id
    assert words.asked == [("alice", made.id, False, 0)]


def test_docker_s_own_key(keys, words, tmp_path):
    put(tmp_path, f"{ROOT}.key", golden("keys", "root.key"))
    words.said = ["wrong", "rootpass123"]
    assert keys.of_role("root") == ROOT
    assert keys.unlock(ROOT).id == ROOT
    assert [attempt for *_, attempt in words.asked] == [0, 1]


def test_of_several_keys_the_first(keys):
    made = sorted(keys.create("root").id for _ in range(3))
    assert keys.of_role("root") == made[0]
    assert keys.of_role("targets", GUN) == ""


def test_a_passphrase_that_is_never_right(keys, words, tmp_path):
    put(tmp_path, f"{ROOT}.key", golden("keys", "root.key"))
    words.said = ["wrong"]
    with pytest.raises(NoSigningKeyError, match="password invalid"):
        keys.unlock(ROOT)
    assert 3 <= len(words.asked) <= 11


def test_a_key_that_is_not_here(keys):
    with pytest.raises(NotFoundError):
        keys.unlock(ROOT)
    assert list(keys.held()) == []


def test_what_is_no_key_is_left_out(keys, tmp_path):
    put(tmp_path, "notes.key", b"no key")
    put(tmp_path, "notes.txt", golden("keys", "root.key"))
    assert list(keys.held()) == []


def test_a_file_with_another_key_than_its_name_says(keys, words, tmp_path):
    put(tmp_path, f"{'0' * 64}.key", golden("keys", "root.key"))
    words.said = ["rootpass123"]
    with pytest.raises(NoSigningKeyError, match="another key"):
        keys.unlock("0" * 64)


def test_a_plain_key_needs_no_passphrase(keys, words):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = keyfiles.generate()
    der = made.inner.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert keys.open_file(keyfiles.KeyFile("PRIVATE KEY", {}, der), "", "signer").id == made.id
    assert words.asked == []
