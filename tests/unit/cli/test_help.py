# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from scow.cli import main as table
from scow.cli.flags import Command, Flag
from scow.cli.help import help_text, wrap

from .tables import PS

with open(os.path.join(os.path.dirname(__file__), "../../golden/flags/ps.help"), encoding="utf-8") as _file:
    DOCKER_PS = _file.read()


def test_a_page_is_laid_out_as_docker_s():
    assert help_text("ps", PS) == DOCKER_PS.replace("docker ", "scow ")


def test_flags_show_kind_and_default():
    command = Command(
        name="x",
        usage="",
        summary="",
        flags=(
            Flag("b", kind="bytes", help="B"),
            Flag("yes", "y", help="Y", default=True),
            Flag("word", kind="string", help="W", default="v"),
            Flag("many", kind="csv", help="M"),
            Flag("type", kind="list", type="mount", help="T"),
            Flag("opt", kind="optional", implied="all", help="O"),
            Flag("number", kind="int", default=3, help="N"),
            Flag("secret", help="S", hidden=True),
            Flag("old", help="O", deprecated="no"),
        ),
    )
    assert help_text("x", command).split("Options:\n")[1] == (
        "      --b bytes              B\n"
        "      --many strings         M\n"
        "      --number int           N (default 3)\n"
        '      --opt string[="all"]   O\n'
        "      --type mount           T\n"
        '      --word string          W (default "v")\n'
        "  -y, --yes                  Y (default true)\n"
    )


def test_wrapping():
    assert wrap("short", 10, 79) == "short"
    assert wrap("word " * 20, 40, 79).split() == ["word"] * 20
    for line in wrap("word " * 50, 40, 79).split("\n"):
        assert len(line) <= 79
    assert wrap("a\nb", 4, 79) == "a\n    b"


def test_the_program_s_page_lists_every_command_once():
    page = help_text("", table_of_program())
    for path, (_, summary, group) in table.COMMANDS.items():
        if " " in path:
            continue
        lines = [line for line in page.split("\n") if line.split()[:1] == [path] and summary in line]
        assert len(lines) == (0 if group == table.HIDDEN else 1), path
    assert page.index("Common Commands:") < page.index("Management Commands:") < page.index("\nCommands:")


def table_of_program() -> Command:
    from scow.cli.help import family

    return family("")


@pytest.mark.parametrize("family", sorted(table.FAMILIES))
def test_a_family_lists_its_members(family):
    from scow.cli.help import family as table_of

    page = help_text(family, table_of(family))
    assert page.startswith(f"Usage:  scow {family} COMMAND\n\n{table.FAMILIES[family]}\n\nCommands:\n")
    for path, summary in {**{path: row[1] for path, row in table.COMMANDS.items()}, **table.FAMILIES}.items():
        if path.rpartition(" ")[0] == family:
            assert summary in page
