# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tempfile import TemporaryFile

import pytest

from fakes.stores import tar_of
from scow.build.suspicious import Suspicion, in_layer, in_value, is_plain, refuse

KEY = b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"


def found(files):
    with TemporaryFile() as file:
        file.write(tar_of(files))
        file.seek(0)
        return list(in_layer(file))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("root/.ssh/id_ed25519", KEY, "a private SSH key"),
        ("id_rsa", KEY, "a private SSH key"),
        ("app/tls/server.key", KEY, "a private key"),
        ("root/.netrc", b"machine x.test login me password hunter2\n", "a password"),
        ("app/.npmrc", b"//registry.test/:_authToken=abc\n", "a registry token"),
        ("root/.pypirc", b"[x]\nusername = me\npassword = hunter2\n", "a package index password"),
        ("root/.git-credentials", b"https://me:hunter2@git.test\n", "a git password"),
        ("app/.git/config", b'[remote "o"]\n  url = https://me:hunter2@git.test/x\n', "a git password"),
        ("root/.aws/credentials", b"[default]\naws_secret_access_key = abc\n", "an AWS key"),
        ("root/.docker/config.json", b'{"auths": {"x": {"auth": "YTpi"}}}', "a registry login"),
        ("app/credentials.json", b'{"private_key": "-----BEGIN', "a service account key"),
    ],
)
def test_files_with_credentials(name, content, what):
    assert found({"harmless": b"1", name: content}) == [(f"/{name}", what)]
    assert not is_plain([b"harmless", name.encode()])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("etc/ssl/certs/ca.pem", b"-----BEGIN CERTIFICATE-----\n"),
        ("root/.ssh/id_rsa.pub", b"ssh-rsa AAAA"),
        ("app/.npmrc", b"//registry.test/:_authToken=${NPM_TOKEN}\nregistry=https://registry.test\n"),
        ("app/.git/config", b"[remote]\n  url = https://git.test/x\n"),
        ("root/.docker/config.json", b'{"credsStore": "pass"}'),
        ("app/notes.txt", KEY),
        ("root/.netrc", b""),
    ],
)
def test_files_without(name, content):
    assert found({name: content}) == []


def test_layers_without_such_names_need_not_be_read():
    assert is_plain([b"etc/passwd", b"app/main.py", b"app/keys.txt", b"root/.ssh/known_hosts"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("key=AKIA" + "ABCDEFGHIJKLMNOP", ["an AWS access key"]),
        ("ghp_" + "a" * 36, ["a GitHub token"]),
        ("RUN |1 URL=https://me:hunter2@git.test/x make", ["a URL with a password"]),
        ("https://git.test:8080/path@x", []),
        ("https://$USER:$PASSWORD@git.test", []),
        ("PATH=/usr/bin:/bin", []),
        ("AKIA but not a key", []),
    ],
)
def test_values(text, what):
    assert list(in_value(text)) == what


def test_sentences():
    one = Suspicion("[2/2] COPY . /", 2, "/id_rsa", "a private SSH key")
    assert str(one) == "/id_rsa of [2/2] COPY . / (line 2) holds what looks like a private SSH key"
    other = Suspicion("", 0, "the variable TOKEN", "a GitHub token")
    assert str(other) == "the variable TOKEN holds what looks like a GitHub token"
    assert refuse([one, other]).message == f"{one}, and 1 more"
