# SPDX-License-Identifier: Apache-2.0
"""Help pages from the command and flag tables, laid out as docker's. Loaded only when help or an error is shown."""

from __future__ import annotations

import sys

from scow.cli import main as table
from scow.cli.flags import Command, CommandError, HelpRequested, read_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Flag

_TYPES = {
    "optional": "string",
    "enum": "string",
    "csv": "strings",
    "swap": "bytes",
}
_PLAIN_WIDTH = 80


def run_family(path: str, rest: list[str]) -> int:
    """Answer for the program itself (``path`` "") or a family such as ``image`` without a known command.

    Raises:
        CommandError: A word follows that names no command.
        HelpRequested: ``--help`` follows.
        UsageError: An unknown flag follows.
    """
    command = family(path)
    if path:
        _, rest = read_flags(command, rest)
    if rest:
        raise _unknown(path, rest[0])
    raise HelpRequested(command, asked=False)


def family(path: str) -> Command:
    """Return the table of the program or of a family: no flags, only commands."""
    if not path:
        from scow.cli.globals import GLOBALS

        return GLOBALS
    return Command(name=path, usage="COMMAND", summary=table.FAMILIES[path], interspersed=False)


def print_help(path: str, command: Command, *, asked: bool = True) -> int:
    """Write the help of a command to stdout, or to stderr for those who did not ask for it."""
    stream = sys.stdout if asked else sys.stderr
    stream.write(help_text(path, command, width=terminal_width()))
    stream.flush()
    return 0


def terminal_width() -> int:
    """Columns of the terminal that stdout is, else 80."""
    import os

    try:
        return os.get_terminal_size(1).columns or _PLAIN_WIDTH
    except OSError:
        return _PLAIN_WIDTH


def usage_lines(path: str, command: Command) -> str:
    """The ``Usage:`` block; further forms are on lines of their own."""
    full = f"scow {path}".rstrip()
    forms = [f"{full} {form}".rstrip() for form in command.usage.split("\n")]
    return "Usage:  " + "\n\t".join(forms)


def help_text(path: str, command: Command, *, width: int = _PLAIN_WIDTH) -> str:
    """Return the whole help page.

    Args:
        path: The command words that were typed, "" for the program.
        command: Its table.
        width: Columns to wrap flag descriptions to.
    """
    parts = [usage_lines(path, command), command.description or command.summary]
    if len(command.aliases) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"scow {alias}" for alias in command.aliases))
    if not path:
        parts += [_command_list(group, _group(group)) for group in (table.COMMON, table.MANAGEMENT, table.OTHER)]
    elif path in table.FAMILIES:
        parts.append(_command_list("Commands", members(path)))
    flags = visible_flags(command)
    if flags:
        parts.append(("Global Options" if not path else "Options") + ":\n" + flag_usages(flags, width=width))
    if not path or path in table.FAMILIES:
        parts.append(f"Run '{f'scow {path}'.rstrip()} COMMAND --help' for more information on a command.")
    return "\n\n".join(parts) + "\n"


def visible_flags(command: Command) -> list[Flag]:
    """The flags that help, completion and the reference pages show."""
    return [flag for flag in command.flags if not (flag.hidden or flag.deprecated)]


def _group(group: str) -> list[tuple[str, str]]:
    if group == table.MANAGEMENT:
        return sorted((path, summary) for path, summary in table.FAMILIES.items() if " " not in path)
    rows = [
        (path, summary) for path, (_, summary, where) in table.COMMANDS.items() if where == group and " " not in path
    ]
    return rows if group == table.COMMON else sorted(rows)


def members(path: str) -> list[tuple[str, str]]:
    """The words that may follow a family, with their summaries: its commands, and the families in it."""
    lead = path + " "
    below = {name: row[1] for name, row in table.COMMANDS.items()} | table.FAMILIES
    found = [(name.removeprefix(lead), summary) for name, summary in below.items() if name.startswith(lead)]
    return sorted(row for row in found if " " not in row[0])


def _command_list(title: str, rows: list[tuple[str, str]]) -> str:
    column = max([11, *(len(name) for name, _ in rows)])
    return "\n".join([f"{title}:", *(f"  {name:{column}} {summary}" for name, summary in rows)])


def flag_usages(flags: list[Flag], *, width: int = _PLAIN_WIDTH) -> str:
    """Lay flags out as pflag does: sorted by name, descriptions in one column, wrapped."""
    rows = [(_left(flag), flag.help + flag_word(flag)[1]) for flag in sorted(flags, key=lambda flag: flag.name)]
    column = max(len(left) for left, _ in rows) + 3
    return "\n".join(left.ljust(column) + wrap(text, column, width - 1) for left, text in rows)


def _left(flag: Flag) -> str:
    text = f"  -{flag.short}, --{flag.name}" if flag.short else f"      --{flag.name}"
    return f"{text} {flag_word(flag)[0]}".rstrip()


def flag_word(flag: Flag) -> tuple[str, str]:
    """What follows a flag's name (its kind), and its description (its default)."""
    word = "" if flag.kind == "bool" else flag.type or _TYPES.get(flag.kind, flag.kind)
    if flag.kind == "optional":
        word += f'[="{flag.implied}"]'
    value = flag.default
    if not value or flag.kind in ("list", "csv", "map", "filter"):
        return word, ""
    if flag.kind == "bool":
        return word, " (default true)"
    return word, f' (default "{value}")' if isinstance(value, str) else f" (default {value})"


def wrap(text: str, indent: int, width: int) -> str:
    """Wrap a flag's description to the right of ``indent`` columns.

    Line breaks of the text are kept. A last line may be up to 5 columns longer rather than leave an orphan.

    Source: spf13/pflag, FlagUsagesWrapped, behaviour compared with docker's help pages.
    """
    slack = 5
    room = width - indent - slack
    margin = "\n" + " " * indent
    if room < 24 - slack:
        return text.replace("\n", margin)
    lines = []
    while len(text) >= room + slack:
        cut = max(text.rfind(blank, 0, room) for blank in " \t\n")
        if cut <= 0:
            break
        newline = text.rfind("\n", 0, room)
        if newline > 0:
            cut = min(cut, newline)
        lines.append(text[:cut])
        text = text[cut + 1 :]
    lines.append(text)
    return "\n".join(lines).replace("\n", margin)


def _unknown(path: str, word: str) -> CommandError:
    from difflib import get_close_matches

    full = f"scow {path}".rstrip()
    rows = members(path) if path else _group(table.COMMON) + _group(table.OTHER) + _group(table.MANAGEMENT)
    close = get_close_matches(word, [name for name, _ in rows], n=3)
    hint = "did you mean " + " or ".join(f"'{full} {name}'" for name in close) + "?" if close else ""
    usage = f"\n\nUsage:  {full}" if path else ""
    return CommandError(f"unknown command: {full} {word}{usage}", status=1, hint=hint)
