# SPDX-License-Identifier: Apache-2.0
"""``scow login``: check credentials with a registry and keep them where docker keeps them."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS
from scow.errors import InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.images.transfer import Transfers

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
    password = _given_password(options)
    with engine(plain=True).transfers(ClientOptions(options.insecure, options.ca)) as transfers:
        domain = transfers.login_domain(server)
        stored = None if options.username or password else _again(transfers, domain)
        if stored is None:
            known = None if options.username else transfers.stored_credential(domain)  # they may be unreadable
            username, password = _ask(domain, options.username, password, known.username if known else "")
            stored = transfers.login(domain, username, password)
    if stored:
        sys.stderr.write(
            f"\nWARNING! Your credentials are stored unencrypted in '{stored}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n\n"
        )
    print("Login Succeeded")
    return 0


def _given_password(options: Parsed) -> str:
    """The password that the command line or its input gives, ``""`` for none."""
    import sys

    if options.changed("password") and options.password_stdin:
        raise InvalidArgumentError("conflicting options: cannot specify both --password and --password-stdin")
    if options.password_stdin and not options.username:
        raise InvalidArgumentError("the --password-stdin option requires --username to be set")
    for name in ("username", "password"):
        if options.changed(name) and not getattr(options, name):
            raise InvalidArgumentError(f"{name} is empty")
    if options.password_stdin:
        return sys.stdin.buffer.read(_MAX_PASSWORD).decode(errors="surrogateescape").rstrip("\r\n")
    if options.password:
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    password: str = options.password
    return password


def _again(transfers: Transfers, domain: str) -> str | None:
    """Try the stored credentials.

    Returns:
        What ``login`` returns; ``None`` when there are none, or they are wrong.
    """
    import sys

    known = transfers.stored_credential(domain)
    if known is None or not known.username or not known.secret:
        return None
    sys.stderr.write(
        f"Authenticating with existing credentials... [Username: {known.username}]\n\n"
        " Info -> To login with a different account, run 'scow logout' followed by 'scow login'\n\n\n"
    )
    try:
        return transfers.login(domain, known.username, known.secret)
    except ScowError as error:
        sys.stderr.write(f"Login did not succeed, error: {error.message}\n")
        return None


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
