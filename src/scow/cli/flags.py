# SPDX-License-Identifier: Apache-2.0
"""Docker's flag grammar, driven by one table per command.

A command module (``scow/cli/commands/<name>.py``) holds a table and a function, and imports nothing heavy at its top::

    from scow.cli.flags import Command, Flag, parse

    COMMAND = Command(
        name="rmi",                                    # the command's last word
        usage="[OPTIONS] IMAGE [IMAGE...]",            # what follows the command words; forms are split by line breaks
        summary="Remove one or more images",           # the same text as in cli/main.py's table
        min_args=1,                                    # max_args=None (the default) means any number
        aliases=("image rm", "image remove", "rmi"),   # as `--help` lists them
        flags=(
            Flag("force", "f", help="Force removal of the image"),           # kind="bool" is the default
            Flag("platform", kind="csv", help="Remove only the given platform variant"),
        ),
    )

    def main(argv: list[str]) -> int:
        options = parse(COMMAND, argv)                 # argv: what follows the command words
        options.force, options["no-prune"], options.no_prune, options.changed("platform"), options.args
        return 0                                       # the exit status

A module that holds several commands (``volume.py``) names each pair after the word: the table ``LS`` and the function
``ls``, and is entered in cli/main.py's table as ``"volume:ls"``; a plain ``"rmi"`` stands for ``COMMAND`` and ``main``.

Kinds and the Python values they give (the first is the value when the flag is absent and has no ``default``):

========== ==================================== ======================================================================
bool       False                                ``--rm``, ``--rm=false``, ``-it=true``
string     ""
optional   ""                                   ``--squash`` gives ``implied``, ``--squash=new`` gives "new"
int, uint  0                                    Go's literals: 10, 0x1f, 1_000; ``bits`` bounds them
decimal    0                                    ``--cpus 1.5`` gives 1_500_000_000 (billionths)
bytes      0                                    ``512m`` gives 536870912
swap       0                                    bytes, or -1
duration   0                                    ``1m30s`` gives 90_000_000_000 (nanoseconds)
list       []                                   strings as given, one per use
csv        []                                   strings, several per use when separated by commas
map        {}                                   ``key=value``, ``key`` alone has the value ""
filter     []                                   ``(key, value)`` pairs, key in lower case
enum       default                              one of ``choices``
========== ==================================== ======================================================================

``check`` may be given with string, list, csv and optional: it is called with each value and returns the value to keep;
the ``ValueError`` it raises becomes Docker's ``invalid argument "v" for "-f, --flag" flag: MESSAGE``.

To fail in a command after its flags were read: raise any :class:`~scow.errors.ScowError` (``Error: MESSAGE``), or
:class:`CommandError` for docker's ``scow: MESSAGE`` + "Run 'scow run --help'" form with an exit status of choice.
To report one failure and go on (``rm a b c``): ``from scow.cli.report import report``, which returns the exit status.

This module is on the path of every ``scow run``: it imports nothing but the error kinds.

Source: spf13/pflag 1.0.6 and docker CLI 28.2.2, behaviour and wording recorded in tests/golden/flags.
"""

from __future__ import annotations

from scow.errors import FlagError, InvalidArgumentError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    Kind = Literal[
        "bool",
        "string",
        "optional",
        "int",
        "uint",
        "decimal",
        "bytes",
        "swap",
        "duration",
        "list",
        "csv",
        "map",
        "filter",
        "enum",
    ]

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")
_REPEATED = ("list", "csv", "filter")


class Flag:
    """One row of a command's flag table.

    Args:
        name: Long name without dashes.
        short: One letter, or "".
        kind: How the value is read; see the module's table.
        help: One line for ``--help``; line breaks are kept.
        default: Value when the flag is absent, in the kind's Python type; shown by ``--help``.
        implied: For ``optional``: the value of the flag given without ``=``.
        choices: For ``enum``.
        type: Word shown after the name in ``--help``, when not the kind's own.
        bits: For ``int`` and ``uint``: the width that bounds the value.
        check: Called with each value; returns the value to keep or raises ``ValueError``.
        hidden: Not shown by ``--help``.
        deprecated: What to use instead; a line of output when the flag is used; hides the flag.
    """

    __slots__ = (
        "bits",
        "check",
        "choices",
        "default",
        "deprecated",
        "help",
        "hidden",
        "implied",
        "kind",
        "name",
        "short",
        "type",
    )

    def __init__(
        self,
        name: str,
        short: str = "",
        *,
        kind: Kind = "bool",
        help: str = "",  # noqa: A002 - the word every reader expects
        default: Any = None,
        implied: str = "",
        choices: tuple[str, ...] = (),
        type: str = "",  # noqa: A002
        bits: int = 64,
        check: Callable[[str], Any] | None = None,
        hidden: bool = False,
        deprecated: str = "",
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = default
        self.implied = implied
        self.choices = choices
        self.type = type
        self.bits = bits
        self.check = check
        self.hidden = hidden
        self.deprecated = deprecated

    @property
    def label(self) -> str:
        """The flag as error messages name it: ``-q, --quiet``."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def absent(self) -> Any:
        """The value when the flag is not given."""
        if self.default is not None:
            return self.default
        kind = self.kind
        if kind == "bool":
            return False
        if kind in _REPEATED:
            return []
        if kind == "map":
            return {}
        return "" if kind in ("string", "optional", "enum") else 0


class Command:
    """What one command takes: its flags, arguments and help.

    Args:
        name: The command's last word.
        usage: What follows the command words; several forms are separated by line breaks.
        summary: One line for command lists.
        description: Longer text for ``--help``; ``summary`` when empty.
        flags: The flag table.
        min_args: Fewest positional arguments.
        max_args: Most positional arguments; ``None`` means any number.
        interspersed: Whether flags may follow positional arguments (false for ``run`` and ``exec``).
        aliases: Every path of command words that leads here, without the program's name.
    """

    __slots__ = (
        "aliases",
        "description",
        "flags",
        "interspersed",
        "max_args",
        "min_args",
        "name",
        "summary",
        "usage",
    )

    def __init__(
        self,
        *,
        name: str,
        usage: str,
        summary: str,
        description: str = "",
        flags: tuple[Flag, ...] = (),
        min_args: int = 0,
        max_args: int | None = None,
        interspersed: bool = True,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.usage = usage
        self.summary = summary
        self.description = description
        self.flags = flags
        self.min_args = min_args
        self.max_args = max_args
        self.interspersed = interspersed
        self.aliases = aliases


class UsageError(FlagError):
    """A flag that cannot be read; shown with the command's usage. Docker exits with 125."""

    def __init__(self, command: Command, message: str) -> None:
        super().__init__(message)
        self.command = command


class ArgumentCountError(InvalidArgumentError):
    """Too few or too many positional arguments; shown with the command's usage. Docker exits with 1."""

    code = "argument-count"

    def __init__(self, command: Command, rule: str) -> None:
        super().__init__(f"'{command.name}' {rule}")
        self.command = command
        self.rule = rule


class CommandError(ScowError):
    """A command's own refusal, shown with a pointer to its ``--help``.

    Args:
        message: One sentence.
        status: Exit status; 125 for ``run`` and ``create``.
        hint: What the user can do.
    """

    code = "command"

    def __init__(self, message: str, *, status: int = 125, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = status


class HelpRequested(Exception):  # noqa: N818 - a request, not a failure
    """``--help`` was given, or nothing at all; main prints the help on stdout, or on stderr when not asked."""

    def __init__(self, command: Command, *, asked: bool = True) -> None:
        super().__init__(command.name)
        self.command = command
        self.asked = asked


class Parsed:
    """The values of one command line; attribute (``no_trunc``) or item (``["no-trunc"]``) access."""

    __slots__ = ("_values", "args", "command")

    def __init__(self, command: Command, args: list[str], values: dict[str, Any]) -> None:
        self.command = command
        self.args = args
        self._values = values

    def __getitem__(self, name: str) -> Any:
        """Return the value of the flag with this long name.

        Raises:
            KeyError: The command has no such flag.
        """
        if name in self._values:
            return self._values[name]
        for flag in self.command.flags:
            if flag.name == name:
                return flag.absent()
        raise KeyError(name)

    def __getattr__(self, name: str) -> Any:
        """Return the value of the flag; underscores stand for dashes."""
        try:
            return self[name.replace("_", "-")]
        except KeyError:
            raise AttributeError(name) from None

    def changed(self, name: str) -> bool:
        """Tell whether the flag was given on the command line."""
        return name in self._values


def parse(command: Command, argv: list[str]) -> Parsed:
    """Read a command line after its command words.

    Args:
        command: The table.
        argv: The words to read.

    Returns:
        Flags and positional arguments; the count of the latter is checked.

    Raises:
        UsageError: A flag is unknown or its value malformed.
        ArgumentCountError: Too few or too many arguments.
        HelpRequested: ``--help`` was given.
    """
    values, args = read_flags(command, argv)
    count = len(args)
    if count < command.min_args or (command.max_args is not None and count > command.max_args):
        raise ArgumentCountError(command, _count_rule(command))
    return Parsed(command, args, values)


def read_flags(command: Command, argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Split ``argv`` into flag values (only those given) and the rest; counts are not checked.

    Raises:
        UsageError: A flag is unknown or its value malformed.
        HelpRequested: ``--help`` was given.
    """
    values: dict[str, Any] = {}
    args: list[str] = []
    wants_help = False
    at, end = 0, len(argv)
    while at < end:
        word = argv[at]
        at += 1
        if word[:1] != "-" or word == "-":
            args.append(word)
            if not command.interspersed:
                break
        elif word == "--":
            break
        elif word[:2] == "--":
            name, has_value, text = word[2:].partition("=")
            if not name or name[0] == "-":
                raise UsageError(command, f"bad flag syntax: {word}")
            flag = _find(command, name)
            if flag is None:
                if name != "help":
                    raise UsageError(command, f"unknown flag: --{name}")
                wants_help = _help_value(command, text) if has_value else True
                continue
            if not has_value:
                if flag.kind == "bool":
                    text = "true"
                elif flag.kind == "optional":
                    text = flag.implied
                elif at < end:
                    text = argv[at]
                    at += 1
                else:
                    raise UsageError(command, f"flag needs an argument: --{name}")
            _store(command, flag, text, values)
        else:
            taken, asked = _shorthands(command, word[1:], argv[at] if at < end else None, values)
            at += taken
            wants_help = wants_help or asked
    if wants_help:
        raise HelpRequested(command)
    args.extend(argv[at:])
    return values, args


def _shorthands(command: Command, letters: str, following: str | None, values: dict[str, Any]) -> tuple[int, bool]:
    """Read one cluster such as ``-aq`` or ``-p80:80``; return words taken after it, and whether help was asked."""
    asked = False
    while letters:
        letter = letters[0]
        flag = _find_short(command, letter)
        if flag is None:
            if letter == "h":
                print("Flag shorthand -h has been deprecated, use --help")
                letters = letters[1:]
                asked = True
                continue
            raise UsageError(command, f"unknown shorthand flag: '{letter}' in -{letters}")
        if len(letters) > 2 and letters[1] == "=":
            text, letters = letters[2:], ""
        elif flag.kind == "bool":
            text, letters = "true", letters[1:]
        elif flag.kind == "optional":
            text, letters = flag.implied, letters[1:]
        elif len(letters) > 1:
            text, letters = letters[1:], ""
        elif following is not None:
            _store(command, flag, following, values)
            return 1, asked
        else:
            raise UsageError(command, f"flag needs an argument: '{letter}' in -{letters}")
        _store(command, flag, text, values)
    return 0, asked


def _find(command: Command, name: str) -> Flag | None:
    for flag in command.flags:
        if flag.name == name:
            return flag
    return None


def _find_short(command: Command, letter: str) -> Flag | None:
    for flag in command.flags:
        if flag.short == letter:
            return flag
    return None


def _help_value(command: Command, text: str) -> bool:
    if text in TRUE or text in FALSE:
        return text in TRUE
    raise _refusal(command, "--help", text, _not_a_bool(text))


def _store(command: Command, flag: Flag, text: str, values: dict[str, Any]) -> None:
    """Read one value and keep it; values of repeated kinds add up."""
    kind = flag.kind
    if flag.deprecated:
        print(f"Flag --{flag.name} has been deprecated, {flag.deprecated}")
    if kind == "bool":
        if text in TRUE:
            values[flag.name] = True
        elif text in FALSE:
            values[flag.name] = False
        else:
            raise _refusal(command, flag.label, text, _not_a_bool(text))
        return
    try:
        if kind in ("string", "optional"):
            values[flag.name] = text if flag.check is None else flag.check(text)
        elif kind == "list":
            values.setdefault(flag.name, []).append(text if flag.check is None else flag.check(text))
        else:
            from scow.cli.values import store

            store(flag, text, values)
    except ValueError as error:
        raise _refusal(command, flag.label, text, str(error)) from None


def _refusal(command: Command, label: str, text: str, reason: str) -> UsageError:
    from scow.cli.values import quote

    return UsageError(command, f'invalid argument {quote(text)} for "{label}" flag: {reason}')


def _not_a_bool(text: str) -> str:
    from scow.cli.values import quote

    return f"strconv.ParseBool: parsing {quote(text)}: invalid syntax"


def _count_rule(command: Command) -> str:
    low, high = command.min_args, command.max_args
    if high == 0:
        return "accepts no arguments"
    noun = "argument" if (low if high is None else high) == 1 else "arguments"
    if high is None:
        return f"requires at least {low} {noun}"
    if low == high:
        return f"requires {low} {noun}"
    return f"requires at most {high} {noun}" if low == 0 else f"requires at least {low} and at most {high} {noun}"
