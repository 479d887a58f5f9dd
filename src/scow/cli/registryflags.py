# SPDX-License-Identifier: Apache-2.0
"""What every command that talks to registries has in common: its flags, and how a pull is shown."""

from __future__ import annotations

import sys

from scow.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from scow.cli.flags import Parsed
    from scow.distribution.client import ClientOptions
    from scow.engine import Engine
    from scow.images.pulling import Pulled
    from scow.images.store import ImageRecord

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
    return [f"Digest: {pulled.digest}", f"Status: {what} {pulled.reference.familiar}"]


def ensure_image(
    engine: Engine,
    name: str,
    policy: str = "missing",
    platform: str = "",
    *,
    quiet: bool = False,
    stream: TextIO | None = None,
) -> ImageRecord:
    """The image that ``run`` or ``create`` needs, pulled before the eyes of the user when the policy says so.

    Args:
        engine: The library.
        name: As the user typed it.
        policy: ``missing``, ``always`` or ``never``.
        platform: Wanted, or ``""``.
        quiet: Show nothing.
        stream: Where to show it; stderr when ``None``.
    """
    from scow.cli import bars
    from scow.images.store import ImageNotFoundError

    missing = False
    if policy != "always":
        try:
            return engine.ensure_image(name, "never", platform)
        except ImageNotFoundError:
            if policy == "never":
                raise
            missing = True
    out = stream or sys.stderr
    with bars.shown(quiet=quiet, stream=out) as progress:
        if missing:
            from scow.oci.reference import Reference

            progress.line(f"Unable to find image '{Reference.parse(name).with_default_tag().familiar}' locally")
        with engine.transfers(progress=progress) as transfers:
            pulled = transfers.pull(name, platform=platform)
        for line in pulled_lines(pulled):
            progress.line(line)
    return pulled.record


def shown_json(document: Any) -> None:
    """Print a document as docker prints JSON for people."""
    import json

    print(json.dumps(document, indent=4, ensure_ascii=False))
