# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
import os
import stat

import pytest

from scow.distribution.credentials import HUB_KEY, Credential, CredentialStore, HelperError, auth_key, parse_creds
from scow.errors import InvalidArgumentError

HELPER = """#!/bin/sh
# keeps one credential in a file
dir={dir}
read_all() {{ cat; }}
case "$1" in
  store) cat > $dir/kept ;;
  get) server=$(cat)
    case "$server" in
      broken*) echo "the safe is locked"; exit 1 ;;
      token*) echo '{{"ServerURL":"x","Username":"<token>","Secret":"refresh"}}' ;;
      junk*) echo 'junk' ;;
      *) if [ -f $dir/kept ]; then cat $dir/kept; else echo "credentials not found in native keychain"; exit 1; fi ;;
    esac ;;
  erase) rm -f $dir/kept ;;
esac
"""


@pytest.fixture
def store(tmp_path):
    return CredentialStore(str(tmp_path / "cfg"), {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})


def write(store, document):
    os.makedirs(os.path.dirname(store.path), exist_ok=True)
    with open(store.path, "w") as file:
        json.dump(document, file)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def helper(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-test"
    program.write_text(HELPER.format(dir=tmp_path))
    program.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": f"{folder}:{os.environ['PATH']}"}
    return CredentialStore(str(tmp_path / "cfg"), environ)


def test_nothing_is_known_without_files(store):
    assert store.get("localhost:5000") is None
    assert store.headers() == {}
    assert store.erase("localhost:5000") is False


def test_what_is_stored_is_found_private_and_beside_everything_else(store):
    write(store, {"HttpHeaders": {"X-Meta": "1", "User-Agent": "no"}, "psFormat": "x"})
    assert store.store("localhost:5000", Credential("user", "p:a ss\u00e9")) == store.path
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert store.get("localhost:5000") == ("user", "p:a ss\u00e9", "", "")
    with open(store.path) as file:
        text = file.read()
    assert '\n\t"psFormat": "x"' in text
    assert "p:a" not in text
    assert store.headers() == {"X-Meta": "1"}
    assert store.erase("localhost:5000") is True
    assert store.get("localhost:5000") is None


def test_identity_tokens(store):
    store.store("r.example", Credential("user", "", "refresh-token"))
    assert store.get("r.example") == ("user", "", "refresh-token", "")
    write(store, {"auths": {"r.example": {"auth": encoded("<token>:abc")}, "s.example": {"registrytoken": "xyz"}}})
    assert store.get("r.example").identity_token == "abc"
    assert store.get("s.example").registry_token == "xyz"


def test_docker_hub_has_a_name_of_its_own(store):
    write(store, {"auths": {HUB_KEY: {"auth": encoded("u:p")}}})
    assert store.get("docker.io").username == "u"
    assert auth_key("docker.io") == auth_key("index.docker.io") == HUB_KEY
    assert auth_key("ghcr.io") == "ghcr.io"


def test_old_files_have_urls(store):
    write(store, {"auths": {"https://r.example/v1/": {"auth": encoded("u:p")}}})
    assert store.get("r.example").username == "u"
    assert store.erase("r.example")


def test_a_link_is_followed_when_saving(store, tmp_path):
    os.makedirs(os.path.dirname(store.path))
    (tmp_path / "real.json").write_text("{}")
    os.symlink(tmp_path / "real.json", store.path)
    store.store("r", Credential("u", "p"))
    assert os.path.islink(store.path)
    assert "auths" in json.loads((tmp_path / "real.json").read_text())


@pytest.mark.parametrize("text", ["{", "\xff", "[" * 100_000])
def test_a_damaged_file_is_named_and_not_overwritten(store, text):
    os.makedirs(os.path.dirname(store.path))
    with open(store.path, "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(InvalidArgumentError, match=r"config\.json"):
        store.get("r")
    with pytest.raises(InvalidArgumentError):
        store.store("r", Credential("u", "p"))


def test_credentials_that_are_not_base64(store):
    write(store, {"auths": {"r": {"auth": "!!!"}}})
    with pytest.raises(InvalidArgumentError, match="base64"):
        store.get("r")


def test_podmans_files_are_read_the_longest_prefix_first(store, tmp_path):
    folder = tmp_path / ".config" / "containers"
    folder.mkdir(parents=True)
    auths = {"r.example": "all", "r.example/team": "team", "r.example/team/app": "app"}
    (folder / "auth.json").write_text(json.dumps({"auths": {k: {"auth": encoded(f"{v}:p")} for k, v in auths.items()}}))
    assert store.get("r.example", "team/app").username == "app"
    assert store.get("r.example", "team/other").username == "team"
    assert store.get("r.example", "x").username == "all"
    assert store.get("s.example", "x") is None
    write(store, {"auths": {"r.example": {"auth": encoded("docker:p")}}})
    assert store.get("r.example", "team/app").username == "docker"


def test_a_helper_keeps_secrets_out_of_the_file(helper):
    write(helper, {"credsStore": "test"})
    assert helper.get("r.example") is None
    assert helper.store("r.example", Credential("user", "s3cret")) == ""
    with open(helper.path) as file:
        assert "s3cret" not in file.read()
    assert helper.get("r.example")[:2] == ("user", "s3cret")
    assert helper.erase("r.example") is True
    assert helper.get("r.example") is None


def test_a_helper_for_one_registry(helper):
    write(helper, {"credHelpers": {"token.example": "test"}, "auths": {"r.example": {"auth": encoded("u:p")}}})
    assert helper.get("token.example").identity_token == "refresh"
    assert helper.get("r.example").username == "u"


def test_helpers_that_fail_say_why(helper):
    write(helper, {"credsStore": "test"})
    with pytest.raises(HelperError, match="the safe is locked"):
        helper.get("broken.example")
    with pytest.raises(HelperError, match="no usable answer"):
        helper.get("junk.example")
    write(helper, {"credsStore": "absent"})
    with pytest.raises(HelperError, match="not installed"):
        helper.get("r.example")
    write(helper, {"credsStore": "../../bin/sh"})
    with pytest.raises(InvalidArgumentError, match="not the name"):
        helper.get("r.example")


def test_credentials_on_the_command_line():
    assert parse_creds("a:b:c")[:2] == ("a", "b:c")
    for text in ("", "a", ":b"):
        with pytest.raises(InvalidArgumentError):
            parse_creds(text)


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(Credential("u", "s3cret", "s3cret", "s3cret"))


def test_what_another_login_has_kept_meanwhile_stays(store, tmp_path, monkeypatch):
    """Two logins at once: the second one has looked into the file before the first one writes it."""
    other = CredentialStore(str(tmp_path / "cfg"), {"HOME": str(tmp_path)})
    helper = CredentialStore._helper

    def meanwhile(document, key):
        monkeypatch.setattr(CredentialStore, "_helper", staticmethod(helper))
        other.store("first.example", Credential("a", "b"))
        return helper(document, key)

    monkeypatch.setattr(CredentialStore, "_helper", staticmethod(meanwhile))
    store.store("second.example", Credential("c", "d"))
    assert store.get("first.example") == Credential("a", "b")
    assert store.get("second.example") == Credential("c", "d")
