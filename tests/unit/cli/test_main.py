# SPDX-License-Identifier: Apache-2.0
"""From words to a command, and from an exception to a sentence and an exit status."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from scow import __version__
from scow.cli import main as table
from scow.cli.flags import Command, CommandError, Flag, HelpRequested, parse
from scow.cli.main import find, main
from scow.cli.report import render, report
from scow.errors import CorruptError, FlagError, NotFoundError, ScowError

ENVIRONMENT = ("SCOW_DEBUG", "SCOW_ROOT", "DOCKER_CONFIG")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that what globals set is undone
        monkeypatch.delenv(name)


@pytest.fixture
def command(monkeypatch):
    """A command ``scow probe`` that raises or returns what the test puts into it."""
    import types

    behaviour = {}
    module = types.ModuleType("scow.cli.commands.probe")
    module.COMMAND = Command(
        name="probe", usage="[OPTIONS] [ARG]", summary="Probe", flags=(Flag("flag", "f"),), max_args=1
    )

    def run(argv):
        parse(module.COMMAND, argv)
        if "raise" in behaviour:
            raise behaviour["raise"]
        return behaviour.get("status", 0)

    module.main = run
    monkeypatch.setitem(sys.modules, "scow.cli.commands.probe", module)
    monkeypatch.setitem(table.COMMANDS, "probe", ("probe", "Probe", table.HIDDEN))
    return behaviour


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["-Dv"], ["--version", "ps"]])
def test_the_version(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out == f"scow version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "path", "rest"),
    [
        ("ps -a", "ps", ["-a"]),
        ("container ls -a", "container ls", ["-a"]),
        ("container list", "container ls", []),
        ("container ps x", "container ls", ["x"]),
        ("image remove x", "image rm", ["x"]),
        ("index create x", "manifest create", ["x"]),
        ("image", "image", []),
        ("image nope", "image", ["nope"]),
        ("trust key load x", "trust key load", ["x"]),
        ("trust key", "trust key", []),
        ("trust key nope x", "trust key", ["nope", "x"]),
        ("nope x", "", ["nope", "x"]),
        ("", "", []),
    ],
)
def test_words_name_commands(words, path, rest):
    assert find(words.split()) == (path, rest)


def test_both_forms_are_one_module():
    for top, form in (("ps", "container ls"), ("images", "image ls"), ("rmi", "image rm"), ("info", "system info")):
        assert table.COMMANDS[top][0] == table.COMMANDS[form][0]


def test_every_alias_and_family_leads_somewhere():
    for target in table.ALIASES.values():
        assert target in table.COMMANDS or target in table.FAMILIES
    above = {path.rpartition(" ")[0] for path in (*table.COMMANDS, *table.FAMILIES) if " " in path}
    assert above == set(table.FAMILIES)


def test_an_unknown_command_is_refused_with_a_suggestion(capsys):
    assert main(["imges"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("scow: unknown command: scow imges\nHint: did you mean 'scow images'")
    assert said.err.endswith("\n\nRun 'scow --help' for more information\n")
    assert main(["image", "lss"]) == 1
    assert "did you mean 'scow image ls'?" in capsys.readouterr().err


def test_help_goes_to_stdout(capsys, command):
    assert main(["probe", "--help"]) == 0
    said = capsys.readouterr()
    assert (said.out.split("\n")[0], said.err) == ("Usage:  scow probe [OPTIONS] [ARG]", "")
    for words in (["--help"], ["image", "--help"], ["help"], ["help", "image"], ["help", "version"]):
        assert main(words) == 0
        assert capsys.readouterr().out.startswith("Usage:  scow")


@pytest.mark.parametrize("words", [[], ["image"]])
def test_help_that_nobody_asked_for_goes_to_stderr(capsys, words):
    assert main(words) == 0
    said = capsys.readouterr()
    assert (said.out, said.err[:12]) == ("", "Usage:  scow")


def test_bad_flags_and_counts(capsys, command):
    assert main(["probe", "--nope"]) == 125
    assert capsys.readouterr().err == (
        "unknown flag: --nope\n\nUsage:  scow probe [OPTIONS] [ARG]\n\nRun 'scow probe --help' for more information\n"
    )
    assert main(["probe", "a", "b"]) == 1
    assert capsys.readouterr().err.startswith("scow: 'scow probe' requires at most 1 argument\n\nUsage:")


def test_the_status_is_the_command_s(command):
    command["status"] = 37
    assert main(["probe"]) == 37


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NotFoundError("No such image: x"), 1, "Error: No such image: x\n"),
        (ScowError("broken", hint="mend it"), 1, "Error: broken\nHint: mend it\n"),
        (
            CommandError("refused", status=127),
            127,
            "scow: refused\n\nRun 'scow probe --help' for more information\n",
        ),
        (
            FlagError("a:b:c:d is no volume"),
            125,
            "scow: a:b:c:d is no volume\n\nRun 'scow probe --help' for more information\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(3), 3, ""),
        (FileNotFoundError(errno.ENOENT, "x", "/a/b"), 1, "Error: /a/b: no such file or directory\nHint: "),
        (OSError(errno.ENOSPC, "x", "/a"), 1, "Error: /a: no space left on device\nHint: 'scow system df' shows"),
        (PermissionError(errno.EACCES, "x", "/a"), 1, "Error: /a: permission denied\nHint: run scow as root"),
        (MemoryError(), 1, "Error: out of memory\nHint: "),
        (
            RuntimeError("can't start new thread"),
            1,
            "Error: the system does not let this process start a thread\nHint: ",
        ),
        (
            ValueError("odd"),
            1,
            "Error: scow failed in a way it does not foresee: ValueError: odd\nHint: set SCOW_DEBUG=1",
        ),
    ],
)
def test_failures_become_sentences(error, status, said, capsys, command):
    command["raise"] = error
    assert main(["probe"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert "Traceback" not in err


def test_of_several_failures_the_first_is_shown_and_the_rest_counted(capsys):
    group = ExceptionGroup("", [CorruptError("one"), ExceptionGroup("", [CorruptError("two"), ValueError("three")])])
    assert render(group, "pull") == 1
    assert capsys.readouterr().err == "Error: one\nand 2 more failures (set SCOW_DEBUG=1 to see where it happened)\n"


def test_the_traceback_is_there_for_the_asking(capsys, command, monkeypatch):
    monkeypatch.setenv("SCOW_DEBUG", "1")
    command["raise"] = NotFoundError("gone")
    assert main(["probe"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("Error: gone\n")


def test_one_of_several_arguments_may_fail(capsys):
    assert report(NotFoundError("No such container: a")) == 1
    assert capsys.readouterr().err == "Error: No such container: a\n"


def test_global_flags_reach_the_environment(command, monkeypatch):
    assert main(["--root", "/r", "--config=/c", "-D", "--log-level", "info", "-H", "unix:///x.sock", "probe"]) == 0
    assert (os.environ["SCOW_ROOT"], os.environ["DOCKER_CONFIG"], os.environ["SCOW_DEBUG"]) == ("/r", "/c", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-H", "tcp://1.2.3.4:5", "probe"], "cannot connect to 'tcp://1.2.3.4:5'"),
        (["-c", "prod", "probe"], "no docker contexts"),
        (["-l", "loud", "probe"], "unable to parse logging level: loud"),
    ],
)
def test_what_would_need_a_daemon_is_refused(words, said, command, capsys):
    assert main(words) == 1
    assert said in capsys.readouterr().err


def test_help_of_a_command_that_was_asked_by_an_exception():
    with pytest.raises(HelpRequested):
        parse(Command(name="x", usage="", summary=""), ["--help"])


def run_scow(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False, **options
    )


def test_a_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from scow.cli.main import main; sys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_named():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        code = "import sys; from scow.cli.main import main; sys.exit(main(['version']))"
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no space left on device\nHint: ")
