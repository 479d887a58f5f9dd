# SPDX-License-Identifier: Apache-2.0
"""Accounts: an ``htpasswd`` file with bcrypt hashes, read again when it changes.

Everybody with an account may do everything the server allows. A password that was right once is remembered, in memory
and hashed with a key of this process, so that only the first request of a client waits for bcrypt.

Source: RFC 7617 (Basic); Apache's ``htpasswd -B``.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode

import bcrypt

from scow.errors import InvalidArgumentError, UnavailableError
from scow.typing import NamedTuple

_MAX_FILE = 4 << 20
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
        self.path = path
        self._salt = os.urandom(32)
        self._stamp: tuple[int, ...] = ()
        self._users: dict[str, bytes] = {}
        self._right: set[bytes] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        try:
            info = os.stat(self.path)
            stamp = (info.st_ino, info.st_mtime_ns, info.st_size)
            if stamp == self._stamp:
                return
            with open(self.path, "rb") as file:
                text = file.read(_MAX_FILE)
        except OSError as error:
            raise UnavailableError(f"the accounts in {self.path!r} cannot be read: {error.strerror}") from error
        self._users = _parse(text, self.path)
        self._right = set()
        self._stamp = stamp

    def is_remembered(self, account: Account) -> bool:
        """Whether this user's password was found right before; never waits."""
        self.refresh()
        return self._mark(account) in self._right

    def check(self, account: Account) -> bool:
        """Compare a password, which takes bcrypt's time whether there is such a user or not."""
        stored = self._users.get(account.user)
        mark = self._mark(account)
        right = _matches(account.password, stored or _NOBODY) and stored is not None
        if right:
            if len(self._right) >= _MAX_REMEMBERED:
                self._right = set()
            self._right.add(mark)
        return right

    def _mark(self, account: Account) -> bytes:
        # the stored hash is part of it, so that a password that was changed is forgotten
        stored = self._users.get(account.user, b"")
        secret = b"\0".join((account.user.encode(), stored, account.password.encode()))
        return hashlib.blake2b(secret, key=self._salt).digest()


def _matches(password: str, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:72], stored)
    except ValueError:  # a password with a zero byte, or a damaged hash
        return False


def _parse(text: bytes, path: str) -> dict[str, bytes]:
    users = {}
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        user, colon, stored = entry.partition(":")
        if not colon or not user or not stored.startswith(_KINDS):
            raise InvalidArgumentError(
                f"line {number} of {path!r} is not a user and a bcrypt hash", hint="Write it with 'htpasswd -B'."
            )
        users[user] = stored.encode()
    return users
