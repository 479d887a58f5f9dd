# SPDX-License-Identifier: Apache-2.0
"""``scow trust key``: keys of signers, made here or brought here."""

from __future__ import annotations

import os

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, NotFoundError

GENERATE = Command(
    name="generate",
    usage="NAME",
    summary="Generate and load a signing key-pair",
    min_args=1,
    max_args=1,
    aliases=("trust key generate",),
    flags=(Flag("dir", kind="string", help="Directory to generate key in, defaults to current directory"),),
)
LOAD = Command(
    name="load",
    usage="[OPTIONS] KEYFILE",
    summary="Load a private key file for signing",
    min_args=1,
    max_args=1,
    aliases=("trust key load",),
    flags=(Flag("name", kind="string", default="signer", help="Name for the loaded key"),),
)
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_MAX_FILE = 1 << 20


def check_name(kind: str, name: str) -> None:
    """See that a name can be that of a key and of a role.

    Raises:
        InvalidArgumentError: It cannot.
    """
    if not name or name[0] not in _FIRST or not _FIRST.union("-_").issuperset(name):
        raise InvalidArgumentError(
            f'{kind} name "{name}" must start with lowercase alphanumeric characters and can include "-" or "_" after'
            " the first character"
        )


def generate(argv: list[str]) -> int:
    """Make a key, keep it, and write its public half to a file."""
    from scow.base.files import atomic_write
    from scow.cli.context import engine
    from scow.cli.signing import open_trust
    from scow.trust.keyfiles import write_public

    options = parse(GENERATE, argv)
    name = options.args[0]
    check_name("key", name)
    folder = os.path.abspath(options.dir or ".")
    if not os.path.isdir(folder):
        raise NotFoundError(f'public key path does not exist: "{folder}"')
    path = os.path.join(folder, f"{name}.pub")
    if os.path.exists(path):
        raise InvalidArgumentError(f'public key file already exists: "{path}"')
    print(f"Generating key for {name}...")
    with open_trust(engine(plain=True)) as trust:
        try:
            key = trust.keys.create(name)
        except NotFoundError as error:
            raise NotFoundError(f"failed to generate key for {name}: {error.message}", hint=error.hint) from error
    atomic_write(path, write_public(key.public, name), 0o600)
    print(f"Successfully generated and loaded private key. Corresponding public key available: {path}")
    return 0


def load(argv: list[str]) -> int:
    """Keep a key that a file has."""
    from scow.cli.context import engine
    from scow.cli.signing import open_trust
    from scow.trust.keyfiles import KeyFileError, parse as parse_key  # isort: skip

    options = parse(LOAD, argv)
    path = options.args[0]
    check_name("key", options.name)
    print(f'Loading key from "{path}"...')
    try:
        file = parse_key(_read_private(path))
    except KeyFileError as error:
        raise InvalidArgumentError(
            f"error importing key from {path}: provided file {path} is not a supported private key - to add a signer's"
            " public key use scow trust signer add",
            hint=error.message,
        ) from error
    role = options.name if options.changed("name") else file.role or options.name
    with open_trust(engine(plain=True)) as trust:
        try:
            key = trust.keys.open_file(file, "", "encrypted")
            trust.keys.keep(key, role, file.gun if role == "targets" else "")
        except NotFoundError as error:
            raise NotFoundError(f"error importing key from {path}: {error.message}", hint=error.hint) from error
    print(f"Successfully imported key from {path}")
    return 0


def _read_private(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise InvalidArgumentError(
                    f"refusing to load key from {path}: private key file {path} must not be readable or writable by"
                    " others",
                    hint=f"chmod 600 {path}",
                )
            return file.read(_MAX_FILE)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise NotFoundError(f"refusing to load key from {path}: open {path}: {reason}") from error
