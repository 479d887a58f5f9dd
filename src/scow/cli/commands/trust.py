# SPDX-License-Identifier: Apache-2.0
"""``scow trust inspect``: who has signed what in a repository."""

from __future__ import annotations

import sys

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.shapes import Shape
    from scow.trust.inspecting import Signatures
    from scow.trust.service import Trust

INSPECT = Command(
    name="inspect",
    usage="IMAGE[:TAG] [IMAGE[:TAG]...]",
    summary="Return low-level information about keys and signatures",
    min_args=1,
    aliases=("trust inspect",),
    flags=(Flag("pretty", help="Print the information in a human friendly format"),),
)


def inspect(argv: list[str]) -> int:
    """Say who has signed what."""
    from scow.cli.context import engine

    options = parse(INSPECT, argv)
    from scow.cli.report import note

    with engine(plain=True).trust(lambda said: note(f"WARNING: {said}")) as trust:
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
