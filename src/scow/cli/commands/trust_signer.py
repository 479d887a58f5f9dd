# SPDX-License-Identifier: Apache-2.0
"""``scow trust signer``: who besides a repository's owner may sign and release its tags."""

from __future__ import annotations

import sys

from scow.cli.commands.trust_key import check_name
from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scow.trust.keys import PublicKey
    from scow.trust.service import Trust

ADD = Command(
    name="add",
    usage="OPTIONS NAME REPOSITORY [REPOSITORY...]",
    summary="Add a signer",
    min_args=2,
    aliases=("trust signer add",),
    flags=(Flag("key", kind="list", help="Path to the signer's public key file"),),
)
REMOVE = Command(
    name="remove",
    usage="[OPTIONS] NAME REPOSITORY [REPOSITORY...]",
    summary="Remove a signer",
    min_args=2,
    aliases=("trust signer remove",),
    flags=(Flag("force", "f", help="Do not prompt for confirmation before removing the most recent signer"),),
)
_MAX_FILE = 1 << 20


def add(argv: list[str]) -> int:
    """Let somebody sign."""
    options = parse(ADD, argv)
    name, *repositories = options.args
    check_name("signer", name)
    if name == "releases":
        raise InvalidArgumentError("releases is a reserved keyword, use a different signer name")
    if not options.key:
        raise InvalidArgumentError("path to a public key must be provided using the `--key` flag")
    keys = [_read_public(path) for path in options.key]

    def each(trust: Trust, repository: str) -> None:
        from scow.oci.reference import Reference

        print(f'Adding signer "{name}" to {repository}...', flush=True)
        signing = trust.signing(Reference.parse(repository))
        if signing.believed is None:
            print(f"Initializing signed repository for {repository}...", flush=True)
            signing.initialize()
        fresh = signing.believed is None
        signing.add_signer(name, keys)
        signing.publish()
        if fresh:
            print(f'Successfully initialized "{repository}"')
        print(f"Successfully added signer: {name} to {repository}\n", flush=True)

    return _for_all(repositories, each, "failed to add signer to")


def remove(argv: list[str]) -> int:
    """Let somebody no longer sign."""
    options = parse(REMOVE, argv)
    name, *repositories = options.args
    if name == "releases":
        raise InvalidArgumentError("releases is a reserved keyword and cannot be removed")

    def each(trust: Trust, repository: str) -> None:
        from scow.oci.reference import Reference

        print(f'Removing signer "{name}" from {repository}...', flush=True)
        signing = trust.signing(Reference.parse(repository))
        if signing.believed is None:
            raise InvalidArgumentError(f"error retrieving signers for {repository}: it has no trust data")
        last = signing.is_last(name)
        signing.remove_signer(name)
        if last and not options.force and not _confirmed(name, repository):
            raise InvalidArgumentError("removing the signer has been cancelled")
        signing.publish()
        print(f"Successfully removed {name} from {repository}\n", flush=True)

    return _for_all(repositories, each, "error removing signer from")


def _confirmed(name: str, repository: str) -> bool:
    from scow.cli.prompt import ask

    return ask(
        f'The signer "{name}" signed the last released version of {repository}. Removing this signer will make'
        f" {repository} unpullable. Are you sure you want to continue?"
    )


def _for_all(repositories: Sequence[str], each: Callable[[Trust, str], None], what: str) -> int:
    """Do the same for every repository; what fails is told, and the rest goes on."""
    from scow.cli.context import engine
    from scow.cli.signing import open_trust

    failed = []
    with open_trust(engine(plain=True)) as trust:
        for repository in repositories:
            try:
                each(trust, repository)
            except ScowError as error:
                hint = f"\nHint: {error.hint}" if error.hint else ""
                sys.stderr.write(f"{error.message}{hint}\n\n")
                failed.append(repository)
    if failed:
        raise InvalidArgumentError(f"{what}: {', '.join(failed)}")
    return 0


def _read_public(path: str) -> PublicKey:
    from scow.trust.keyfiles import KeyFileError, parse_public

    try:
        with open(path, "rb") as file:
            return parse_public(file.read(_MAX_FILE))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise InvalidArgumentError(f"unable to read public key from file: open {path}: {reason}") from error
    except KeyFileError as error:
        raise InvalidArgumentError(f"could not parse public key from file: {path}: {error.message}") from error
