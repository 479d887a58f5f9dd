# SPDX-License-Identifier: Apache-2.0
"""Every command's table, held against cli/main.py's and against what the grammar needs."""

from __future__ import annotations

import os

import pytest

from scow.cli import main as table
from scow.cli.commands import __file__ as _commands

KINDS = {"bool", "string", "optional", "int", "uint", "decimal", "bytes", "swap", "duration", "list", "csv", "map"}
KINDS |= {"filter", "enum"}
DEFAULTS = {"bool": bool, "string": str, "optional": str, "enum": str, "list": list, "csv": list, "map": dict}


@pytest.mark.parametrize("path", sorted(table.COMMANDS))
def test_the_module_is_there_and_agrees(path):
    command, function = table.load(path)
    _, summary, group = table.COMMANDS[path]
    assert callable(function)
    assert command.summary == summary or (path != "inspect" and not group and " " in path and command.summary)
    assert command.name in {path.rsplit(" ", 1)[-1], *(alias.rsplit(" ", 1)[-1] for alias in command.aliases)}
    assert not command.usage.startswith("scow"), "the usage is what follows the command's words"
    assert command.max_args is None or command.min_args <= command.max_args
    assert path in command.aliases or not command.aliases, "an alias list has every path"


@pytest.mark.parametrize("path", sorted(table.COMMANDS))
def test_the_flags_are_sound(path):
    flags = table.load(path)[0].flags
    names = [flag.name for flag in flags]
    letters = [flag.short for flag in flags if flag.short]
    assert len(names) == len(set(names))
    assert len(letters) == len(set(letters))
    assert "help" not in names
    for flag in flags:
        assert flag.kind in KINDS
        assert flag.name == flag.name.strip("-")
        assert len(flag.short) <= 1
        assert flag.help or flag.hidden or flag.deprecated, f"--{flag.name} has no help"
        assert "\n" in flag.help or not flag.help.endswith("."), f"--{flag.name}: one line has no final period"
        if flag.default is not None:
            assert isinstance(flag.default, DEFAULTS.get(flag.kind, int)), flag.name
        if flag.kind == "enum":
            assert flag.choices
            assert flag.default in (*flag.choices, "", None)


def test_every_module_is_in_the_table():
    files = {name.removesuffix(".py") for name in os.listdir(os.path.dirname(_commands)) if name.endswith(".py")}
    named = {row[0].partition(":")[0] for row in table.COMMANDS.values()}
    assert files - {"__init__"} == named


def test_paths_of_one_module_list_each_other():
    """What ``--help`` shows under Aliases is what really leads to the command."""
    for path in table.COMMANDS:
        command = table.load(path)[0]
        if not command.aliases:
            continue
        for alias in command.aliases:
            found, rest = table.find(alias.split())
            assert (rest, table.COMMANDS.get(found, ("?",))[0]) == ([], table.COMMANDS[path][0]), (path, alias)
