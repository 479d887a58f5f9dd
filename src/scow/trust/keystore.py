# SPDX-License-Identifier: Apache-2.0
"""The private keys of one user, in docker's directory: ``$DOCKER_CONFIG/trust/private/<ID>.key``."""

from __future__ import annotations

import os

from scow.base.files import atomic_write, storage_error
from scow.trust import keyfiles
from scow.trust.cache import make_private
from scow.trust.failures import NoSigningKeyError
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.trust.keyfiles import KeyFile, PrivateKey
    from scow.trust.policy import Passphrases

_SUFFIX = ".key"
_MAX_FILE = 1 << 20
_ATTEMPTS = 11


class Held(NamedTuple):
    """A key that is here: its ID, whose it is, the repository it is for (``""`` for any), and its file."""

    id: str
    role: str
    gun: str
    path: str


class KeyStore:
    """Finds, opens and keeps private keys.

    Args:
        directory: Of all trust; see ``cache.trust_dir``.
        passphrases: Where passphrases come from.
        iterations: How often the passphrases of new keys are stretched.
    """

    def __init__(self, directory: str, passphrases: Passphrases, iterations: int = keyfiles.ITERATIONS) -> None:
        self._directory = os.path.join(directory, "private")
        self._passphrases = passphrases
        self._iterations = iterations
        self._open: dict[str, PrivateKey] = {}

    def held(self) -> Iterator[Held]:
        """Every key that is here; files that are none are left out."""
        for folder, folders, names in os.walk(self._directory):
            folders.sort()
            for name in sorted(names):
                if name.endswith(_SUFFIX):
                    path = os.path.join(folder, name)
                    try:
                        file = keyfiles.parse(_read(path))
                    except keyfiles.KeyFileError:
                        continue
                    yield Held(name.removesuffix(_SUFFIX), file.role, file.gun, path)

    def of_role(self, role: str, gun: str = "") -> str:
        """The ID of the first key of a role, by ID; ``""`` when there is none."""
        return min((key.id for key in self.held() if key.role == role and key.gun == gun), default="")

    def unlock(self, identity: str) -> PrivateKey:
        """Open a key, asking for its passphrase when it has one.

        Raises:
            NoSigningKeyError: It is not here, or could not be opened.
        """
        known = self._open.get(identity)
        if known is not None:
            return known
        found = next((key for key in self.held() if key.id == identity), None)
        if found is None:
            raise NoSigningKeyError(f"no key with the ID {identity} is here")
        key = self.open_file(keyfiles.parse(_read(found.path)), identity, found.role)
        if key.id != identity:
            raise NoSigningKeyError(f"the file {found.path!r} holds another key than its name says")
        self._open[identity] = key
        return key

    def open_file(self, file: KeyFile, identity: str, role: str) -> PrivateKey:
        """Open a key file, asking for its passphrase when it has one.

        Args:
            file: The file.
            identity: What it is called when asking.
            role: Whose key it is.

        Raises:
            NoSigningKeyError: No passphrase opens it.
            KeyFileError: It holds a key of an unknown kind.
        """
        if not file.is_encrypted:
            return keyfiles.open_key(file)
        for attempt in range(_ATTEMPTS):
            passphrase = self._passphrases.get(role, identity, new=False, attempt=attempt)
            try:
                return keyfiles.open_key(file, passphrase)
            except keyfiles.WrongPassphraseError:
                continue
        raise NoSigningKeyError("password invalid, operation has failed.")

    def create(self, role: str, gun: str = "") -> PrivateKey:
        """Make a key and keep it.

        Args:
            role: Whose it is.
            gun: The repository it is for, ``""`` for any.

        Raises:
            ScowError: There is no passphrase for it, or the place is not writable.
        """
        key = keyfiles.generate()
        self.keep(key, role, gun)
        return key

    def keep(self, key: PrivateKey, role: str, gun: str = "") -> None:
        """Keep a key under a passphrase that is asked for.

        Raises:
            ScowError: There is no passphrase for it, or the place is not writable.
        """
        passphrase = self._passphrases.get(role, key.id, new=True, attempt=0)
        headers = {"role": role, "gun": gun} if gun else {"role": role}
        path = os.path.join(self._directory, key.id + _SUFFIX)
        try:
            make_private(self._directory)
        except OSError as error:
            raise storage_error(error, path) from error
        atomic_write(path, keyfiles.close_key(key, headers, passphrase, self._iterations), 0o600)
        self._open[key.id] = key


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE)
    except OSError as error:
        raise keyfiles.KeyFileError(f"cannot read {path!r}: {error.strerror}") from error
