# SPDX-License-Identifier: Apache-2.0
"""Passphrases of signing keys: from docker's variables, else from whoever sits at the terminal."""

from __future__ import annotations

import sys

from scow.trust.failures import NoSigningKeyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE"
REPOSITORY = "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"
_SHORTEST = 8
_TRIES = 3
_SHOWN = {"targets": "repository", "snapshot": "repository"}


class TerminalPassphrases:
    """Where the command's passphrases come from; a role's is asked for once.

    Args:
        environ: For docker's variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[str, str] = {}

    def get(self, role: str, key_id: str, *, new: bool, attempt: int) -> str:
        """See :class:`~scow.trust.policy.Passphrases`."""
        given = self._environ.get(ROOT if role == "root" else REPOSITORY, "")
        if given and attempt == 0:
            return given
        if given or attempt > _TRIES:
            raise NoSigningKeyError("password invalid, operation has failed.")
        if attempt:
            sys.stderr.write("Passphrase incorrect. Please retry.\n")
        elif role in self._known:
            return self._known[role]
        self._known[role] = self._new(role, key_id) if new else _ask(f"Enter passphrase for {_name(role, key_id)}: ")
        return self._known[role]

    def _new(self, role: str, key_id: str) -> str:
        if role == "root":
            sys.stderr.write(
                "The root key vouches for every repository that you sign. Whoever has it and its passphrase can\n"
                "sign in your name, and nobody can restore either: choose a long passphrase, and keep a copy of\n"
                "the key file (in trust/private of docker's configuration) away from this machine.\n"
            )
        for _ in range(_TRIES):
            first = _ask(f"Enter passphrase for new {_name(role, key_id)}: ")
            if len(first) < _SHORTEST:
                sys.stderr.write(f"Passphrase is too short. Please choose one of {_SHORTEST} characters or more.\n")
            elif first != _ask(f"Repeat passphrase for new {_name(role, key_id)}: "):
                sys.stderr.write("Passphrases do not match. Please retry.\n")
            else:
                return first
        raise NoSigningKeyError("maximum number of passphrase attempts exceeded")


def _name(role: str, key_id: str) -> str:
    return f"{_SHOWN.get(role, role)} key" + (f" with ID {key_id[:7]}" if key_id else "")


def _ask(prompt: str) -> str:
    """Ask at the terminal without echo; without one, read a line of the input as docker does."""
    if sys.stdin.isatty():
        import getpass

        try:
            return getpass.getpass(prompt).strip()
        except EOFError:
            raise NoSigningKeyError("password invalid, operation has failed.") from None
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    sys.stderr.write("\n")
    if not line:
        raise NoSigningKeyError(
            "password invalid, operation has failed.",
            hint=f"There is no terminal to ask at; {ROOT} and {REPOSITORY} may hold the passphrases.",
        )
    return line.strip()
