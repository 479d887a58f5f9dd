# SPDX-License-Identifier: Apache-2.0
"""``scow login``: check credentials with a registry and keep them where docker keeps them."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS
from scow.errors import InvalidArgumentError

COMMAND = Command(
    name="login",
    usage="[OPTIONS] [SERVER]",
    summary="Authenticate to a registry",
    max_args=1,
    flags=(
        *(flag for flag in REGISTRY_FLAGS if flag.name != "creds"),
        Flag("password", "p", kind="string", help="Password or Personal Access Token (PAT)"),
        Flag("password-stdin", help="Take the Password or Personal Access Token (PAT) from stdin"),
        Flag("username", "u", kind="string", help="Username"),
    ),
)
_MAX_PASSWORD = 1 << 20


def main(argv: list[str]) -> int:
    """Log in."""
    import sys

    from scow.cli.context import engine
    from scow.distribution.client import ClientOptions

    options = parse(COMMAND, argv)
    server = options.args[0] if options.args else ""
    password = options.password
    if options.changed("password"):
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
        if options.password_stdin:
            raise InvalidArgumentError("conflicting options: cannot specify both --password and --password-stdin")
    if options.password_stdin:
        if not options.username:
            raise InvalidArgumentError("the --password-stdin option requires --username to be set")
        password = sys.stdin.buffer.read(_MAX_PASSWORD).decode(errors="surrogateescape").rstrip("\r\n")
    with engine().transfers(ClientOptions(options.insecure, options.ca)) as transfers:
        domain = transfers.login_domain(server)
        username, password = _ask(domain, options.username, password, transfers.stored_username(domain))
        stored = transfers.login(domain, username, password)
    if stored:
        sys.stderr.write(
            f"\nWARNING! Your credentials are stored unencrypted in '{stored}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n\n"
        )
    print("Login Succeeded")
    return 0


def _ask(domain: str, username: str, password: str, known: str) -> tuple[str, str]:
    """Ask for what is missing, when there is someone to ask."""
    import sys

    if username and password:
        return username, password
    if not sys.stdin.isatty():
        raise InvalidArgumentError("Cannot perform an interactive login from a non TTY device")
    import getpass

    if not username:
        sys.stderr.write(f"Log in to {domain} with your user name.\n")
        shown = f" ({known})" if known else ""
        username = input(f"Username{shown}: ").strip() or known
    if not username:
        raise InvalidArgumentError("username is required")
    password = password or getpass.getpass("Password: ")
    if not password:
        raise InvalidArgumentError("password is required")
    return username, password
