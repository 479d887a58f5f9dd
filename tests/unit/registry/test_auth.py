# SPDX-License-Identifier: Apache-2.0
"""Accounts: only bcrypt, read again when they change, remembered only as long as they are right."""

from __future__ import annotations

import base64
import os

import bcrypt
import pytest

from scow.errors import InvalidArgumentError
from scow.registry.auth import Account, Htpasswd, account_of


def hashed(password):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def accounts(tmp_path):
    path = tmp_path / "htpasswd"
    path.write_text(f"# who may come\n\nalice:{hashed('s3cret')}\nbob:{hashed('pä:ss').replace('$2b$', '$2y$')}\n")
    return Htpasswd(str(path))


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (basic("alice:s3cret"), Account("alice", "s3cret")),
        (basic("a:b:c").replace("Basic", "BASIC"), Account("a", "b:c")),
        (None, None),
        ("Bearer x", None),
        ("Basic", None),
        ("Basic !!!", None),
        (basic("nocolon"), None),
        (basic(":x"), None),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), None),
    ],
)
def test_headers(header, wanted):
    assert account_of(header) == wanted


def test_right_and_wrong(accounts):
    assert accounts.check(Account("alice", "s3cret"))
    assert accounts.check(Account("bob", "pä:ss"))
    assert not accounts.check(Account("alice", "s3cre"))
    assert not accounts.check(Account("carol", "s3cret"))
    assert not accounts.check(Account("alice", "s3cret\0"))


def test_only_what_was_right_is_remembered(accounts):
    alice = Account("alice", "s3cret")
    assert not accounts.is_remembered(alice)
    accounts.check(alice)
    accounts.check(Account("alice", "wrong"))
    assert accounts.is_remembered(alice)
    assert not accounts.is_remembered(Account("alice", "wrong"))
    assert not accounts.is_remembered(Account("alices3cret", ""))


def test_a_changed_password_is_forgotten(accounts):
    alice = Account("alice", "s3cret")
    accounts.check(alice)
    with open(accounts.file.path + ".new", "w") as file:
        file.write(f"alice:{hashed('other')}\n")
    os.rename(accounts.file.path + ".new", accounts.file.path)
    assert accounts.file.refresh() == ""
    assert not accounts.is_remembered(alice)
    assert not accounts.check(alice)
    assert accounts.check(Account("alice", "other"))
    assert not accounts.check(Account("bob", "pä:ss")), "not in the new file"


@pytest.mark.parametrize("line", ["alice", ":x", "alice:$apr1$x$y", "alice:plain", "alice:{SHA}x"])
def test_other_hashes_are_refused_by_line(tmp_path, line):
    (tmp_path / "h").write_text(f"ok:{hashed('x')}\n{line}\n")
    with pytest.raises(InvalidArgumentError, match="line 2"):
        Htpasswd(str(tmp_path / "h"))
