# SPDX-License-Identifier: Apache-2.0
"""Who we are at each registry: docker's ``config.json``, credential helpers, and podman's ``auth.json`` for reading.

Order: ``credHelpers[registry]``, then ``credsStore``, then ``auths``, then podman's files. Saving keeps everything
else in the file as it was. Secrets without a helper are stored in plain base64 with mode 0600, and the caller is told
so.

Source: docker's config file and the credential helper protocol; containers-auth.json(5).
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from scow.base.files import atomic_write, make_dir, storage_error
from scow.errors import InvalidArgumentError, UnavailableError
from scow.jsontext import dumps, loads
from scow.typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

HUB_KEY = "https://index.docker.io/v1/"
"""Under this historical name docker keeps the credentials of Docker Hub."""
TOKEN_USER = "<token>"  # noqa: S105
_NOT_FOUND = "credentials not found"
_HELPER_SECONDS = 60.0
_MAX_FILE = 8 << 20
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class HelperError(UnavailableError):
    """A credential helper failed."""

    code = "credential-helper"


class Credential(NamedTuple):
    """What proves who we are. ``repr`` shows no secret.

    Attributes:
        username: The account, ``""`` with tokens only.
        secret: The password.
        identity_token: A refresh token, exchanged for access tokens instead of user name and password.
        registry_token: An access token, sent as it is.
    """

    username: str = ""
    secret: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r})"


def auth_key(domain: str) -> str:
    """The name under which a registry's credentials are kept."""
    return HUB_KEY if domain in {"docker.io", "index.docker.io", "registry-1.docker.io"} else domain


def parse_creds(text: str) -> Credential:
    """Read ``user:password`` as given on a command line.

    Raises:
        InvalidArgumentError: There is no colon or no user.
    """
    user, colon, secret = text.partition(":")
    if not colon or not user:
        raise InvalidArgumentError("credentials must look like USER:PASSWORD")
    return Credential(user, secret)


class CredentialStore:
    """Reads and keeps credentials.

    Args:
        config_dir: The directory of docker's ``config.json``.
        environ: For ``PATH``, ``HOME``, ``XDG_*`` and ``REGISTRY_AUTH_FILE``.
    """

    def __init__(self, config_dir: str, environ: Mapping[str, str]) -> None:
        self.path = os.path.join(config_dir, "config.json")
        self._environ = environ

    def get(self, domain: str, path: str = "") -> Credential | None:
        """The credentials for a registry.

        Args:
            domain: The registry, such as ``localhost:5000``.
            path: The repository; podman's files may hold credentials for a part of a registry.

        Raises:
            HelperError: A configured helper fails.
            InvalidArgumentError: A file is not JSON.
        """
        key = auth_key(domain)
        document = _read(self.path)
        helper = self._helper(document, key)
        if helper:
            found = self._helper_get(helper, key)
            if found is not None:
                return found
        found = _from_auths(document, key)
        return found or self._from_podman(domain, path)

    def headers(self) -> dict[str, str]:
        """Headers that the user wants sent with every request (``HttpHeaders``)."""
        value = _read(self.path).get("HttpHeaders")
        if not isinstance(value, dict):
            return {}
        return {str(name): str(text) for name, text in value.items() if str(name).lower() != "user-agent"}

    def store(self, domain: str, credential: Credential) -> str:
        """Keep credentials.

        Returns:
            The file in which they now stand in plain base64, or ``""`` when a helper keeps them or they stood there
            before.

        Raises:
            HelperError: A configured helper fails.
            StorageError: The file cannot be written.
        """
        from binascii import b2a_base64

        key = auth_key(domain)
        helper = self._helper(_read(self.path), key)
        kept: dict[str, str] = {}
        if helper:
            user = TOKEN_USER if credential.identity_token else credential.username
            entry = {"ServerURL": key, "Username": user, "Secret": credential.identity_token or credential.secret}
            self._run(helper, "store", dumps(entry).encode())
        else:
            pair = f"{credential.username}:{'' if credential.identity_token else credential.secret}"
            kept = {"auth": b2a_base64(pair.encode(), newline=False).decode()}
            if credential.identity_token:
                kept["identitytoken"] = credential.identity_token
        with self._changing() as document:
            auths = document.setdefault("auths", {})
            same = auths.get(key) == kept
            auths[key] = kept
        return "" if helper or same else self.path

    def erase(self, domain: str) -> bool:
        """Forget credentials.

        Returns:
            Whether there were any.

        Raises:
            HelperError: A configured helper fails.
        """
        key = auth_key(domain)
        document = _read(self.path)
        helper = self._helper(document, key)
        there = False
        if helper and self._helper_get(helper, key) is not None:
            self._run(helper, "erase", key.encode())
            there = True
        if not _same_host(document, key):
            return there
        with self._changing() as document:
            for name in _same_host(document, key):
                del document["auths"][name]
        return True

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The file's document, to be changed while no other scow does."""
        import json
        from copy import deepcopy

        from scow.base.locks import FileLock

        make_dir(os.path.dirname(self.path), 0o700)
        # docker follows a link here, so that dotfile managers work
        path = os.path.realpath(self.path)
        try:
            with FileLock(f"{path}.lock").exclusive():
                document = _read(path)
                before = deepcopy(document)
                yield document
                if document != before:
                    atomic_write(path, json.dumps(document, indent="\t", ensure_ascii=False), 0o600)
        except OSError as error:
            raise storage_error(error, path) from error

    @staticmethod
    def _helper(document: Mapping[str, Any], key: str) -> str:
        helpers = document.get("credHelpers")
        name = helpers.get(key) if isinstance(helpers, dict) else None
        if name is None:
            name = document.get("credsStore")
        if not isinstance(name, str) or not name:
            return ""
        if not _NAME.issuperset(name):
            raise InvalidArgumentError(f"{name!r} is not the name of a credential helper")
        return name

    def _helper_get(self, helper: str, key: str) -> Credential | None:
        out = self._run(helper, "get", key.encode())
        if out is None:
            return None
        try:
            answer = loads(out)
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise HelperError(f"docker-credential-{helper} gave no usable answer") from error
        if not user and not secret:
            return None
        return Credential(identity_token=secret) if user == TOKEN_USER else Credential(user, secret)

    def _run(self, helper: str, verb: str, data: bytes) -> bytes | None:
        """Call a helper; ``None`` when it says that it has no such credentials."""
        import shutil
        import subprocess

        name = f"docker-credential-{helper}"
        program = shutil.which(name, path=self._environ.get("PATH", os.defpath))
        if program is None:
            raise HelperError(
                f"the credential helper {name!r} is not installed",
                hint=f"Install it, or remove it from {self.path!r}.",
            )
        try:
            done = subprocess.run(
                [program, verb],
                input=data,
                capture_output=True,
                timeout=_HELPER_SECONDS,
                check=False,
                env=dict(self._environ),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HelperError(f"the credential helper {name!r} failed: {type(error).__name__}") from error
        if done.returncode == 0:
            return done.stdout
        # by the protocol errors come on stdout
        text = (done.stdout or done.stderr).decode(errors="replace").strip()
        if verb in {"get", "erase"} and _NOT_FOUND in text:
            return None
        raise HelperError(f"the credential helper {name!r} failed: {text[:300]}")

    def _from_podman(self, domain: str, path: str) -> Credential | None:
        environ = self._environ
        home = environ.get("HOME", "")
        files = [environ.get("REGISTRY_AUTH_FILE", "")]
        if environ.get("XDG_RUNTIME_DIR"):
            files.append(os.path.join(environ["XDG_RUNTIME_DIR"], "containers", "auth.json"))
        config = environ.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
        if config:
            files.append(os.path.join(config, "containers", "auth.json"))
        for file in files:
            document = _read(file) if file else {}
            prefix = f"{domain}/{path}".rstrip("/")
            while prefix:
                found = _from_auths(document, prefix)
                if found is not None:
                    return found
                prefix = prefix.rpartition("/")[0]
        return None


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = loads(file.read(_MAX_FILE) or b"{}")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidArgumentError(
            f"cannot read {path!r}: {error}", hint="Correct the file, or move it away."
        ) from error
    return document if isinstance(document, dict) else {}


def _hostname(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _same_host(document: Mapping[str, Any], key: str) -> list[str]:
    """The names under which a file has credentials of a host."""
    auths = document.get("auths")
    return [name for name in auths if _hostname(name) == _hostname(key)] if isinstance(auths, dict) else []


def _from_auths(document: Mapping[str, Any], key: str) -> Credential | None:
    auths = document.get("auths")
    if not isinstance(auths, dict):
        return None
    entry = auths.get(key)
    if entry is None and "/" not in key:
        # old files have https://host/v1/ and the like
        entry = next((value for name, value in auths.items() if "://" in name and _hostname(name) == key), None)
    if not isinstance(entry, dict):
        return None
    token = str(entry.get("identitytoken") or "")
    access = str(entry.get("registrytoken") or "")
    user, secret = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        from binascii import a2b_base64

        try:
            user, _, secret = a2b_base64(str(entry["auth"]).strip(), strict_mode=True).decode().partition(":")
        except ValueError as error:
            raise InvalidArgumentError(f"the stored credentials of {key!r} are not base64") from error
        secret = secret.rstrip("\0")
    if user == TOKEN_USER and secret and not token:
        user, token, secret = "", secret, ""
    return Credential(user, secret, token, access) if user or token or access else None
