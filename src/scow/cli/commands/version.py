# SPDX-License-Identifier: Apache-2.0
"""``scow version``: what is running, with the fields that scripts ask docker for."""

from __future__ import annotations

from scow.cli.flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.template.values import Struct

COMMAND = Command(
    name="version",
    usage="[OPTIONS]",
    summary="Show the scow version information",
    max_args=0,
    flags=(
        Flag(
            "format",
            "f",
            kind="string",
            help="Format output using a custom template:\n'json':             Print in JSON format\n"
            "'TEMPLATE':         Print output using the given Go template.",
        ),
    ),
)
# Of docker's API: scow has none, but prints its documents (inspect, events, --format) as of this version.
_API_VERSION = "1.50"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_PAGE = """scow
 Version:    {{.Client.Version}}
 Python:     {{.Client.PythonVersion}}
 OS/Arch:    {{.Client.Os}}/{{.Client.Arch}}
 Kernel:     {{.Server.KernelVersion}}
"""


def main(argv: list[str]) -> int:
    """Print the versions; client and server are one program here, and both names work in templates."""
    options = parse(COMMAND, argv)
    from scow.cli.inspection import show_one

    return show_one(_versions(), options.format or _PAGE.rstrip("\n"))


def _versions() -> Struct:
    import os
    import sys

    from scow import __version__
    from scow.cli.template.values import Struct

    host = os.uname()
    common = [
        ("Platform", Struct([("Name", "scow")], "struct { Name string }")),
        ("Version", __version__),
        ("ApiVersion", _API_VERSION),
        ("APIVersion", _API_VERSION),  # its name in templates, where Go's fields count
        ("PythonVersion", ".".join(map(str, sys.version_info[:3]))),
        ("Os", host.sysname.lower()),
        ("Arch", _ARCHITECTURES.get(host.machine, host.machine)),
    ]
    shown = {name: name for name in (*dict(common), "Context", "KernelVersion") if name != "APIVersion"}
    client = Struct([*common, ("Context", "default")], "command.clientVersion", shown)
    server = Struct([*common, ("KernelVersion", host.release)], "*types.Version", shown)
    return Struct([("Client", client), ("Server", server)], "command.versionInfo")
