# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess

import pytest

from scow.cli import completion, help  # noqa: A004 - the module's name
from scow.cli import main as table
from scow.cli.completion import Entry
from scow.errors import InvalidArgumentError

from .tables import PS, RUN


@pytest.fixture(autouse=True)
def _two_commands(monkeypatch):
    """Scripts over tables of our own, so that a change of a command changes nothing here."""
    commands = {
        "run": ("run", "Create and run a new container from an image", table.COMMON),
        "ps": ("ps", "List it's containers", table.COMMON),
        "container ls": ("ps", "List containers", ""),
        "container run": ("run", "Run [one]: now", ""),
        "trust key ls": ("ps", "List keys", ""),
    }
    monkeypatch.setattr(table, "COMMANDS", commands)
    families = {"container": "Manage containers", "trust": "Manage trust", "trust key": "Manage keys"}
    monkeypatch.setattr(table, "FAMILIES", families)
    monkeypatch.setattr(table, "load", lambda path: ({"run": RUN, "ps": PS}[commands[path][0]], None))


def complete(line: str, *, names: str = "") -> list[str]:
    """Ask bash what it offers for a line; the last word is the one being typed."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"""
    scow() {{ printf '%s\\n' {names}; }}
    {completion.script("bash")}
    COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
    _scow
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=200)
    return done.stdout.split()


def test_bash_offers_commands_flags_and_names():
    assert complete("scow ") == ["container", "ps", "run", "trust"]
    assert complete("scow p") == ["ps"]
    assert complete("scow container ") == ["ls", "run"]
    assert complete("scow container l") == ["ls"]
    assert complete("scow container ls --no") == ["--no-trunc"]
    assert complete("scow trust ") == ["key"]
    assert complete("scow trust key ") == ["ls"]
    assert complete("scow trust key ls --no") == ["--no-trunc"]
    assert complete("scow ps --l") == ["--last", "--latest"]
    assert complete("scow run --rm de", names="debian:12 alpine:3") == ["debian:12"]


def test_flags_that_help_hides_are_not_offered():
    assert "--old" not in completion.script("bash")
    assert [flag.name for flag in Entry("run", "", RUN).flags] == [
        flag.name for flag in RUN.flags if flag.name != "old"
    ]
    assert Entry("run", "", RUN).flags == help.visible_flags(RUN)


def test_zsh_escapes_what_it_reads_as_syntax():
    script = completion.script("zsh")
    assert "'run:Run \\[one\\]\\: now'" in script
    assert "List it'\\''s containers" in script


def test_fish_knows_switches_from_options():
    lines = completion.script("fish").splitlines()
    seen = "complete -c scow -n '__fish_seen_subcommand_from run'"
    assert any(line.startswith(f"{seen} -l rm -d") for line in lines)
    assert any(line.startswith(f"{seen} -l env -s e -r") for line in lines)
    assert "complete -c scow -n __fish_use_subcommand -a ps -d 'List it\\'s containers'" in lines


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_shell_can_read_its_script(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=completion.script(shell), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_refused():
    with pytest.raises(InvalidArgumentError, match="tcsh"):
        completion.script("tcsh")
