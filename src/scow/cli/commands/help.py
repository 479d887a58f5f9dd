# SPDX-License-Identifier: Apache-2.0
"""``scow help``: the help of the program or of a command."""

from __future__ import annotations

from scow.cli.flags import Command, CommandError, parse

COMMAND = Command(
    name="help",
    usage="[COMMAND...]",
    summary="Show the help of a command",
)


def main(argv: list[str]) -> int:
    """Print the help page of the command that the words name.

    Raises:
        CommandError: There is no such command.
    """
    options = parse(COMMAND, argv)
    from scow.cli import main as table
    from scow.cli.help import family, print_help, run_family

    path, rest = table.find(options.args)
    if path in table.COMMANDS:
        return print_help(path, table.load(path)[0])
    if rest and not path:
        raise CommandError(f"unknown help topic: {' '.join(rest)}", status=1)
    if rest:
        return run_family(path, rest)
    return print_help(path, family(path))
