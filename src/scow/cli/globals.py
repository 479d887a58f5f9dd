# SPDX-License-Identifier: Apache-2.0
"""The flags before the command: where state lies, how much to say, and the ones of docker that need a daemon."""

from __future__ import annotations

import os

from scow.cli.flags import Command, Flag, HelpRequested, read_flags
from scow.errors import InvalidArgumentError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GLOBALS = Command(
    name="scow",
    usage="[OPTIONS] COMMAND [ARG...]",
    summary="Docker images without a daemon",
    interspersed=False,
    flags=(
        Flag("config", kind="string", help="Location of client config files (DOCKER_CONFIG)"),
        Flag(
            "context",
            "c",
            kind="string",
            help='Name of a docker context; only "default" means this machine',
            hidden=True,
        ),
        Flag("debug", "D", help="Show tracebacks (SCOW_DEBUG)"),
        Flag("help", help="Print usage", hidden=True),
        Flag("host", "H", kind="list", help="Accepted for local sockets; scow has no daemon to connect to"),
        Flag(
            "log-level", "l", kind="string", help='"debug" is --debug; "info", "warn", "error" and "fatal" are accepted'
        ),
        Flag("root", kind="string", help="Directory of the store (SCOW_ROOT)"),
        Flag("version", "v", help="Print version information and quit"),
    ),
)
_LEVELS = ("debug", "info", "warn", "error", "fatal")
_LOCAL = ("unix://", "npipe://", "/")


def read_globals(argv: list[str]) -> list[str] | None:
    """Read the flags before the command and put them into the environment of this process.

    Returns:
        The words from the command on, or ``None`` when the version was asked for and printed.

    Raises:
        HelpRequested: ``--help`` without a command.
        UsageError: An unknown flag or a malformed value.
        UnsupportedError: A remote daemon was named.
    """
    values, words = read_flags(GLOBALS, argv)
    if values.get("version"):
        from scow import __version__

        print(f"scow version {__version__}")
        return None
    _apply(values)
    if values.get("help"):
        raise HelpRequested(GLOBALS)
    return words


def _apply(values: dict[str, Any]) -> None:
    level = values.get("log-level", "info")
    if level not in _LEVELS:
        raise InvalidArgumentError(f"unable to parse logging level: {level}", hint=f"one of {', '.join(_LEVELS)}")
    for host in values.get("host", ()):
        if host and not host.startswith(_LOCAL):
            raise UnsupportedError(
                f"scow works on this machine's own store and cannot connect to {host!r}",
                hint="run scow on that machine, or use docker for remote daemons",
            )
    if values.get("context", "default") not in ("", "default"):
        raise UnsupportedError(f"scow has no docker contexts, so {values['context']!r} cannot be used")
    if values.get("debug") or level == "debug":
        os.environ["SCOW_DEBUG"] = "1"
    if "config" in values:
        os.environ["DOCKER_CONFIG"] = values["config"]
    if "root" in values:
        os.environ["SCOW_ROOT"] = values["root"]
