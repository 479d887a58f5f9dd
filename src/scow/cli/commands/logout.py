# SPDX-License-Identifier: Apache-2.0
"""``scow logout``: forget the credentials of a registry."""

from __future__ import annotations

from scow.cli.flags import Command, parse

COMMAND = Command(
    name="logout",
    usage="[SERVER]",
    summary="Log out from a registry",
    max_args=1,
)


def main(argv: list[str]) -> int:
    """Log out."""
    from scow.cli.context import engine

    options = parse(COMMAND, argv)
    with engine(plain=True).transfers() as transfers:
        domain = transfers.login_domain(options.args[0] if options.args else "")
        print(f"Removing login credentials for {transfers.logout(domain)}")
    return 0
