# SPDX-License-Identifier: Apache-2.0
"""``scow base create``: a base image from a distribution's packages."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.base.progress import Event

CREATE = Command(
    name="create",
    usage="[OPTIONS] DISTRIBUTION:SUITE",
    summary="Make a base image from a distribution's packages",
    min_args=1,
    max_args=1,
    flags=(
        Flag("include", kind="csv", help="Further packages to install"),
        Flag("mirror", kind="string", help="Where to take packages from (default: what this host's apt uses)"),
        Flag("quiet", "q", help="Suppress what the bootstrap program says"),
        Flag("tag", "t", kind="list", help='Name and optionally a tag (format: "name:tag")'),
        Flag("variant", kind="string", default="minbase", help='Set of packages ("minbase"|"buildd"|"")'),
    ),
)


def create(argv: list[str]) -> int:
    """Make the image and print its ID."""
    import sys

    from scow.base.progress import silent
    from scow.cli.context import engine
    from scow.images.bases import BaseRequest, create_base
    from scow.oci.reference import Reference

    options = parse(CREATE, argv)
    scow = engine()
    names = [Reference.parse(name).with_default_tag() for name in options.tag]
    request = BaseRequest.parse(
        options.args[0],
        options.include,
        variant=options.variant,
        mirror=options.mirror,
        environ=scow.settings.environ,
    )

    def show(event: Event, /) -> None:
        sys.stderr.write(f"{event.status}\n")

    progress = silent if options.quiet else show
    run_root = scow.settings.run_root
    record = create_base(scow.images, scow.content, request, names, progress=progress, run_root=run_root)
    print(record.id)
    return 0
