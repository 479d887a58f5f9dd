# SPDX-License-Identifier: Apache-2.0
"""``scow trust``: who has signed what in a repository; signing a tag, and taking signatures back."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse
from scow.errors import InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.shapes import Shape
    from scow.engine import Engine
    from scow.oci.reference import Reference
    from scow.trust.inspecting import Signatures
    from scow.trust.metadata import FileMeta
    from scow.trust.service import Trust
    from scow.trust.signing import Signing

INSPECT = Command(
    name="inspect",
    usage="IMAGE[:TAG] [IMAGE[:TAG]...]",
    summary="Return low-level information about keys and signatures",
    min_args=1,
    aliases=("trust inspect",),
    flags=(Flag("pretty", help="Print the information in a human friendly format"),),
)

REVOKE = Command(
    name="revoke",
    usage="[OPTIONS] IMAGE[:TAG]",
    summary="Remove trust for an image",
    min_args=1,
    max_args=1,
    aliases=("trust revoke",),
    flags=(Flag("yes", "y", help="Do not prompt for confirmation"),),
)
SIGN = Command(
    name="sign",
    usage="IMAGE:TAG",
    summary="Sign an image",
    min_args=1,
    max_args=1,
    aliases=("trust sign",),
    flags=(Flag("local", help="Sign a locally tagged image"),),
)


def inspect(argv: list[str]) -> int:
    """Say who has signed what."""
    from scow.cli.context import engine

    options = parse(INSPECT, argv)
    from scow.cli.signing import open_trust

    with open_trust(engine(plain=True)) as trust:
        if options.pretty:
            for position, name in enumerate(options.args):
                sys.stdout.write(("\n\n" if position else "") + _pretty(name, _told(trust, name)))
            return 0

        def get(name: str) -> tuple[dict[str, Any], Shape | None]:
            from scow.trust.inspecting import as_json

            return as_json(name, _told(trust, name)), None

        from scow.cli.inspection import inspect_all

        return inspect_all(options.args, get, "")


def _told(trust: Trust, name: str) -> Signatures:
    """What the trust data of a name says.

    Raises:
        NotFoundError: There is none, or none to be believed; the hint says why.
    """
    from scow.errors import NotFoundError, UnavailableError, UntrustedError

    try:
        return trust.signatures(name)
    except (UntrustedError, UnavailableError) as error:
        raise NotFoundError(f"no signatures or cannot access {name}", hint=error.message) from error


def _pretty(name: str, told: Signatures) -> str:
    from scow.cli.format import table
    from scow.trust.inspecting import REPO_ADMIN, natural

    if told.tags:
        rows = [[row.tag, row.digest, ", ".join(row.signers) or f"({REPO_ADMIN})"] for row in told.tags]
        text = f"\nSignatures for {name}\n\n" + table([["SIGNED TAG", "DIGEST", "SIGNERS"], *rows])
    else:
        text = f"\nNo signatures for {name}\n\n"
    if told.signers:
        rows = [
            [signer, ", ".join(identity[:12] for identity in sorted(told.signers[signer]))]
            for signer in sorted(told.signers, key=natural)
        ]
        text += f"\nList of signers and their keys for {name}\n\n" + table([["SIGNER", "KEYS"], *rows])
    keys = [("Repository Key", told.administrators["Repository"]), ("Root Key", told.administrators["Root"])]
    lines = [f"  {title}:\t{', '.join(sorted(ids))}\n" for title, ids in keys]
    return f"{text}\nAdministrative keys for {name}\n\n" + "".join(lines)


def sign(argv: list[str]) -> int:
    """Sign a tag: what it means already, else the local image, which is pushed for that."""
    from scow.cli.context import engine
    from scow.cli.signing import open_trust

    options = parse(SIGN, argv)
    name = options.args[0]
    reference = _tagged(name)
    if reference.tag is None:
        raise InvalidArgumentError(f"no tag specified for {name}")
    scow = engine()
    with open_trust(scow) as trust:
        signing = trust.signing(reference)
        if signing.believed is None:
            scow.images.resolve(name)
            _initialize(trust, signing, reference, name)
        meta = _meaning(signing, reference.tag)
        if meta is None or options.local:
            _sign_local(scow, trust, reference, name)
        else:
            _sign_again(signing, reference, name, meta)
    return 0


def _tagged(name: str) -> Reference:
    from scow.oci.reference import Reference

    reference = Reference.parse(name)
    if reference.digest:
        raise InvalidArgumentError("cannot use a digest reference for IMAGE:TAG")
    return reference


def _meaning(signing: Signing, tag: str) -> FileMeta | None:
    from scow.trust.notary import released

    return released(signing.believed, tag) if signing.believed is not None else None


def _initialize(trust: Trust, signing: Signing, reference: Reference, name: str) -> None:
    """Begin a repository's trust data, with the user as its first signer as far as the registry knows one."""
    from scow.cli.commands.trust_key import check_name

    user = trust.username(reference)
    try:
        check_name("signer", user)
    except InvalidArgumentError:
        return  # its owner signs, who needs no name
    signing.initialize()
    known = trust.keys.of_role(user)
    key = trust.keys.unlock(known) if known else trust.keys.create(user)
    signing.add_signer(user, [key.public])
    signing.publish()
    print(f"Created signer: {user}\nFinished initializing signed repository for {name}")


def _sign_local(scow: Engine, trust: Trust, reference: Reference, name: str) -> None:
    from scow.cli.signing import Signer

    scow.images.resolve(name)
    sys.stderr.write(f"Signing and pushing trust data for local image {name}, may overwrite remote trust data\n")
    signer = Signer(trust, [reference])
    with scow.transfers() as transfers:
        pushed = transfers.push(name)
    print(f"{pushed.reference.tag}: digest: {pushed.digest} size: {pushed.size}")
    signer.finish([pushed], print)


def _sign_again(signing: Signing, reference: Reference, name: str, meta: FileMeta) -> None:
    from scow.cli.signing import failed
    from scow.errors import NotFoundError
    from scow.trust.inspecting import signatures

    print(f"Signing and pushing trust metadata for {name}")
    tag = reference.tag or ""
    if signing.believed is not None:
        for row in signatures(signing.believed, tag).tags[:1]:
            print(f"Existing signatures for tag {tag} digest {row.digest} from:\n{', '.join(row.signers)}")
    try:
        signing.sign(tag, meta)
        signing.publish()
    except NotFoundError as error:
        raise failed([reference], error) from error
    print(f"Successfully signed {reference.repository}:{tag}")


def revoke(argv: list[str]) -> int:
    """Take the signatures of a tag, or of all, back."""
    from scow.cli.context import engine
    from scow.cli.prompt import ask
    from scow.cli.signing import open_trust

    options = parse(REVOKE, argv)
    name = options.args[0]
    reference = _tagged(name)
    if (
        reference.tag is None
        and not options.yes
        and not ask(f"Confirm you would like to delete all signature data for {name}?")
    ):
        raise InvalidArgumentError("trust revoke has been cancelled")
    with open_trust(engine(plain=True)) as trust:
        signing = trust.signing(reference)
        try:
            signing.revoke(_to_revoke(signing, reference))
            signing.publish()
        except ScowError as error:
            error.message = f"could not remove signature for {name}: {error.message}"
            raise
    print(f"Successfully deleted signature for {name}")
    return 0


def _to_revoke(signing: Signing, reference: Reference) -> list[str]:
    from scow.trust.failures import NoTrustDataError, NotSignedError
    from scow.trust.notary import all_released

    if signing.believed is None:
        raise NoTrustDataError(f"nobody has signed anything in {reference.repository}")
    tags = all_released(signing.believed)
    if reference.tag is None:
        if not tags:
            raise InvalidArgumentError("no signed tags to remove")
        return list(tags)
    if reference.tag not in tags:
        raise NotSignedError(f"No valid trust data for {reference.tag}")
    return [reference.tag]
