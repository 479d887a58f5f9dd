# SPDX-License-Identifier: Apache-2.0
"""What every command that talks to registries has in common: its flags, and how a pull is shown."""

from __future__ import annotations

import sys

from scow.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Parsed
    from scow.distribution.client import ClientOptions
    from scow.engine import Engine
    from scow.images.pulling import Pulled

REGISTRY_FLAGS = (
    Flag("ca", kind="string", type="file", help="Trust the certificate authorities in this file besides"),
    Flag("creds", kind="string", type="user:password", help="Use these credentials instead of the stored ones"),
    Flag("insecure", help="Accept any certificate, and plain HTTP"),
)
PROGRESS_FLAG = Flag(
    "progress",
    kind="string",
    default="auto",
    help='Type of progress output ("auto", "plain", "tty", "rawjson", "quiet")',
)
TRUST_FLAG = Flag("disable-content-trust", default=True, help="Skip image verification")


def client_options(options: Parsed) -> ClientOptions:
    """What the registry flags say."""
    from scow.distribution.client import ClientOptions

    return ClientOptions(options.insecure, options.ca, options.creds)


def pulled_lines(pulled: Pulled) -> list[str]:
    """The last lines of a pull, as docker writes them."""
    what = "Downloaded newer image for" if pulled.changed else "Image is up to date for"
    reference = pulled.reference
    shown = reference._replace(tag=None) if reference.digest else reference
    lines = [f"Digest: {pulled.digest}", f"Status: {what} {shown.familiar}"]
    return [*lines, f"Tagging {shown.familiar} as {pulled.tagged.familiar}"] if pulled.tagged else lines


def load_transfers() -> None:
    """Load what talks to registries: something to do while ids are mapped."""
    from scow.distribution import client
    from scow.images import pulling

    del client, pulling


def show_pull(engine: Engine, name: str, platform: str = "", *, quiet: bool = False) -> Pulled:
    """Pull the image that ``run``, ``create`` or ``build`` needs, before the eyes of the user, on stderr.

    Args:
        engine: The library.
        name: As the user typed it.
        platform: Wanted, or ``""``.
        quiet: Show nothing.
    """
    from scow.cli import bars

    with bars.shown(quiet=quiet, stream=sys.stderr) as progress:
        with engine.transfers(progress=progress) as transfers:
            pulled = transfers.pull(name, platform=platform)
        for line in pulled_lines(pulled):
            progress.line(line)
    return pulled
