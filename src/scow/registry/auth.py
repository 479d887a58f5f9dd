# SPDX-License-Identifier: Apache-2.0
"""Accounts: an ``htpasswd`` file with bcrypt hashes, read again when it changes.

A password that was right once is remembered, in memory
and hashed with a key of this process, so that only the first request of a client waits for bcrypt.

Source: RFC 7617 (Basic); Apache's ``htpasswd -B``.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode

import bcrypt

from scow.registry.watching import WatchedFile
from scow.typing import NamedTuple

_MAX_REMEMBERED = 10_000
_KINDS = ("$2a$", "$2b$", "$2y$")
_NOBODY = b"$2b$10$IhZG9KKTKE4Se1JQroA9yusi6NFKSvoOIHK6ExI7nmx2M9cOFLPle"
"""What the password of an unknown user is compared with, so that the answer takes as long as for a known one."""


class Account(NamedTuple):
    """Who a request says it comes from."""

    user: str
    password: str


def account_of(header: str | None) -> Account | None:
    """Read an ``Authorization`` header; ``None`` when it holds no user and password."""
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return Account(user, password) if colon and user else None


class Htpasswd:
    """The accounts of one file.

    Args:
        path: The file.

    Raises:
        InvalidArgumentError: A line is not ``user:bcrypt hash``.
        UnavailableError: The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.file = WatchedFile(path, _entry)
        self._users = self.file.lines, dict(self.file.lines)
        self._salt = os.urandom(32)
        self._right: set[bytes] = set()

    def is_remembered(self, account: Account) -> bool:
        """Whether this user's password was found right before; never waits."""
        return self._mark(account, self._stored(account.user)) in self._right

    def check(self, account: Account) -> bool:
        """Compare a password, which takes bcrypt's time whether there is such a user or not."""
        stored = self._stored(account.user)
        right = _matches(account.password, stored or _NOBODY) and bool(stored)
        if right:
            if len(self._right) >= _MAX_REMEMBERED:
                self._right = set()
            self._right.add(self._mark(account, stored))
        return right

    def _stored(self, user: str) -> bytes:
        if self._users[0] is not self.file.lines:
            self._users = self.file.lines, dict(self.file.lines)
        return self._users[1].get(user, b"")

    def _mark(self, account: Account, stored: bytes) -> bytes:
        # the stored hash is part of it, so that a password that was changed is forgotten
        secret = b"\0".join((account.user.encode(), stored, account.password.encode()))
        return hashlib.blake2b(secret, key=self._salt).digest()


def _matches(password: str, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:72], stored)
    except ValueError:  # a password with a zero byte, or a damaged hash
        return False


def _entry(text: str) -> tuple[str, bytes]:
    user, colon, stored = text.partition(":")
    if not colon or not user or not stored.startswith(_KINDS):
        raise ValueError("a user and a bcrypt hash, as 'htpasswd -B' writes them")
    return user, stored.encode()
