# SPDX-License-Identifier: Apache-2.0
"""``scow image inspect``: everything known of images."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse
from scow.cli.registryflags import REGISTRY_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scow.cli.shapes import Shape

INSPECT_FORMAT_HELP = """Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template"""

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    summary="Display detailed information on one or more images",
    min_args=1,
    aliases=("image inspect",),
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("platform", kind="string", help="The image for this platform, or none"),
        *REGISTRY_FLAGS,
        Flag("remote", help="Ask the registry, and download no layer"),
    ),
)


def main(argv: list[str]) -> int:
    """Print docker's JSON for images, or a template over it."""
    from scow.cli.context import engine
    from scow.cli.inspection import inspect_all
    from scow.cli.shapes import IMAGE
    from scow.images.store import ImageNotFoundError
    from scow.oci.reference import InvalidReferenceError

    options = parse(COMMAND, argv)
    scow = engine(plain=True)
    if options.remote:
        from scow.cli.registryflags import client_options

        with scow.transfers(client_options(options)) as transfers:
            from scow.images.remote import inspect_remote

            platform = options.platform
            return inspect_all(
                options.args, lambda name: (inspect_remote(transfers, name, platform), IMAGE), options.format
            )

    def get(name: str) -> tuple[dict[str, Any], Shape]:
        try:
            found = scow.inspect_image(name)
        except InvalidReferenceError as error:
            raise error if name else ImageNotFoundError("No such image: ") from None
        check_platform(found, name, options.platform)
        return found, IMAGE

    return inspect_all(options.args, get, options.format)


def check_platform(found: Mapping[str, Any], name: str, platform: str) -> None:
    """Refuse an image for another platform than the one asked for.

    Args:
        found: The image as docker's JSON.
        name: What the user called it.
        platform: Of ``--platform``; "" for any.

    Raises:
        NotFoundError: It is for another one.
        InvalidPlatformError: That is no platform.
    """
    if not platform:
        return
    import os

    from scow.errors import NotFoundError
    from scow.oci.model import Platform
    from scow.oci.platform import host_platform, parse_platform, score

    wanted = parse_platform(platform, host_platform(os.uname().machine))
    own = Platform(found["Os"], found["Architecture"], found.get("Variant") or "")
    if not score(wanted, own):
        raise NotFoundError(
            f"image with reference {name} was found but its platform ({own}) does not match the specified platform"
            f" ({wanted})"
        )
